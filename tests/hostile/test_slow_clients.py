"""Clients that open, and then dawdle: each is ended, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import grpc
import pytest

from tests.support.service import Refusal, World, channel_to
from tracechain.bootstrap import serve
from tracechain.rpc import gate, guard
from tracechain.rpc import server as rpc_server
from tracechain.v1 import issuance_pb2
from tracechain.v1 import verification_pb2 as pb
from tracechain.web import server as web_server

MakeWorld = Callable[..., AbstractAsyncContextManager[World]]
SCAN_STREAM = pb.StreamVerifyCodesRequest


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def open_raw(port: int, said: bytes = b"") -> tuple[asyncio.StreamReader, Any]:
    """A connection that has said so much."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    await writer.drain()
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the service hung up."""
    async with asyncio.timeout(30):
        with suppress(ConnectionResetError):
            return await reader.read()
    return b""


async def drip(writer: Any, said: bytes) -> None:
    """Sends byte by byte, without end, as long as the connection is there."""
    with suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(said)
            await writer.drain()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: loc"])
async def test_a_head_that_does_not_end_over_http(
    world: World, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(web_server, "_HEAD_SECONDS", 0.5)
    reader, writer = await open_raw(world.server.http_port, said)
    dripping = asyncio.create_task(drip(writer, b"x" if said else b"\r\n"))
    # Within the time that `ended` waits: byte by byte it would go on without end.
    assert b" 408 " in await ended(reader) or not said
    dripping.cancel()
    writer.close()


async def test_a_greeting_that_does_not_come_over_grpc(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_world() as world:
        # A port of its own: those who greet have all the time of a busy machine.
        monkeypatch.setattr(rpc_server, "_HANDSHAKE_MS", 500)
        strict = await serve(world.app)
        silent, one = await open_raw(strict.port)
        slow, two = await open_raw(strict.port, b"PRI * HTTP/2.0\r\n")
        await asyncio.gather(ended(silent), ended(slow))
        assert (await world.verify("https://x")).outcome
        one.close()
        two.close()
        await strict.stop(0)


async def test_a_connection_without_a_call_is_ended_over_grpc(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_server, "_IDLE_MS", 500)
    async with make_world() as world:
        # Greeted, with the settings of HTTP/2, and then nothing.
        settings = b"\0\0\0\4\0\0\0\0\0"
        reader, writer = await open_raw(
            world.server.port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings
        )
        await ended(reader)
        # Whoever calls again is connected again.
        assert (await world.verify("https://x")).outcome
        writer.close()


async def test_no_connection_stays_for_ever_over_grpc(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_world() as world:
        monkeypatch.setattr(rpc_server, "_AGE_MS", 500)
        monkeypatch.setattr(rpc_server, "_AGE_GRACE_MS", 500)
        again = await serve(world.app)
        async with channel_to(f"127.0.0.1:{again.port}") as channel:
            stub = channel.stream_stream(
                "/tracechain.v1.VerificationService/StreamVerifyCodes",
                request_serializer=SCAN_STREAM.SerializeToString,
                response_deserializer=pb.StreamVerifyCodesResponse.FromString,
            )

            async def one_a_moment() -> AsyncIterator[Any]:
                while True:
                    yield SCAN_STREAM(request=pb.VerifyCodeRequest(code="https://x"))
                    await asyncio.sleep(0.1)

            async def all_of_it() -> None:
                async for _ in stub(one_a_moment()):
                    pass

            with pytest.raises(grpc.aio.AioRpcError):
                await asyncio.wait_for(all_of_it(), 30)
        await again.stop(0)


async def test_a_stream_that_brings_nothing_gives_up_its_place(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "IDLE_SECONDS", 0.3)
    async with make_world(max_streams=1) as world:

        async def nothing() -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

        call = world.nobody.verification.StreamVerifyCodes(nothing())
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call.read()
        said = Refusal.of(error.value)
        assert (said.code, said.reason) == (grpc.StatusCode.UNAVAILABLE, "STREAM_STALLED")
        assert said.retry_after == 1.0
        rooms = world.app.gate._admission
        await until(lambda: rooms.streams.taken == 0)


async def test_a_reader_that_does_not_read_gives_up_its_place(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "STALL_SECONDS", 2.0)
    monkeypatch.setattr(gate, "_FAREWELL_SECONDS", 0.5)
    async with make_world(max_streams=1) as world:
        lot = await world.lot(quantity=50_000)
        call = world.issuer.issuance.IssueCodes(
            issuance_pb2.IssueCodesRequest(parent=lot.name, request_id="order", quantity=50_000)
        )
        first = await call.read()
        assert first.codes
        rooms = world.app.gate._admission
        await until(lambda: rooms.streams.taken == 0)
        # The place is another's, and what was not read can be asked for again.
        rest = await lot.issue(50_000)
        assert len(rest) == 50_000
        # In the end it is told as well, behind what lies there for it.

        async def the_rest() -> None:
            while await call.read() is not grpc.aio.EOF:
                pass

        with pytest.raises(grpc.aio.AioRpcError) as error:
            await the_rest()
        assert Refusal.of(error.value).reason == "STREAM_STALLED"


async def test_an_answer_that_is_not_read_is_thrown_away_over_http(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_server, "_UNREAD_SECONDS", 0.4)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", world.server.http_port))
    # The description of the API is large, and asked for again and again without reading it.
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert world.server.http is not None
    connections = world.server.http._server.server_state.connections
    await loop.sock_sendall(raw, ask * 40)
    own = raw.getsockname()[1]
    await until(lambda: any(c.client[1] == own for c in connections))
    await until(lambda: all(c.client[1] != own for c in connections))
    raw.close()
