"""Streams over plain HTTP, the bounds of a process, and those who leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import httpx
import pytest

from tests.support.connect import (
    METHODS,
    JsonApi,
    by_grpc,
    by_http,
    client_of,
    enveloped,
    opened,
    path_of,
    refusal_of,
)
from tests.support.service import TIMEOUT, Refusal, World

VERIFY = path_of("VerificationService.VerifyCode")


async def test_a_stream_of_scans_is_answered_one_by_one(world: World, api: JsonApi) -> None:
    lot = await world.lot()
    codes = await lot.issue(5)
    requests = [{"sequence": i, "request": {"code": c.uri}} for i, c in enumerate(codes)]
    requests.append({"sequence": 9, "request": {"code": "x" * 3000}})
    found = await api.stream("VerificationService.StreamVerifyCodes", requests)
    told = {int(answer.get("sequence", 0)): answer for answer in found}
    assert {told[i]["verdict"]["outcome"] for i in range(5)} == {"OUTCOME_GENUINE"}
    assert told[9]["errorReason"] == "TEXT_TOO_LONG"


async def test_answers_of_a_stream_come_while_requests_are_sent(world: World, api: JsonApi) -> None:
    """Both directions at once is more than HTTP/1.1 promises; this server does it."""
    lot = await world.lot()
    codes = await lot.issue(2)
    answered = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        for number, code in enumerate(codes):
            yield enveloped(
                json.dumps({"sequence": number + 1, "request": {"code": code.uri}}).encode()
            )
            if number == 0:
                await asyncio.wait_for(answered.wait(), TIMEOUT)

    host, _, port = api.http.base_url.netloc.decode().partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {path_of('VerificationService.StreamVerifyCodes')} HTTP/1.1\r\nhost: {host}\r\n"
        "content-type: application/connect+json\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    )
    parts = body()
    first = await anext(parts)
    writer.write(b"%x\r\n%s\r\n" % (len(first), first))
    seen = b""
    while b'"verdict"' not in seen:
        seen += await asyncio.wait_for(reader.read(65536), TIMEOUT)
    answered.set()
    second = await anext(parts)
    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(second), second))
    while not seen.endswith(b"0\r\n\r\n"):
        seen += await asyncio.wait_for(reader.read(65536), TIMEOUT)
    assert seen.count(b'"verdict"') == 2
    writer.close()


# --- limits, and those who leave


def room_of(world: World, name: str) -> Any:
    return world.app.gate.guard(METHODS[name]).room


async def test_who_finds_no_room_is_told_before_his_request_is_read(
    world: World, api: JsonApi
) -> None:
    scan = "VerificationService.VerifyCode"
    room = room_of(world, scan)
    before = room.taken
    room.taken = room.limit
    try:
        method = METHODS[scan]
        told = await by_http(api, world.nobody, method, {"code": "x"})
        assert isinstance(told, Refusal)
        assert told == await by_grpc(world.nobody, method, {"code": "x"})
        assert (told.reason, told.retry_after) == ("QUEUE_FULL", 1.0)
        error = await api.refused(api.call(scan, {"code": "x"}))
        assert (error.status, error.headers["retry-after"]) == (429, "1")
        host, _, port = api.http.base_url.netloc.decode().partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"POST {VERIFY} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            "content-length: 1000000\r\n\r\n".encode()
        )
        assert b" 429 " in await asyncio.wait_for(reader.readline(), TIMEOUT)
        writer.close()
    finally:
        room.taken = before
    assert (await api.call(scan, {"code": "x"}))["outcome"] == "OUTCOME_UNKNOWN"


async def until(condition: Any) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ending", ["hangs up", "runs out of time"])
async def test_who_leaves_a_stream_gives_up_his_place(
    world: World, api: JsonApi, ending: str
) -> None:
    name = "VerificationService.StreamVerifyCodes"
    room = room_of(world, name)
    before = room.taken
    gone = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield enveloped(json.dumps({"sequence": 1, "request": {"code": "x"}}).encode())
        await gone.wait()

    timeout = {"connect-timeout-ms": "300"} if ending == "runs out of time" else {}
    call = asyncio.create_task(
        api.http.post(
            path_of(name),
            content=body(),
            headers={"content-type": "application/connect+json", **timeout},
        )
    )
    await until(lambda: room.taken == before + 1)
    if ending == "hangs up":
        call.cancel()
    await until(lambda: room.taken == before)
    # Nothing of it goes on: neither who reads its requests nor who answers them.
    await until(lambda: not [t for t in asyncio.all_tasks() if "StreamVerify" in repr(t)])
    gone.set()
    (answer,) = await asyncio.gather(call, return_exceptions=True)
    if ending == "runs out of time":
        assert isinstance(answer, httpx.Response)
        *_, (flags, end) = opened(answer.content)
        assert flags == 2
        assert refusal_of(json.loads(end)["error"]).reason == "DEADLINE_EXCEEDED"


async def test_who_hangs_up_in_a_call_gives_up_his_place(
    world: World, api: JsonApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "VerificationService.VerifyCode"
    room = room_of(world, name)
    before = room.taken
    ended = asyncio.Event()

    async def stuck(_: object) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    monkeypatch.setattr(world.app.scanning, "verify", stuck)
    call = asyncio.create_task(api.call(name, {"code": "x"}))
    await until(lambda: room.taken == before + 1)
    call.cancel()
    await asyncio.wait_for(ended.wait(), TIMEOUT)
    await until(lambda: room.taken == before)


async def test_a_defect_is_told_by_a_number_only(
    world: World, api: JsonApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr(world.app.scanning, "verify", broken)
    error = await api.refused(api.call("VerificationService.VerifyCode", {"code": "x"}))
    assert (error.status, error.refusal.reason) == (500, "INTERNAL")
    assert "inside" not in str(error)
    assert error.refusal.metadata["incident"] in error.refusal.message


async def test_calls_by_http_and_by_grpc_share_the_places_of_a_process(
    make_world: Callable[..., AbstractAsyncContextManager[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = METHODS["VerificationService.VerifyCode"]
    async with make_world(max_calls=2) as world, client_of(world.http) as client:
        api, verify = JsonApi(client), world.app.scanning.verify
        room, go_on = room_of(world, "VerificationService.VerifyCode"), asyncio.Event()

        async def slow(request: Any) -> Any:
            await go_on.wait()
            return await verify(request)

        monkeypatch.setattr(world.app.scanning, "verify", slow)
        held = [
            asyncio.create_task(by_grpc(world.nobody, scan, {"code": "x"})),
            asyncio.create_task(by_http(api, world.nobody, scan, {"code": "x"})),
        ]
        await until(lambda: room.taken == 2)
        for _ in range(10):
            for call in (by_http(api, world.nobody, scan, {"code": "x"}),
                         by_grpc(world.nobody, scan, {"code": "x"})):  # fmt: skip
                told = await call
                assert isinstance(told, Refusal)
                assert (told.code, told.reason, told.retry_after) == (
                    grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 1.0,
                )  # fmt: skip
        go_on.set()
        for answer in await asyncio.gather(*held):
            assert isinstance(answer, list)
        assert room.taken == 0
        assert isinstance(await by_http(api, world.nobody, scan, {"code": "x"}), list)


async def test_those_who_send_half_of_much_and_wait_do_not_fill_the_memory(
    make_world: Callable[..., AbstractAsyncContextManager[World]],
) -> None:
    """What has come in is 32 times the largest message at most; scans pass meanwhile."""
    most, part = 65_536, 60_000
    async with make_world(max_message_bytes=most) as world, client_of(world.http) as client:
        api, scan = JsonApi(client), "VerificationService.VerifyCode"
        host, _, port = client.base_url.netloc.decode().partition(":")
        head = (
            f"POST {VERIFY} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            f"content-length: {most}\r\n\r\n"
        )
        held: list[tuple[asyncio.StreamWriter, asyncio.Task[bytes]]] = []
        while not any(answer.done() for _, answer in held):
            assert len(held) < 60
            reader, writer = await asyncio.open_connection(host, int(port))
            held.append((writer, asyncio.create_task(reader.readline())))
            writer.write(head.encode() + b" " * part)
            await writer.drain()
            # One after the other: when a scan is answered, what was sent before has been read.
            assert (await api.call(scan, {"code": "x"}))["outcome"] == "OUTCOME_UNKNOWN"
        (refused,) = (answer.result() for _, answer in held if answer.done())
        assert refused.split()[1] == b"429"
        # The first 16 KiB of a request are not counted: what is small always passes.
        assert len(held) >= 32 * most // (part - 16 * 1024)
        large = await api.refused(api.call(scan, {"code": "x" * part}))
        assert (large.status, large.refusal.reason) == (429, "QUEUE_FULL")
        for writer, answer in held:
            writer.close()
            answer.cancel()
        # Once they are gone there is room again.
        async with asyncio.timeout(TIMEOUT):
            while large.refusal.reason == "QUEUE_FULL":
                large = await api.refused(api.call(scan, {"code": "x" * part}))
        assert large.refusal.reason == "TEXT_TOO_LONG"
