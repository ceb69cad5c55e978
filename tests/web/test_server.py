"""The server: bounds of heads, bodies and connections, names, headers, an orderly stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from tests.support.service import World
from tracechain.domain.errors import Unavailable
from tracechain.web import server as http
from tracechain.web.headers import POLICY, SECURITY


async def raw(world: World, data: bytes) -> bytes:
    """What the server says to bytes, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.server.http_port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


def head(world: World, path: str = "/healthz", *more: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{world.server.http_port}", *more, "", ""]
    return "\r\n".join(lines).encode()


async def test_every_answer_has_the_headers_of_safety(world: World) -> None:
    said = [
        await raw(world, head(world, path, "Connection: close"))
        for path in ("/scan", "/healthz", "/nothing/there", "/static/page.css")
    ]
    said.append(await raw(world, b"this is no request\r\n\r\n"))
    said.append(await raw(world, head(world, "/", "X-Large: " + "x" * http.MAX_HEAD)))
    for answer in said:
        for name, value in SECURITY:
            assert f"{name}: {value}\r\n".encode() in answer
    assert "default-src 'none'" in POLICY
    assert "unsafe-inline" not in POLICY
    assert [answer.split()[1] for answer in said] == [
        b"200", b"200", b"404", b"200", b"400", b"431",
    ]  # fmt: skip


@pytest.mark.parametrize("pieces", [2, 32])
async def test_a_head_without_an_end_is_cut_off(world: World, pieces: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.server.http_port)
    writer.write(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(pieces):
        # In all just too much: what is sent after the refusal would reset the connection.
        writer.write(b"x" * (http.MAX_HEAD // pieces))
        await asyncio.sleep(0.005)
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_who_is_too_slow_is_sent_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_HEAD_SECONDS", 0.2)
    monkeypatch.setattr(http, "_BODY_SECONDS", 0.2)
    for begun in (
        b"",
        b"GET /scan HTTP/1.1\r\nHo",
        head(world)[:-4] + b"\r\nContent-Length: 9\r\n\r\n12",
    ):
        answer = await raw(world, begun)
        assert answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 200 "))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "id.tracechain"])
async def test_another_name_is_not_answered(browser: httpx.AsyncClient, host: str) -> None:
    answer = await browser.get("/scan", headers={"host": host})
    assert answer.status_code == 421
    assert "WRONG_HOST" in answer.text


@pytest.mark.parametrize("host", ["id.tracechain.example", "ID.tracechain.example:443"])
async def test_the_name_of_the_codes_is_answered(browser: httpx.AsyncClient, host: str) -> None:
    assert (await browser.get("/scan", headers={"host": host})).status_code == 200


async def test_a_connection_too_many_is_closed(
    make_world: Callable[..., AbstractAsyncContextManager[Any]],
) -> None:
    async with make_world(http_connections=2) as world:
        port = world.server.http_port
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert await raw(world, b"") == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        asked = head(world, "/healthz", "Connection: close")
        async with asyncio.timeout(20):
            while not (await raw(world, asked)).endswith(b"ok\n"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_files_are_kept_for_ever_under_their_hash(browser: httpx.AsyncClient) -> None:
    listed = (await browser.get("/static/index.json")).json()
    assert "page.css" in listed["files"]
    kept = await browser.get(f"/static/{listed['version']}/page.css")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert kept.headers["content-type"] == "text/css; charset=utf-8"
    asked = await browser.get("/static/page.css")
    assert asked.headers["cache-control"] == "public, no-cache"
    again = await browser.get("/static/page.css", headers={"if-none-match": asked.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/static/", "/static/../app.py", "/static/%2e%2e/app.py", "/static/0/page.css"):
        assert (await browser.get(path)).status_code == 404


async def test_a_method_that_is_none_says_which_are(browser: httpx.AsyncClient) -> None:
    answer = await browser.delete("/scan")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


async def test_programs_get_problem_details(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.http) as client:
        answer = await client.get("/nothing", headers={"accept": "application/json"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["reason"] == "PAGE_NOT_FOUND"
    assert answer.json()["status"] == answer.status_code == 404


async def test_plain_text_beyond_loopback_is_refused() -> None:
    with pytest.raises(Unavailable) as refused:
        http.HttpServer(_never, "0.0.0.0:0", max_connections=1, allow_plaintext=False)
    assert refused.value.reason == "PLAINTEXT_REFUSED"


async def _never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nobody asks")


async def test_a_port_that_is_taken_is_said_to_be(world: World) -> None:
    listen = f"127.0.0.1:{world.server.http_port}"
    second = http.HttpServer(_never, listen, max_connections=1, allow_plaintext=False)
    with pytest.raises(Unavailable) as refused:
        await second.start()
    assert refused.value.reason == "PORT_TAKEN"
    assert second.port == 0


async def connects(port: int) -> bool:
    """Whether somebody listens."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_a_stop_lets_what_is_under_way_come_to_its_end() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await leave.wait()
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b"done"})

    server = http.HttpServer(slow, "127.0.0.1:0", max_connections=9, allow_plaintext=False)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        asked = asyncio.create_task(client.get("/"))
        await entered.wait()
        stopping = asyncio.create_task(server.stop(40))
        async with asyncio.timeout(20):
            while await connects(server.port):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        leave.set()
        assert (await asked).text == "done"
        await stopping
