"""Small things that become large, deep or slow once they are opened."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import grpc
import httpx
import pytest

from tests.support.service import World, channel_to
from tracechain.domain.epcis.jsonld import parse_document
from tracechain.domain.epcis.validate import checked
from tracechain.domain.errors import InvalidArgument
from tracechain.v1 import verification_pb2 as pb

VERIFY = "/tracechain.v1.VerificationService/VerifyCode"
DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
LONG_NUMBER = b'{"code":' + b"9" * 100_000 + b"}"


async def still_answers(world: World) -> None:
    """Whether a scan is answered, within its deadline."""
    assert (await world.verify("https://x")).outcome


async def test_a_message_that_unpacks_into_a_large_one_over_grpc(world: World) -> None:
    # 64 MiB of one letter are 64 KiB when they travel.
    async with channel_to(world.target, **{"grpc.max_send_message_length": 128 << 20}) as channel:
        call = channel.unary_unary(
            VERIFY,
            request_serializer=pb.VerifyCodeRequest.SerializeToString,
            response_deserializer=pb.Verdict.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(
                pb.VerifyCodeRequest(code="A" * (64 << 20)),
                compression=grpc.Compression.Gzip,
                timeout=20,
            )
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await still_answers(world)


async def test_a_body_that_unpacks_into_a_large_one_over_http(world: World) -> None:
    bomb = gzip.compress(gzip.compress(b'{"code":"' + b"A" * (64 << 20) + b'"}'))
    once = gzip.compress(b'{"code":"' + b"A" * (64 << 20) + b'"}')
    async with httpx.AsyncClient(base_url=world.http, timeout=20) as client:
        for body in (once, bomb):
            answer = await client.post(
                VERIFY,
                content=body,
                headers={"content-type": "application/json", "content-encoding": "gzip"},
            )
            assert answer.status_code in (400, 429)
            assert answer.json()["code"] in ("resource_exhausted", "invalid_argument")
    await still_answers(world)


@pytest.mark.parametrize(
    "body",
    [DEEP, b"[" * 100_000, LONG_NUMBER, b'{"code":"' + b"\\u0041" * 9],
    ids=["deep", "open", "number", "text"],
)
async def test_json_that_is_deep_or_endless_over_http(world: World, body: bytes) -> None:
    async with httpx.AsyncClient(base_url=world.http, timeout=20) as client:
        answer = await client.post(
            VERIFY, content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400
        assert answer.json()["details"][0]["debug"]["reason"] in (
            "JSON_TOO_DEEP", "INVALID_JSON", "INVALID_NUMBER", "INVALID_FIELD_TYPE",
        )  # fmt: skip
    await still_answers(world)


def hostile_documents() -> list[bytes]:
    """EPCIS documents that try the reader."""
    nested: Any = {}
    for _ in range(200):
        nested = {"ext:x": nested}
    event = {"type": "ObjectEvent", "ext:x": nested}
    many = {"type": "EPCISDocument", "epcisBody": {"eventList": [{}] * 200_000}}
    return [
        DEEP,
        json.dumps(event).encode(),
        json.dumps(many).encode(),
        b'{"@context":' + b'["x",' * 5000 + b"1" + b"]" * 5000 + b"}",
        b"\xef\xbb\xbf" * 1000 + b"{}",
        b'{"type":"ObjectEvent","epcList":["' + b"%" * 200_000 + b'"]}',
    ]


@pytest.mark.parametrize("number", range(6))
def test_documents_that_are_bombs(number: int) -> None:
    def read() -> None:
        for event in parse_document(hostile_documents()[number]).events:
            if violations := checked(event)[0]:
                raise InvalidArgument(violations)

    # Seconds of work, whatever else the machine does.
    began = time.thread_time()
    with pytest.raises(InvalidArgument):
        read()
    assert time.thread_time() - began < 15


async def test_metadata_that_fills_the_memory_over_grpc(world: World) -> None:
    for metadata in (
        (("x-large", "A" * 60_000),),
        tuple((f"x-{n}", "A" * 100) for n in range(600)),
        (("authorization", "Bearer " + "A" * 60_000),),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await world.nobody.verification._stub.VerifyCode(
                pb.VerifyCodeRequest(code="https://x"), metadata=metadata, timeout=20
            )
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await still_answers(world)
