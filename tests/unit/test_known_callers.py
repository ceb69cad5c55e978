"""Callers that are known by what they showed: until when, how many, and what is kept of it."""

from __future__ import annotations

import hashlib
import os

from tracechain.app.known_callers import KnownCallers
from tracechain.domain.party import Principal, Role

SHOWN = "tck_aaaaaaaaaaaaaaaa_ofavery5ecret5ecret"
PRINCIPAL = Principal("6901234000023", Role.ISSUER, credential_id="aaaaaaaaaaaaaaaa")


class HandClock:
    """A clock that stands still until it is moved."""

    now = 1_000

    def __call__(self) -> int:
        return self.now


def test_a_caller_is_known_before_the_moment_and_not_at_it() -> None:
    clock = HandClock()
    known = KnownCallers(clock, os.urandom)
    assert known.get(SHOWN) is None
    known.keep(SHOWN, PRINCIPAL, 1_500)
    clock.now = 1_499
    assert known.get(SHOWN) is PRINCIPAL
    for other in (SHOWN + "x", SHOWN[:-1], SHOWN.upper(), "", "\udcff"):
        assert known.get(other) is None
    clock.now = 1_500
    assert known.get(SHOWN) is None
    known.keep(SHOWN, PRINCIPAL, 1_501)
    assert known.get(SHOWN) is PRINCIPAL


def test_a_credential_that_changed_is_known_no_longer_and_all_others_are() -> None:
    known = KnownCallers(HandClock(), os.urandom)
    other = Principal("6901234000030", Role.HANDLER, credential_id="bbbbbbbbbbbbbbbb")
    known.keep(SHOWN, PRINCIPAL, 2_000)
    known.keep("another", other, 2_000)
    known.forget(PRINCIPAL.credential_id)
    assert known.get(SHOWN) is None
    assert known.get("another") is other
    known.forget("nobody's")
    assert known.get("another") is other


def test_what_is_kept_of_a_secret_can_be_compared_with_nothing_elsewhere() -> None:
    processes = [KnownCallers(HandClock(), os.urandom) for _ in range(2)]
    for known in processes:
        known.keep(SHOWN, PRINCIPAL, 2_000)
    first, second = (set(known._known) for known in processes)
    assert first.isdisjoint(second)
    for part in (SHOWN, SHOWN.rpartition("_")[2]):
        hashes = [hashlib.new(name, part.encode()).digest() for name in ("sha256", "blake2s")]
        hashes.append(hashlib.blake2b(part.encode(), digest_size=32).digest())
        assert first.isdisjoint(hashes)
        assert part not in repr(vars(processes[0]))


def test_no_more_are_kept_than_there_is_room_for() -> None:
    known = KnownCallers(HandClock(), os.urandom)
    for number in range(25_000):
        known.keep(f"{number}", PRINCIPAL, 2_000)
        assert len(known._known) <= 10_000
    assert known.get("24999") is PRINCIPAL
