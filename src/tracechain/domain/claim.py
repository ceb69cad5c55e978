"""Claiming a unit by the PIN under its scratch layer: the first correct PIN wins.

Tries are limited for each pair of code and device, so that a stranger who guesses can lock out
himself and nobody else; 40 bits of PIN make guessing from many devices hopeless all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_TRIES = 5
WINDOW = 3_600_000_000


class ClaimStatus(StrEnum):
    """See ClaimStatus in protos/tracechain/v1/verification.proto."""

    CLAIMED = "claimed"
    CLAIMED_BY_YOU = "claimed_by_you"
    CLAIMED_BEFORE = "claimed_before"
    WRONG_PIN = "wrong_pin"
    TOO_MANY_TRIES = "too_many_tries"
    NOT_ISSUED = "not_issued"


@dataclass(frozen=True, slots=True)
class ClaimAttempt:
    """One try. `device` is a mark that is good for this unit alone."""

    batch_key: int
    unit: int
    device: bytes
    time: int
    pin_is_right: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of a try. `claim_time` is set where the unit is claimed."""

    status: ClaimStatus
    claim_time: int | None
    tries_left: int


@dataclass(frozen=True, slots=True)
class Tries:
    """Wrong PINs of one device for one unit since `window_start`."""

    window_start: int
    count: int


def judge(
    attempt: ClaimAttempt, tries: Tries | None, owner: tuple[bytes, int] | None
) -> tuple[Claim, Tries, bool]:
    """What a try comes to: the answer, the tries to keep, and whether it claims the unit.

    `owner` is (device mark, claim time) of the one who claimed it before. A window of one hour
    starts with the first wrong PIN; a right PIN costs no try, but is not looked at once the
    tries are used up: otherwise the limit would limit nothing.
    """
    if tries is None or attempt.time - tries.window_start >= WINDOW:
        tries = Tries(attempt.time, 0)
    left = MAX_TRIES - tries.count
    if left <= 0:
        return Claim(ClaimStatus.TOO_MANY_TRIES, None, 0), tries, False
    if not attempt.pin_is_right:
        tries = Tries(tries.window_start, tries.count + 1)
        return Claim(ClaimStatus.WRONG_PIN, None, left - 1), tries, False
    if owner is None:
        return Claim(ClaimStatus.CLAIMED, attempt.time, left), tries, True
    mark, time = owner
    mine = mark == attempt.device
    status = ClaimStatus.CLAIMED_BY_YOU if mine else ClaimStatus.CLAIMED_BEFORE
    return Claim(status, time, left), tries, False
