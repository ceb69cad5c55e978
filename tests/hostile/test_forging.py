"""Codes that nobody issued: guessed, taken apart and put together anew."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.limits import guesses
from tests.support.service import World, outcome, reasons
from tracechain.v1 import issuance_pb2
from tracechain.v1 import verification_pb2 as pb

GUESSES = 3000


def taken_apart(uri: str) -> tuple[str, bytes]:
    """A code as what stands before its token, and its token."""
    head, _, token = uri.partition("?91=")
    return head, base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def put_together(head: str, token: bytes) -> str:
    return f"{head}?91={base64.urlsafe_b64encode(token).decode().rstrip('=')}"


async def pair(world: World) -> list[str]:
    """A good code of either profile."""
    lot = await world.lot()
    return [
        (await lot.issue(1, request_id=f"p{profile}", profile=profile))[0].uri
        for profile in (issuance_pb2.CODE_PROFILE_SIGNED, issuance_pb2.CODE_PROFILE_COMPACT)
    ]


async def test_no_guess_hits_and_none_reaches_the_store(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = await pair(world)
    asked: list[str] = []
    scanning = world.app.scanning
    for part in (scanning._facts, scanning._truth):
        real = part.batch

        def spied(number: int, real: Any = real) -> Any:
            asked.append(f"batch {number}")
            return real(number)

        monkeypatch.setattr(part, "batch", spied)
    for name in ("get_product", "get_batch"):
        real_call = getattr(world.app.store, name)

        def counted(*given: Any, name: str = name, real_call: Any = real_call) -> Any:
            asked.append(name)
            return real_call(*given)

        monkeypatch.setattr(world.app.store, name, counted)
    seen = set()
    made = list(guesses(codes, GUESSES, seed=7))
    assert len(set(made)) == GUESSES
    for start in range(0, GUESSES, 1000):
        part_of = [pb.VerifyCodeRequest(code=code) for code in made[start : start + 1000]]
        answer = await world.nobody.verification.BatchVerifyCodes(
            pb.BatchVerifyCodesRequest(requests=part_of)
        )
        seen |= {(outcome(v), tuple(reasons(v)), v.issuance) for v in answer.verdicts}
    assert seen == {("COUNTERFEIT", ("TOKEN_FALSE",), pb.ISSUANCE_NOT_ISSUED)}
    assert asked == []
    # The same way asks them for a good one: it is really these that were watched.
    assert outcome(await world.verify(codes[0])) == "GENUINE"
    assert len(asked) > 0


def forged(signed: str, compact: str, of_other: str) -> Iterator[tuple[str, str]]:
    """What a forger makes of two good codes and one of another issuer."""
    head, token = taken_apart(signed)
    short_head, short = taken_apart(compact)
    other_head, other = taken_apart(of_other)
    for nibble in range(16):
        if nibble != token[0] & 15:
            yield f"algorithm {nibble}", put_together(head, bytes([16 | nibble]) + token[1:])
    for version in (0, 2, 15):
        yield (
            f"version {version}",
            put_together(head, bytes([version << 4 | token[0] & 15]) + token[1:]),
        )
    yield "no signature", put_together(head, token[:3])
    yield "signature of nothing", put_together(head, token[:3] + bytes(64))
    yield "the other's key", put_together(head, token[:1] + other[1:3] + token[3:])
    yield "the other's proof", put_together(head, other)
    yield "the other's unit", put_together(other_head, token)
    yield "another unit of its own", put_together(short_head, token)
    yield "a short proof cut from a long one", put_together(head, token[1:3] + token[3:13])
    yield "a long proof made of a short one", put_together(head, token[:3] + short[2:] + bytes(54))
    yield (
        "the proof's halves changed about",
        put_together(head, token[:3] + token[35:] + token[3:35]),
    )


async def test_no_way_to_put_codes_together_makes_one(world: World) -> None:
    signed, compact = await pair(world)
    theirs = await (await world.lot(world.other)).issue(1)
    for how, code in forged(signed, compact, theirs[0].uri):
        verdict = await world.verify(code)
        assert outcome(verdict) in ("COUNTERFEIT", "UNKNOWN"), how
        assert verdict.issuance != pb.ISSUANCE_ISSUED, how
        claim = await world.nobody.verification.ClaimUnit(
            pb.ClaimUnitRequest(code=code, pin="AAAAAAAA", context=pb.ScanContext(device_id="d"))
        )
        assert claim.status == pb.CLAIM_STATUS_NOT_ISSUED, how
    assert outcome(await world.verify(signed)) == "GENUINE"


async def test_a_good_code_that_is_sent_again_is_counted_and_never_twice_the_first(
    world: World,
) -> None:
    signed, _ = await pair(world)
    counts = [(await world.verify(signed, device=f"d{n}")).previous_scans for n in range(4)]
    assert counts == [0, 1, 2, 3]


async def test_more_codes_than_were_authorised(world: World) -> None:
    lot = await world.lot(quantity=10)
    await lot.issue(10)
    for quantity in (1, 10**6, 2**31 - 1):
        with pytest.raises(Exception, match=r"FAILED_PRECONDITION|INVALID_ARGUMENT"):
            await lot.issue(quantity, request_id=f"more {quantity}")
    # Nobody else orders them either, nor raises what may be ordered.
    stranger = type(lot)(world.other, lot.gtin, lot.lot, lot.number)
    with pytest.raises(Exception, match="NOT_FOUND"):
        await stranger.issue(1, request_id="stranger")
