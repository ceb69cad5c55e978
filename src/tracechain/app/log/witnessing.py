"""The witness: cosigns checkpoints of the logs that it knows, each continuing the one before.

Promises that of one log it never cosigns two trees of which the later does not continue the
earlier: not to two who ask at once, not after a kill at any moment, not as two processes on one
state. What a request is compared with is read, and replaced, within one hold of that log; a
cosignature leaves once the note that has it is durable. That note is also what monitors are served.

C2SP tlog-witness, sections add-checkpoint and Monitor Retrieval Mechanism; of the optional
sign-subtree nothing is spoken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from tracechain.app.log.ports import Answer, Heads
from tracechain.domain.errors import DataCorrupted, InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.cosignature import Cosigner, timestamp_of, verifier
from tracechain.domain.log.note import Note, Signature, VerifierKey, verify
from tracechain.domain.log.witness import AddCheckpoint, Decision, Status, decide

if TYPE_CHECKING:
    # Not at run time: the signer knows nothing of what the service stores.
    from tracechain.app.ports import Clock

_LOG = structlog.get_logger(__name__)


class Witnessing:
    """Answers requests, from the thread that asks."""

    def __init__(
        self,
        keys: Sequence[Cosigner],
        logs: Mapping[str, Sequence[VerifierKey]],
        heads: Heads,
        clock: Clock,
    ) -> None:
        """`logs` are the trusted keys of each known log by its origin."""
        self._keys = keys
        self._logs = logs
        self._heads = heads
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to a request. Raises DataCorrupted LOG_STATE_LOST, Unavailable
        LOG_STATE_UNAVAILABLE, InvalidArgument UNSUPPORTED_ALGORITHM: nothing is cosigned then."""
        try:
            request = AddCheckpoint.parse(body)
        except InvalidArgument as error:
            return Answer(Status.MALFORMED, f"{error.message}\n".encode())
        origin = request.checkpoint.origin
        # Whatever is refused is refused without a hold: nobody can keep a log's own requests
        # waiting but by requests that are the log's.
        decision = self._decide(request)
        if decision.status is Status.COSIGN:
            with self._heads.held(origin):
                decision = self._decide(request)
                if decision.status is Status.COSIGN:
                    return self._cosign(request)
        if decision.status is Status.INCONSISTENT:
            # The log's own key signed it: evidence against the log, and worth a line.
            evidence = Note(request.note.text, self._of_log(request.note, origin))
            _LOG.error(
                "log_inconsistent", origin=origin, why=decision.body.strip(),
                note=evidence.encode().decode(),
            )  # fmt: skip
        return Answer(decision.status, decision.body.encode())

    def check(self) -> None:
        """Looks at the state of each log, before anybody asks. Raises DataCorrupted
        LOG_STATE_LOST, Unavailable LOG_STATE_UNAVAILABLE."""
        for origin in self._logs:
            self._head(origin)

    def checkpoint(self, origin: str) -> Answer:
        """The latest note that was cosigned of a log: 200, or 404."""
        note = self._heads.latest(origin) if origin in self._logs else None
        if note is None:
            return Answer(404, b"no checkpoint of this log was cosigned\n")
        return Answer(200, note.encode())

    def _decide(self, request: AddCheckpoint) -> Decision:
        origin = request.checkpoint.origin
        known = self._logs.get(origin, ())
        return decide(request, known, self._head(origin) if known else Head())

    def _cosign(self, request: AddCheckpoint) -> Answer:
        checkpoint = request.checkpoint
        now = self._clock() // 1_000_000
        if kept := self._kept(request.note.text, checkpoint.origin, now):
            return Answer(Status.COSIGN, "".join(map(str, kept)).encode())
        made = [key.sign(checkpoint, now) for key in self._keys]
        note = Note(request.note.text, (*self._of_log(request.note, checkpoint.origin), *made))
        self._heads.put(checkpoint.origin, note)
        return Answer(Status.COSIGN, "".join(map(str, made)).encode())

    def _kept(self, text: str, origin: str, now: int) -> tuple[Signature, ...]:
        """The cosignatures of this second, where they are of the same checkpoint: what is asked
        over and over, as anybody can, is written once a second."""
        note = self._heads.latest(origin)
        if note is None or note.text != text:
            return ()
        made = verify(note, [verifier(key.key) for key in self._keys])
        return made if {timestamp_of(one) for one in made} == {now} else ()

    def _of_log(self, note: Note, origin: str) -> tuple[Signature, ...]:
        """The log's signatures. Strangers' are not handed on: nobody here has looked at them."""
        return verify(note, [verifier(key) for key in self._logs[origin]])

    def _head(self, origin: str) -> Head:
        """What was cosigned last. Raises DataCorrupted LOG_STATE_LOST where the state holds what
        these keys did not sign."""
        note = self._heads.latest(origin)
        if note is None:
            return Head()
        try:
            verify(note, [verifier(key.key) for key in self._keys])
            checkpoint = Checkpoint.parse(note.text)
        except InvalidArgument as error:
            raise DataCorrupted(
                "LOG_STATE_LOST", f"the state of {origin}: {error.message}"
            ) from None
        if checkpoint.origin != origin:
            raise DataCorrupted("LOG_STATE_LOST", f"the state of {origin} is another log's")
        return Head(checkpoint.size, checkpoint.root)
