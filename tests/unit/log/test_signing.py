"""What a signer is asked has one spelling, and it signs what a witness would cosign."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.histories import FORK, MAIN, ORIGIN, SHARED, History
from tests.unit.log.trees import ed25519_key
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.merkle import EMPTY_ROOT
from tracechain.domain.log.note import NoteSigner
from tracechain.domain.log.signing import (
    MAX_SIGN_BYTES,
    SignCheckpoint,
    decide_to_sign,
    sign_checkpoint,
)
from tracechain.domain.log.witness import AddCheckpoint, Status, decide

LOG = NoteSigner(ORIGIN, ed25519_key(1))
BODY = MAIN.to_sign(40, 90)
SIZES = st.integers(0, 2 * SHARED)
HISTORIES = st.sampled_from([MAIN, FORK])


@given(st.binary(max_size=4), st.integers(0, len(BODY)), st.integers(0, 4))
def test_a_request_has_one_spelling(patch: bytes, at: int, width: int) -> None:
    """Whatever is read is what it would be written as."""
    body = BODY[:at] + patch + BODY[at + width :]
    try:
        found = SignCheckpoint.parse(body)
    except InvalidArgument:
        return
    assert found.encode() == body


@given(HISTORIES, HISTORIES, SIZES, st.none() | SIZES, SIZES)
def test_it_signs_what_a_witness_of_the_same_state_cosigns(
    state: History, history: History, latest: int, other: int | None, size: int
) -> None:
    old = latest if other is None else other
    to_sign = SignCheckpoint.parse(history.to_sign(old, size))
    to_cosign = AddCheckpoint.parse(history.to_cosign(old, size, LOG))
    head = state.head(latest)
    decision = decide_to_sign(to_sign, ORIGIN, head)
    assert decision == decide(to_cosign, [LOG.key], head)
    one = history is state or min(latest, size) <= SHARED
    honest = old == latest <= size and one
    assert (decision.status is Status.COSIGN) is honest


def test_what_is_not_its_own_is_not_signed() -> None:
    request = SignCheckpoint.parse(MAIN.to_sign(0, 5))
    assert decide_to_sign(request, "other.example", Head()).status is Status.UNKNOWN_LOG
    extended = Checkpoint(ORIGIN, 5, MAIN.head(5).root, ("more",))
    for body in (
        SignCheckpoint(0, (), extended).encode(),
        b"old 0\n\n" + Checkpoint("é", 0, EMPTY_ROOT).text.encode("latin-1"),
        BODY + b"x" * MAX_SIGN_BYTES,
    ):
        with pytest.raises(InvalidArgument):
            SignCheckpoint.parse(body)
    note = sign_checkpoint(request.checkpoint, [LOG], 1)
    assert note.signatures == (LOG.sign(request.checkpoint.text),)
    full = SignCheckpoint(1, (bytes(32),) * 63, Checkpoint("o" * 255, 1 << 62, bytes(32)))
    assert SignCheckpoint.parse(full.encode()) == full
