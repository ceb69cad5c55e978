"""Publishing: the tree as it grew becomes a checkpoint that was signed and witnessed.

Promises that what is published was signed by the log's signer, satisfies the policy where one is
set, and continues what was published before; where that cannot be had, nothing new is published,
that is said loudly, and serving goes on with what there is. Were an unwitnessed
checkpoint published under a policy, clients that ask for witnesses would turn away from all of
them, and those that do not would rely on a tree that nobody else has seen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial

import structlog

from tracechain.app.log.collecting import Collecting
from tracechain.app.log.ports import Signer
from tracechain.app.log.proofs import consistency_proof
from tracechain.app.ports import LogStore
from tracechain.domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    TracechainError,
    Unavailable,
)
from tracechain.domain.log.checkpoint import Checkpoint, Head, verify_checkpoint
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.note import Note, Verifier, VerifierKey, parse_lines, verify
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.signing import SignCheckpoint
from tracechain.domain.log.witness import Status, known_size

_LOG = structlog.get_logger(__name__)
# How often trouble that stays is told again, in seconds.
_AGAIN = 60.0
# Sizes that a signer may name until it is believed to have none: another node asks it as well.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """How publishing stands: the size of the tree that is published, as far as this process knows,
    and of the one that is to be, -1 for none; and the reason why it is not, empty where there is
    none. `since` is when that trouble began, by the clock of the loop."""

    published: int = -1
    wanted: int = -1
    reason: str = ""
    since: float = 0.0


class Publishing:
    """Publishes one tree at a time, for a caller that comes again."""

    def __init__(
        self,
        log: LogStore,
        signer: Signer,
        policy: Policy | None = None,
        collecting: Collecting | None = None,
    ) -> None:
        """With a policy also what collects for it."""
        self._log = log
        self._signer = signer
        self._policy = policy
        self._collecting = collecting
        self._keys: list[Verifier] = []
        self._published: int | None = None
        self._signed = 0
        self._said = 0.0
        self.standing = Standing()

    async def publish(self, fence: int, head: Head) -> None:
        """Publishes the tree, where it is larger than the published one, for the holder of the
        lease with this fencing number. Where that cannot be, it is told in the log and in
        `standing`, and nothing is raised: the next call tries again."""
        try:
            await self._publish(fence, head)
        except TracechainError as error:
            self._trouble(error, head.size)
            return
        if self.standing.reason:
            _LOG.info("checkpoints_again", size=head.size)
        self.standing = Standing(self._known(), head.size)

    async def _publish(self, fence: int, head: Head) -> None:
        keys = self._keys or await self._learn()
        if self._published is None:
            self._published = await self._last_published(keys)
        if head.size <= self._published:
            return
        note = await self._sign(keys, head)
        if note is None:
            return
        if self._policy is not None and self._collecting is not None:
            prove = partial(consistency_proof, self._log, size=head.size)
            note = await self._collecting.collect(note, prove)
            self._policy.accept(note, keys)
        if await self._log.put_checkpoint(fence, head.size, note.encode()):
            self._published = head.size
        else:
            # Another node has the lease, and will publish; what it did is read when we have it.
            self._published = None

    async def _learn(self) -> list[Verifier]:
        """The signer's keys. Raises Unavailable LOG_SIGNER_UNAVAILABLE."""
        lines = (await self._signer.keys()).decode(errors="replace").splitlines()
        try:
            self._keys = [verifier(VerifierKey.parse(line)) for line in lines]
        except InvalidArgument as error:
            raise _unusable(error.message) from None
        if len({one.key.name for one in self._keys}) != 1:
            self._keys = []
            raise _unusable("it has not the keys of one log")
        return self._keys

    async def _last_published(self, keys: list[Verifier]) -> int:
        """The size that was published last, -1 before the first. Raises FailedPrecondition
        LOG_SIGNER_OTHER: another key signed it, by the same name."""
        note = await self._log.get_checkpoint()
        if note is None:
            return -1
        published = Note.parse(note)
        if Checkpoint.parse(published.text).origin != keys[0].key.name:
            return -1  # a new log was begun, of which nothing is published
        try:
            return verify_checkpoint(published, keys).size
        except InvalidArgument as error:
            raise FailedPrecondition(
                "LOG_SIGNER_OTHER",
                f"the signer's keys are not those of the published checkpoints: {error.message}",
            ) from None

    async def _sign(self, keys: list[Verifier], head: Head) -> Note | None:
        """The tree's checkpoint; None where another node is further. Raises FailedPrecondition
        LOG_ROLLED_BACK, Unavailable LOG_SIGNER_UNAVAILABLE, DataCorrupted LOG_TILE_MISSING."""
        checkpoint = Checkpoint(keys[0].key.name, head.size, head.root)
        for _ in range(_TRIES):
            if self._signed > head.size:
                await self._find_out(head)
                return None
            proof = await consistency_proof(self._log, self._signed, head.size)
            request = SignCheckpoint(self._signed, proof, checkpoint)
            answer = await self._signer.sign(request.encode())
            text = answer.body.decode(errors="replace")
            if answer.status == Status.COSIGN:
                note = Note(checkpoint.text, parse_lines(text))
                note = replace(note, signatures=verify(note, keys))
                self._signed = head.size
                return note
            if answer.status == Status.INCONSISTENT:
                raise _rolled_back(f"it is another tree than the signed one: {text.strip()}")
            if answer.status != Status.OTHER_SIZE:
                raise _unusable(f"it answered {answer.status}: {text[:200].strip()}")
            self._signed = known_size(text)
        raise _unusable("it names another size each time")

    async def _find_out(self, head: Head) -> None:
        """Whether more was signed because another node went on, or the store lost leaves."""
        signed, self._signed = self._signed, 0
        now = await self._log.log_head()
        if now.size < signed:
            raise _rolled_back(f"it has {now.size} leaves, and a tree of {signed} was signed")

    def _known(self) -> int:
        return -1 if self._published is None else self._published

    def _trouble(self, error: TracechainError, wanted: int) -> None:
        now = asyncio.get_running_loop().time()
        anew = error.reason != self.standing.reason
        since = now if anew else self.standing.since
        self.standing = Standing(self._known(), wanted, error.reason, since)
        if error.reason == "LOG_SIGNER_UNAVAILABLE":
            # Another one may stand there when it is back.
            self._keys, self._published = [], None
        if anew or now - self._said >= _AGAIN:
            self._said = now
            _LOG.error(
                "checkpoint_not_published", reason=error.reason, why=error.message,
                size=wanted, seconds=round(now - since),
            )  # fmt: skip


def _rolled_back(why: str) -> FailedPrecondition:
    return FailedPrecondition(
        "LOG_ROLLED_BACK", f"the store is not the one whose checkpoints were signed: {why}"
    )


def _unusable(why: str) -> Unavailable:
    return Unavailable("LOG_SIGNER_UNAVAILABLE", f"the log's signer cannot be used now: {why}")
