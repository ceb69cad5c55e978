"""One client that wants everything, over each of the ports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import httpx
import pytest

from tests.support.browsing import path_of
from tests.support.clock import HandClock
from tests.support.redis_server import RedisServer
from tests.support.service import Caller, World, refused
from tracechain.v1 import issuance_pb2
from tracechain.v1 import verification_pb2 as pb

MakeWorld = Callable[..., AbstractAsyncContextManager[World]]
HOG, OTHER = "192.0.2.1", "192.0.2.2"
JSON = {"accept": "application/json"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """Stands still for the services that the test makes."""
    hand = HandClock(time.time_ns() // 1000)
    monkeypatch.setattr("tracechain.bootstrap.app.clock", hand)
    return hand


def from_(address: str) -> tuple[tuple[str, str], ...]:
    """What our proxy says of who calls. What the client said of itself stands left of it."""
    return (("x-forwarded-for", f"203.0.113.{time.time_ns() % 250}, {address}"),)


async def codes(world: World, count: int = 1) -> list[issuance_pb2.Code]:
    """Units with their PINs."""
    return await (await world.lot()).issue(count, include_pins=True)


def verify(world: World, code: str, address: str) -> Any:
    """A scan from an address."""
    return world.nobody.verification._stub.VerifyCode(
        pb.VerifyCodeRequest(code=code), metadata=from_(address), timeout=20
    )


async def connect_verify(client: httpx.AsyncClient, code: str, address: str) -> httpx.Response:
    """The same by the Connect protocol."""
    return await client.post(
        "/tracechain.v1.VerificationService/VerifyCode",
        json={"code": code},
        headers=dict(from_(address)),
    )


async def test_one_client_has_its_share_on_every_port_together(
    make_world: MakeWorld, clock: HandClock
) -> None:
    async with (
        make_world(client_codes_per_second=1, grpc_proxies=1, http_proxies=1) as world,
        httpx.AsyncClient(base_url=world.http) as http,
    ):
        several = await codes(world, 14)
        path = path_of(several[13].uri)
        for code in several[:4]:
            assert (await verify(world, code.uri, HOG)).issuance == pb.ISSUANCE_ISSUED
        for code in several[4:8]:
            assert (await connect_verify(http, code.uri, HOG)).status_code == 200
        for _ in range(2):
            seen = await http.get(path, headers={**JSON, **dict(from_(HOG))})
            assert seen.status_code == 200
        # Ten at once, whichever way they come.
        no = await refused(verify(world, several[12].uri, HOG))
        assert (no.code, no.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS")
        assert no.metadata == {"limit": "client"}
        assert no.retry_after is not None
        assert 0 < no.retry_after <= 1
        by_connect = await connect_verify(http, several[12].uri, HOG)
        assert (by_connect.status_code, by_connect.headers["retry-after"]) == (429, "1")
        assert by_connect.json()["details"][0]["debug"]["reason"] == "TOO_MANY_REQUESTS"
        by_http = await http.get(path, headers={**JSON, **dict(from_(HOG))})
        assert (by_http.status_code, by_http.headers["retry-after"]) == (429, "1")
        assert by_http.json()["reason"] == "TOO_MANY_REQUESTS"
        page = await http.get(path, headers={"accept": "text/html", **dict(from_(HOG))})
        assert page.status_code == 429
        assert 'data-reason="TOO_MANY_REQUESTS"' in page.text
        # Nothing that was refused was recorded, and nobody else was.
        answer = await verify(world, several[12].uri, OTHER)
        assert answer.previous_scans == 0
        assert (await connect_verify(http, several[11].uri, OTHER)).status_code == 200
        # What was told is true.
        clock.now += int(no.retry_after * 1_000_000)
        await verify(world, several[10].uri, HOG)


async def test_a_batch_is_no_cheaper_than_its_codes(
    make_world: MakeWorld, clock: HandClock
) -> None:
    async with make_world(client_codes_per_second=2) as world:
        (code,) = await codes(world)
        batch = pb.BatchVerifyCodesRequest(requests=[pb.VerifyCodeRequest(code=code.uri)] * 40)
        assert len((await world.nobody.verification.BatchVerifyCodes(batch)).verdicts) == 40
        no = await refused(world.nobody.verification.BatchVerifyCodes(batch))
        assert no.reason == "TOO_MANY_REQUESTS"
        assert no.retry_after is not None
        assert no.retry_after > 5


async def test_a_stream_is_read_no_faster_than_its_client_may_ask(make_world: MakeWorld) -> None:
    async with make_world(client_codes_per_second=20) as world:
        (code,) = await codes(world)

        async def scans() -> Any:
            for number in range(215):
                yield pb.StreamVerifyCodesRequest(
                    sequence=number, request=pb.VerifyCodeRequest(code=code.uri)
                )

        began = time.monotonic()
        answers = [a async for a in world.nobody.verification.StreamVerifyCodes(scans())]
        # 200 at once, and the rest at 20 a second; none is lost and none refused.
        assert len(answers) == 215
        assert not any(answer.error_reason for answer in answers)
        assert time.monotonic() - began > 0.6


async def test_one_code_seen_too_often_by_one_client(
    make_world: MakeWorld, clock: HandClock
) -> None:
    async with make_world(client_looks_per_minute=3, grpc_proxies=1) as world:
        code, another = await codes(world, 2)
        for _ in range(3):
            await verify(world, code.uri, HOG)
        no = await refused(verify(world, code.uri, HOG))
        assert (no.reason, no.metadata) == ("TOO_MANY_REQUESTS", {"limit": "code"})
        # So a rival cannot keep others from asking about these goods, nor himself from others.
        await verify(world, code.uri, OTHER)
        await verify(world, another.uri, HOG)


async def test_a_party_has_its_share_with_all_its_credentials(
    make_world: MakeWorld, clock: HandClock
) -> None:
    # Few enough that a test is quick, and enough for what a world makes at its start.
    async with make_world(party_calls_per_second=3) as world:
        lists = issuance_pb2.ListProductsRequest()
        calls = [world.other.issuance.ListProducts(lists) for _ in range(40)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        failed = [e for e in found if isinstance(e, grpc.aio.AioRpcError)]
        assert 10 <= len(failed) < 40
        assert {e.code() for e in failed} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        await world.issuer.issuance.ListProducts(lists)


async def test_credentials_are_not_guessed(make_world: MakeWorld, clock: HandClock) -> None:
    async with make_world(client_logins_per_minute=5, grpc_proxies=1) as world:
        asked = 0
        authenticate = world.app.credentials.authenticate

        async def counted(api_key: str) -> Any:
            nonlocal asked
            asked += 1
            return await authenticate(api_key)

        world.app.credentials.authenticate = counted  # type: ignore[method-assign]

        def guess(address: str, key: str) -> Any:
            return world.nobody.issuance._stub.ListProducts(
                issuance_pb2.ListProductsRequest(),
                metadata=(("authorization", f"Bearer {key}"), *from_(address)),
                timeout=20,
            )

        said = [(await refused(guess(HOG, f"tc_{n:08}_x"))).reason for n in range(12)]
        assert said == ["INVALID_CREDENTIAL"] * 5 + ["TOO_MANY_REQUESTS"] * 7
        assert asked == 5
        # Who is elsewhere is heard, and so is who had no part in it.
        await guess(OTHER, world.issuer.api_key)


def claim(world: World, code: str, pin: str, address: str, device: str) -> Any:
    """A try at a PIN over gRPC."""
    return world.nobody.verification._stub.ClaimUnit(
        pb.ClaimUnitRequest(code=code, pin=pin, context=pb.ScanContext(device_id=device)),
        metadata=from_(address),
        timeout=20,
    )


async def test_a_pin_is_not_guessed_with_made_up_devices(
    make_world: MakeWorld, clock: HandClock
) -> None:
    async with make_world(client_tries_per_hour=30, grpc_proxies=1, http_proxies=1) as world:
        (code,) = await codes(world)
        for n in range(10):
            answer = await claim(world, code.uri, "AAAAAAAA", HOG, f"device {n}")
            assert answer.status == pb.CLAIM_STATUS_WRONG_PIN
        no = await refused(claim(world, code.uri, code.pin, HOG, "device 10"))
        assert (no.reason, no.metadata) == ("TOO_MANY_REQUESTS", {"limit": "client"})
        assert no.retry_after is not None
        assert 60 < no.retry_after <= 120
        # Nor by another door.
        async with httpx.AsyncClient(base_url=world.http) as http:
            by_connect = await http.post(
                "/tracechain.v1.VerificationService/ClaimUnit",
                json={"code": code.uri, "pin": code.pin, "context": {"deviceId": "x"}},
                headers=dict(from_(HOG)),
            )
            assert by_connect.status_code == 429
        answer = await claim(world, code.uri, code.pin, OTHER, "the owner's")
        assert answer.status == pb.CLAIM_STATUS_CLAIMED


async def test_a_rival_does_not_lock_out_the_owner(make_world: MakeWorld, clock: HandClock) -> None:
    async with make_world(code_tries_per_hour=9, grpc_proxies=1) as world:
        (code,) = await codes(world)
        refusals = 0
        for rival in range(8):
            for n in range(2):
                try:
                    await claim(world, code.uri, "AAAAAAAA", f"198.51.100.{rival}", f"{rival} {n}")
                except grpc.aio.AioRpcError as error:
                    refusals += error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusals == 5
        answer = await claim(world, code.uri, code.pin, OTHER, "the owner's")
        assert answer.status == pb.CLAIM_STATUS_CLAIMED


async def test_without_redis_pins_are_shut_and_verification_is_open(make_world: MakeWorld) -> None:
    with RedisServer() as redis:
        limits = {"client_tries_per_hour": 30, "client_codes_per_second": 100}
        async with make_world(redis_url=redis.url, redis_timeout_ms=1000, **limits) as world:
            (code,) = await codes(world)
            target = Caller(world.channel, "", None, "").verification
            request = pb.ClaimUnitRequest(
                code=code.uri, pin="AAAAAAAA", context=pb.ScanContext(device_id="d")
            )
            assert (await target.ClaimUnit(request)).status == pb.CLAIM_STATUS_WRONG_PIN
            redis.kill()
            no = await refused(target.ClaimUnit(request))
            assert (no.code, no.reason) == (grpc.StatusCode.UNAVAILABLE, "LIMITS_UNAVAILABLE")
            assert no.retry_after
            assert (await world.verify(code.uri)).issuance == pb.ISSUANCE_ISSUED


@pytest.mark.parametrize("said", ["", "192.0.2.9", "192.0.2.9, 192.0.2.10, 192.0.2.11"])
async def test_an_address_that_a_client_makes_up_counts_for_nothing(
    make_world: MakeWorld, clock: HandClock, said: str
) -> None:
    # Nobody is in front, so what stands there is the client's own.
    async with make_world(client_codes_per_second=1) as world:
        several = await codes(world, 12)
        metadata = (("x-forwarded-for", said),) if said else ()

        def scan(code: str) -> Any:
            return world.nobody.verification._stub.VerifyCode(
                pb.VerifyCodeRequest(code=code), metadata=metadata, timeout=20
            )

        for code in several[:10]:
            await scan(code.uri)
        assert (await refused(scan(several[10].uri))).reason == "TOO_MANY_REQUESTS"
        assert (await refused(world.verify(several[11].uri))).reason == "TOO_MANY_REQUESTS"
