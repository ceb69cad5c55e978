"""Cosignatures of witnesses, as many as a policy asks for.

Promises that a witness which is slow, absent, wrong or lying costs nothing but its own cosignature:
all are asked at once, each answer is verified by the policy's keys, and no answer makes us ask for
more than once again. What each one knows is learnt from its own answers, so that nothing has to be
kept: a witness whose answer was lost says so the next time.

C2SP tlog-witness, section add-checkpoint; tlog-policy for the quorum.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from tracechain.app.log.ports import Answer, Witnesses
from tracechain.domain.errors import InvalidArgument, TracechainError
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.note import MAX_SIGNATURES, Note, Signature
from tracechain.domain.log.policy import Policy, Witness
from tracechain.domain.log.witness import AddCheckpoint, Status, cosigned, known_size

_LOG = structlog.get_logger(__name__)
# How long others have once a quorum is there, in seconds: more cosignatures are worth a moment.
_LINGER = 0.25

# The proof that the checkpoint continues the tree of a size.
Prove = Callable[[int], Awaitable[tuple[bytes, ...]]]


@dataclass(slots=True)
class _Desk:
    """One address, and the witnesses that sign there: one may have keys of several types."""

    url: str
    witnesses: list[Witness]
    size: int = 0
    complaint: str = ""


class Collecting:
    """Asks the witnesses of a policy. One checkpoint at a time."""

    def __init__(self, policy: Policy, witnesses: Witnesses, seconds: float) -> None:
        """`seconds` is how long a quorum is waited for.

        Raises InvalidArgument MALFORMED_LOG_POLICY: the witnesses with an address are no quorum.
        """
        self._policy = policy
        self._ask = witnesses.add_checkpoint
        self._seconds = seconds
        desks: dict[str, _Desk] = {}
        for witness in policy.witnesses:
            if witness.url:
                desks.setdefault(witness.url, _Desk(witness.url, [])).witnesses.append(witness)
        self._desks = list(desks.values())
        self._names = {(w.key.name, w.key.key_id): w.name for w in policy.witnesses}
        if not policy.satisfied([w.name for desk in self._desks for w in desk.witnesses]):
            raise InvalidArgument.of(
                "log_policy", "MALFORMED_LOG_POLICY", "has no quorum of witnesses with an address"
            )

    async def collect(self, note: Note, prove: Prove) -> Note:
        """The note with the cosignatures that came, a quorum or not: as soon as there is one, and
        a moment for the rest, or when time is up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        found: list[Signature] = []
        satisfied = False
        waiting = {asyncio.create_task(self._visit(desk, note, prove)) for desk in self._desks}
        try:
            while waiting:
                if not satisfied and self._policy.satisfied(self._signers(found)):
                    satisfied, until = True, min(until, loop.time() + _LINGER)
                done, waiting = await asyncio.wait(
                    waiting,
                    timeout=max(0.0, until - loop.time()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    break
                for task in done:
                    found += task.result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return note.signed(*found[: MAX_SIGNATURES - len(note.signatures)])

    def _signers(self, signatures: list[Signature]) -> list[str]:
        return [self._names[signature.name, signature.key_id] for signature in signatures]

    async def _visit(self, desk: _Desk, note: Note, prove: Prove) -> tuple[Signature, ...]:
        """The cosignatures of one desk; none where something is wrong, which is logged once."""
        size = Checkpoint.parse(note.text).size
        try:
            answer = await self._add(desk, note, prove)
            if answer.status == Status.OTHER_SIZE:
                known = known_size(answer.body.decode(errors="replace"))
                if known > size:
                    # Ours is old, or another one signs as this log, or the witness lies.
                    return self._complain(desk, f"knows a larger tree, of {known} leaves")
                desk.size = known
                answer = await self._add(desk, note, prove)
            if answer.status != Status.COSIGN:
                words = answer.body[:200].decode(errors="replace").strip()
                return self._complain(desk, f"answered {answer.status}: {words}")
            keys = [witness.key for witness in desk.witnesses]
            signed = cosigned(note, answer.body, keys)
        except TracechainError as error:
            return self._complain(desk, f"{error.reason}: {error.message}")
        desk.size = size
        if desk.complaint:
            desk.complaint = ""
            _LOG.info("witness_cosigns_again", url=desk.url)
        return signed.signatures[len(note.signatures) :]

    async def _add(self, desk: _Desk, note: Note, prove: Prove) -> Answer:
        request = AddCheckpoint(desk.size, await prove(desk.size), note)
        return await self._ask(desk.url, request.encode())

    def _complain(self, desk: _Desk, why: str) -> tuple[Signature, ...]:
        if why != desk.complaint:
            desk.complaint = why
            _LOG.warning("witness_did_not_cosign", url=desk.url, why=why)
        return ()
