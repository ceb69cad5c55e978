"""One address that wants all places or all connections: it gets its share, and others get theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import grpc
import httpx
import pytest

from tests.support.service import World, gathered, refused
from tracechain.v1 import verification_pb2 as pb

MakeWorld = Callable[..., AbstractAsyncContextManager[World]]
HOG, OTHER = "192.0.2.1", "192.0.2.2"
BEHIND_A_PROXY = {"grpc_proxies": 1, "http_proxies": 1}


def verify(world: World, address: str) -> Any:
    return world.nobody.verification._stub.VerifyCode(
        pb.VerifyCodeRequest(code="https://x"), metadata=(("x-forwarded-for", address),), timeout=20
    )


async def by_json(http: httpx.AsyncClient, address: str) -> httpx.Response:
    return await http.post(
        "/tracechain.v1.VerificationService/VerifyCode",
        json={"code": "https://x"},
        headers={"x-forwarded-for": address},
    )


async def test_one_address_has_a_share_of_the_calls_under_way(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        make_world(client_calls=2, max_calls=4, **BEHIND_A_PROXY) as world,
        httpx.AsyncClient(base_url=world.http) as http,
    ):
        served, waiting, go = world.app.scanning.verify, asyncio.Semaphore(0), asyncio.Event()

        async def slow(request: Any) -> Any:
            waiting.release()
            await go.wait()
            return await served(request)

        with monkeypatch.context() as patch:
            patch.setattr(world.app.scanning, "verify", slow)
            calls = [asyncio.ensure_future(verify(world, HOG)),
                     asyncio.ensure_future(by_json(http, HOG))]  # fmt: skip
            for _ in calls:
                await waiting.acquire()
            # Both ports count together.
            no = await refused(verify(world, HOG))
            assert (no.code, no.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_REQUESTS",
            )
            assert no.metadata == {"limit": "client_calls"}
            assert no.retry_after == 1
            answer = await by_json(http, HOG)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            # Of its refusals none took a place, and another has what is left.
            calls += [asyncio.ensure_future(verify(world, OTHER)),
                      asyncio.ensure_future(by_json(http, OTHER))]  # fmt: skip
            for _ in range(2):
                await waiting.acquire()
            go.set()
            found = await gathered(calls)
        assert not [each for each in found if isinstance(each, BaseException)]
        # What was given back can be had again.
        assert (await verify(world, HOG)).outcome
        rooms = world.app.gate._admission
        assert (rooms.calls.taken, rooms.calls._held) == (0, {})


async def test_one_address_has_a_share_of_the_streams(make_world: MakeWorld) -> None:
    async with make_world(client_streams=2, max_streams=4, **BEHIND_A_PROXY) as world:
        stub = world.nobody.verification._stub
        end = asyncio.Event()

        async def quiet() -> Any:
            await end.wait()
            return
            yield

        def stream(address: str) -> Any:
            return stub.StreamVerifyCodes(
                quiet(), metadata=(("x-forwarded-for", address),), timeout=20
            )

        room = world.app.gate._admission.streams
        held = [stream(HOG), stream(HOG), stream(OTHER)]
        while room.taken < len(held):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        no = await refused(stream(HOG).read())
        assert (no.reason, no.metadata) == ("TOO_MANY_REQUESTS", {"limit": "client_streams"})
        held[0].cancel()
        while room._held[HOG] > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        again = stream(HOG)
        end.set()
        assert await again.read() is grpc.aio.EOF
        for each in held[1:]:
            assert await each.read() is grpc.aio.EOF
        while room.taken:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert room._held == {}


async def test_one_address_has_a_share_of_the_connections_over_http(make_world: MakeWorld) -> None:
    async with make_world(client_connections=2) as world:
        port = world.server.http_port

        async def asked(reader: Any, writer: Any) -> bytes:
            with suppress(ConnectionError):
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await writer.drain()
                async with asyncio.timeout(15):
                    return bytes(await reader.readline())
            return b""

        two = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        answers = [await asked(*each) for each in two]
        assert answers[0].startswith(b"HTTP/1.1 ")
        assert answers[1] == answers[0]
        assert await asked(*await asyncio.open_connection("127.0.0.1", port)) == b""
        # Another one is served all the same.
        other = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        assert await asked(*other) == answers[0]
        two[0][1].close()
        await two[0][1].wait_closed()
        async with asyncio.timeout(15):
            while await asked(*await asyncio.open_connection("127.0.0.1", port)) != answers[0]:
                await asyncio.sleep(0.02)
        two[1][1].close()
        other[1].close()
