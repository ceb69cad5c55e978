"""Headers, names and times that say one thing to one part and another to the next."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import grpc
import httpx
import pytest

from tests.support.service import (
    TIMEOUT,
    Caller,
    World,
    conflicts,
    event,
    made,
    received,
    refused,
    shipped,
)
from tracechain.v1 import capture_pb2, issuance_pb2
from tracechain.v1 import verification_pb2 as pb


async def said(world: World, request: bytes) -> bytes:
    """What the HTTP port answers to these bytes until it hangs up, or half a second has brought
    nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.server.http_port)
    writer.write(request)
    await writer.drain()
    answer = b""
    with suppress(TimeoutError):
        while part := await asyncio.wait_for(reader.read(65536), 0.5 if answer else TIMEOUT):
            answer += part
    writer.close()
    return answer


GET = b"GET /healthz HTTP/1.1\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        GET + b"Host: localhost\r\nHost: evil.example\r\n\r\n",
        GET + b"Host: evil.example\r\n\r\n",
        GET + b"Host: localhost@evil.example\r\n\r\n",
        GET + b"Host: localhost, evil.example\r\n\r\n",
        GET + b"Host: \r\n\r\n",
        GET + b"X-Forwarded-Host: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET http://evil.example/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
)
async def test_another_name_is_answered_to_nobody(world: World, request_: bytes) -> None:
    answer = await said(world, request_)
    assert answer.startswith((b"HTTP/1.1 421 ", b"HTTP/1.1 400 ")), answer[:200]
    assert b"evil.example" not in answer


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 300\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 3,3\r\n",
        b"X: a\rTransfer-Encoding: chunked\r\n",
    ],
)
async def test_no_request_is_smuggled_behind_another(world: World, head: bytes) -> None:
    # Whatever a proxy in front takes these for: here no second request comes out of the first.
    body = b"0\r\n\r\n" + SMUGGLED
    answer = await said(
        world, b"POST /claim HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n" + body
    )
    assert b"smuggled" not in answer
    assert answer.count(b"HTTP/1.1 404") == 0, answer[:300]


@pytest.mark.parametrize(
    "path",
    [
        "/%0d%0aSet-Cookie:%20x=1/01/06901234567892",
        "/01/06901234567892?linkType=%0d%0aLocation:%20https://evil.example",
        "/scan?code=https://evil.example/01/1/21/2",
        "/scan?code=//evil.example",
        "//evil.example/01/06901234567892/21/X",
        "/scan?lang=en%0d%0aX-Evil:1",
    ],
)
async def test_no_address_leads_elsewhere_or_writes_a_header(world: World, path: str) -> None:
    answer = await said(
        world,
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n"
        "Connection: close\r\n\r\n".encode(),
    )
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nset-cookie: x=1" not in head
    assert b"\r\nx-evil" not in head
    location = [line for line in head.split(b"\r\n") if line.startswith(b"location:")]
    assert not [line for line in location if b"evil" in line]


async def test_of_two_credentials_none_is_chosen_for_the_caller(world: World) -> None:
    lists = issuance_pb2.ListProductsRequest()
    for keys in (
        ("", "Bearer "), ("Bearer", "Basic eDp5"), ("Bearer tck_aaaaaaaaaaaaaaaa_b",),
        (f"Basic {world.issuer.api_key}",), (f"Bearer {world.issuer.api_key}x",),
        (f"Bearer {world.issuer.api_key[:-1]}",), (f"Bearer  {world.issuer.api_key.upper()}",),
    ):  # fmt: skip
        no = await refused(
            world.nobody.issuance._stub.ListProducts(
                lists, metadata=tuple(("authorization", key) for key in keys), timeout=20
            )
        )
        assert no.code is grpc.StatusCode.UNAUTHENTICATED


class Asked:
    """Counts what the store is asked."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[str] = Counter()
        store = world.app.store
        for name in dir(type(store)):
            real = getattr(store, name)
            if name.startswith(("get_", "list_", "find_")) and callable(real):
                monkeypatch.setattr(store, name, self._counted(name, real))

    def _counted(self, name: str, real: Any) -> Any:
        def counted(*given: Any, **named: Any) -> Any:
            # These are asked beside all calls.
            if name not in ("list_keys", "get_checkpoint"):
                self.calls[name] += 1
            return real(*given, **named)

        return counted

    def taken(self) -> Counter[str]:
        found, self.calls = self.calls, Counter()
        return found


async def test_what_is_forbidden_takes_as_long_as_what_is_not_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Times differ on every machine; that both ask the store the same says more than a clock.
    theirs = await world.lot(world.other)
    asked = Asked(world, monkeypatch)
    known = issuance_pb2.GetBatchRequest(name=theirs.name)
    unknown = issuance_pb2.GetBatchRequest(name=f"products/{theirs.gtin}/batches/NEVER")
    told = []
    for request in (known, unknown):
        await asyncio.sleep(1.1)
        asked.taken()
        no = await refused(world.issuer.issuance.GetBatch(request))
        told.append((no.code, no.reason, no.message, sum(asked.taken().values())))
    assert told[0][:2] == told[1][:2] == (grpc.StatusCode.NOT_FOUND, told[0][1])
    assert abs(told[0][3] - told[1][3]) <= 1, told


async def test_a_wrong_secret_takes_as_long_as_a_key_that_is_not_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(world, monkeypatch)
    known = world.other.api_key.rpartition("_")[0] + "_" + "a" * 52
    told = []
    for key in (known, "tck_aaaaaaaaaaaaaaaa_" + "a" * 52):
        await asyncio.sleep(1.1)
        asked.taken()
        caller = Caller(world.channel, "", None, key)
        no = await refused(caller.issuance.ListProducts(issuance_pb2.ListProductsRequest()))
        told.append((no.code, no.reason, no.message, asked.taken()))
    assert told[0] == told[1]


async def test_a_past_that_is_made_up_moves_no_goods(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    epc = lot.epc(code)
    await world.issuer.accepted(made(0, [epc]))
    await world.issuer.accepted(shipped(10, world.issuer, world.distributor, [epc]))
    await world.distributor.accepted(received(20, world.distributor, [epc]))
    # The shop says that it had the goods before all of that, and that it destroyed them.
    back = [
        received(-100, world.shop, [epc]),
        event(5, "destroying", [epc], disposition="destroyed", read_point=world.shop.place),
    ]
    for one in await world.shop.capture(*back):
        assert one.status == capture_pb2.CAPTURE_STATUS_ACCEPTED
        assert conflicts(one)
    verdict = await world.verify(code.uri)
    assert verdict.state == pb.UNIT_STATE_ACTIVE


async def test_a_future_that_is_made_up_is_refused(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    far = made(60 * 24 * 3650, [lot.epc(code)])
    (answer,) = await world.issuer.capture(far)
    assert answer.status != capture_pb2.CAPTURE_STATUS_ACCEPTED
    assert answer.reason == "EVENT_TIME_IN_FUTURE"


async def test_pages_of_an_address_are_no_pages_of_another(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.http) as client:
        for path in ("/static/../settings.py", "/static/%2e%2e/%2e%2e/settings.py",
                     "/static/..%5c..%5csettings.py", "/static//etc/passwd"):  # fmt: skip
            answer = await client.get(path)
            assert answer.status_code in (400, 404)
            assert b"import" not in answer.content
