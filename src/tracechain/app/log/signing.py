"""The signer: signs checkpoints of one log, each of which continues the one before.

Promises that no signature leaves before the note that has it is durable, and that of several
signers on one state, threads or processes, each sees what the other signed. So whoever dies, at
whatever moment, the next one knows of every signature that anybody may have seen. A state that is
missing beside a key is refused: from an empty one every history could be signed once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from tracechain.app.log.ports import Answer, Heads
from tracechain.domain.errors import DataCorrupted, FailedPrecondition, InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint, Head, verify_checkpoint
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.merkle import EMPTY_ROOT
from tracechain.domain.log.note import Note
from tracechain.domain.log.signing import (
    SignCheckpoint,
    SigningKey,
    decide_to_sign,
    sign_checkpoint,
)
from tracechain.domain.log.witness import Status

if TYPE_CHECKING:
    # Not at run time: the signer knows nothing of what the service stores.
    from tracechain.app.ports import Clock

_LOG = structlog.get_logger(__name__)


class Signing:
    """Answers requests to sign, from the thread that asks."""

    def __init__(self, keys: Sequence[SigningKey], heads: Heads, clock: Clock) -> None:
        """`keys` are those of one log, at least one; their name is its origin."""
        self._keys = keys
        self._verifiers = [verifier(key.key) for key in keys]
        self._heads = heads
        self._clock = clock
        self.origin = keys[0].key.name

    def vkeys(self) -> bytes:
        """The keys to verify with, one a line."""
        return "".join(f"{one.key}\n" for one in self._verifiers).encode()

    def sign(self, body: bytes) -> Answer:
        """See tracechain.app.log.ports.Signer. Raises DataCorrupted LOG_STATE_LOST, Unavailable
        LOG_STATE_UNAVAILABLE: nothing is signed then."""
        try:
            request = SignCheckpoint.parse(body)
        except InvalidArgument as error:
            return Answer(Status.MALFORMED, f"{error.message}\n".encode())
        with self._heads.held(self.origin):
            latest = self.latest()
            decision = decide_to_sign(request, self.origin, Head(latest.size, latest.root))
            if decision.status is not Status.COSIGN:
                if decision.status is Status.INCONSISTENT or request.checkpoint.size < latest.size:
                    # A restored backup of the store, or a second history.
                    _LOG.error(
                        "checkpoint_refused", reason="LOG_ROLLED_BACK", origin=self.origin,
                        asked=request.checkpoint.size, signed=latest.size, status=decision.status,
                    )  # fmt: skip
                return Answer(decision.status, decision.body.encode())
            note = self._signed(request.checkpoint)
            self._heads.put(self.origin, note)
        return Answer(Status.COSIGN, "".join(map(str, note.signatures)).encode())

    def begin(self) -> None:
        """Signs the empty tree: the state of a key that was made just now."""
        with self._heads.held(self.origin):
            self._heads.put(self.origin, self._signed(Checkpoint(self.origin, 0, EMPTY_ROOT)))

    def adopt(self, note: Note) -> Checkpoint:
        """Takes a checkpoint of this log for what was signed last, where the state was lost.

        Raises InvalidArgument MALFORMED_CHECKPOINT, FALSE_SIGNATURE, NOT_SIGNED: these keys did
        not sign it; FailedPrecondition LOG_ROLLED_BACK: a later one is known to have been signed.
        """
        checkpoint = verify_checkpoint(note, self._verifiers)
        with self._heads.held(self.origin):
            try:
                known = self.latest().size
            except DataCorrupted:
                known = 0
            if checkpoint.size < known:
                raise FailedPrecondition(
                    "LOG_ROLLED_BACK", f"a tree of {known} leaves was signed already"
                )
            self._heads.put(self.origin, note)
        return checkpoint

    def latest(self) -> Checkpoint:
        """What was signed last. Raises DataCorrupted LOG_STATE_LOST: there is no state, or it is
        not of these keys; Unavailable LOG_STATE_UNAVAILABLE."""
        note = self._heads.latest(self.origin)
        if note is None:
            raise _lost("there is none")
        try:
            return verify_checkpoint(note, self._verifiers)
        except InvalidArgument as error:
            raise _lost(error.message) from None

    def _signed(self, checkpoint: Checkpoint) -> Note:
        return sign_checkpoint(checkpoint, self._keys, self._clock() // 1_000_000)


def _lost(why: str) -> DataCorrupted:
    return DataCorrupted(
        "LOG_STATE_LOST",
        f"what was signed last is not known beside the key that signed it: {why}; nothing is "
        "signed until it is restored (`tracechain log adopt`)",
    )
