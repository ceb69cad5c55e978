"""Claiming by PIN: the first right one wins, and who guesses locks out nobody but himself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.claim import (
    MAX_TRIES,
    WINDOW,
    Claim,
    ClaimAttempt,
    ClaimStatus,
    Tries,
    judge,
)
from tracechain.v1 import verification_pb2

ME, OTHER = b"me.8byte", b"you8byte"
S = ClaimStatus


def attempt(time: int = 0, right: bool = True, device: bytes = ME) -> ClaimAttempt:
    """A try for the unit."""
    return ClaimAttempt(5, 7, device, time, right)


def test_the_first_right_pin_claims() -> None:
    assert judge(attempt(9), None, None) == (
        Claim(S.CLAIMED, 9, MAX_TRIES),
        Tries(9, 0),
        True,
    )


def test_a_claimed_unit_tells_since_when_and_whether_by_you() -> None:
    for owner, status in ((ME, S.CLAIMED_BY_YOU), (OTHER, S.CLAIMED_BEFORE)):
        claim, tries, claims = judge(attempt(9), None, (owner, 4))
        assert (claim, tries, claims) == (Claim(status, 4, MAX_TRIES), Tries(9, 0), False)


def test_a_wrong_pin_tells_nothing_but_the_tries_left() -> None:
    for owner in (None, (ME, 4), (OTHER, 4)):
        claim, tries, claims = judge(attempt(9, right=False), None, owner)
        assert (claim, tries, claims) == (
            Claim(S.WRONG_PIN, None, MAX_TRIES - 1),
            Tries(9, 1),
            False,
        )


def test_tries_run_out_and_then_the_right_pin_is_not_looked_at() -> None:
    tries, left = None, []
    for time in range(MAX_TRIES):
        claim, tries, _ = judge(attempt(time, right=False), tries, None)
        left.append(claim.tries_left)
    assert left == [4, 3, 2, 1, 0]
    for right in (True, False):
        claim, after, claims = judge(attempt(10, right), tries, None)
        assert (claim, after, claims) == (Claim(S.TOO_MANY_TRIES, None, 0), tries, False)


@pytest.mark.parametrize(("later", "status"), [(WINDOW - 1, S.TOO_MANY_TRIES), (WINDOW, S.CLAIMED)])
def test_after_an_hour_there_are_tries_again(later: int, status: ClaimStatus) -> None:
    """The hour counts from the first wrong PIN, not from the last: guessing on does not help, and
    does not hurt for ever."""
    used_up = Tries(1000, MAX_TRIES)
    assert judge(attempt(1000 + later), used_up, None)[0].status is status


def test_a_right_pin_costs_no_try() -> None:
    claim, tries, _ = judge(attempt(5), Tries(1, 3), (ME, 4))
    assert (claim.tries_left, tries) == (2, Tries(1, 3))


def test_statuses_are_those_of_the_api() -> None:
    names = verification_pb2.ClaimStatus.DESCRIPTOR.values_by_name
    assert {n.removeprefix("CLAIM_STATUS_") for n in names} - {"UNSPECIFIED"} == {
        status.value.upper() for status in ClaimStatus
    }


attempts = st.lists(
    st.tuples(st.integers(0, WINDOW // 3), st.booleans(), st.sampled_from([ME, OTHER])), max_size=40
)


@given(attempts)
def test_whoever_tries_one_claims_at_most_and_each_guesses_five_times_an_hour(
    steps: list[tuple[int, bool, bytes]],
) -> None:
    now, owner = 0, None
    tries: dict[bytes, Tries] = {}
    wrong: dict[bytes, list[int]] = {ME: [], OTHER: []}
    winners = 0
    for wait, right, device in steps:
        now += wait
        claim, tries[device], claims = judge(attempt(now, right, device), tries.get(device), owner)
        assert 0 <= claim.tries_left <= MAX_TRIES
        assert (claim.status is S.CLAIMED) is claims
        if claims:
            owner, winners = (device, now), winners + 1
        if claim.status is S.WRONG_PIN:
            wrong[device].append(now)
        # Nobody is told of a claim who does not have the PIN.
        assert (claim.claim_time is not None) <= right
    assert winners <= 1
    for times in wrong.values():
        # Two windows may touch: five at the end of one and five at the start of the next.
        assert all(
            len([t for t in times if start <= t < start + WINDOW]) <= 2 * MAX_TRIES
            for start in times
        )
