"""Watching a log: what it publishes is looked at again and again, and what is wrong is said.

Promises that nothing is forgotten: the largest tree that the log signed is kept durably before it
is told, so a log that shows another one later is found out, also after a restart. A fork is told
with evidence that stands by itself, once that is on the disk. A checkpoint without its quorum is
compared all the same, for such a one is what somebody would be shown who is to be deceived.

What a watch cannot see: a history that is shown to others alone. Witnesses are for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from tracechain.app.log.following import Course, Signed, TiledLog, compare, kept, proved_edge
from tracechain.domain.errors import DataCorrupted, InvalidArgument, Unavailable
from tracechain.domain.log.checkpoint import Checkpoint, verify_checkpoint
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.fork import Fork
from tracechain.domain.log.note import Note
from tracechain.domain.log.policy import Policy

# A witness whose clock is ahead by more than this says nothing of the present.
SKEW = 300
FORK, ROLLBACK, SILENCE = "FORK", "ROLLBACK", "SILENCE"


@dataclass(frozen=True, slots=True)
class Memory:
    """What a watch knows: the note of the largest tree that the log signed, none before the first;
    and when the log was last seen alive, in POSIX seconds."""

    note: bytes | None
    alive: int


class Notebook(Protocol):
    """Where a watch keeps what it knows. One process at a time works on it."""

    async def memory(self) -> Memory | None:
        """What was put last; None at first. Raises DataCorrupted STATE_DAMAGED."""

    async def put_memory(self, memory: Memory) -> None:
        """Keeps it, durably, in the place of what was there."""

    async def keep(self, fork: Fork) -> str:
        """Keeps evidence, durably; where."""

    async def keep_rollback(self, known: Note, found: Note) -> str:
        """Keeps both notes, durably; where. The times in cosignatures tell which is older."""

    async def forks(self) -> list[str]:
        """Where evidence of forks was kept, also earlier."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong: FORK, ROLLBACK, SILENCE, or the reason why a checkpoint, or a tile below it,
    is not the log's (FALSE_SIGNATURE, NOT_SIGNED, QUORUM_NOT_MET, MALFORMED_…, FALSE_TILE)."""

    kind: str
    message: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: the largest tree known, what is wrong that was not before, what is
    not any more, and why the log could not be asked, empty where it could."""

    checkpoint: Checkpoint | None
    grown: bool
    raised: tuple[Alarm, ...]
    cleared: tuple[str, ...]
    unreachable: str = ""


class Watch:
    """A watch over one log. `policy` names no other log (`of_one_log`); `clock` tells POSIX
    seconds; for `silence` seconds (0: for ever) the log may show nothing new."""

    def __init__(
        self,
        log: TiledLog,
        notebook: Notebook,
        policy: Policy,
        clock: Callable[[], float],
        silence: int = 0,
    ) -> None:
        self._log = log
        self._notebook = notebook
        self._policy = policy
        self._clock = clock
        self._silence = silence
        self._started = int(clock())
        self._standing: dict[str, Alarm] = {}

    async def look(self) -> Look:
        """Looks once. Raises DataCorrupted STATE_DAMAGED, FailedPrecondition OTHER_LOG;
        InvalidArgument UNSUPPORTED_ALGORITHM: this build cannot check the policy's keys."""
        now = int(self._clock())
        memory = await self._notebook.memory() or Memory(None, self._started)
        found: dict[str, Alarm] = {}
        for where in await self._notebook.forks():
            found[FORK] = Alarm(FORK, f"the log signed two histories: {where}", where)
        unreachable, after = "", memory
        try:
            after = await self._compare(memory, now, found)
        except Unavailable as error:
            unreachable = error.message
        except (InvalidArgument, DataCorrupted) as error:
            if error.reason in ("UNSUPPORTED_ALGORITHM", "STATE_DAMAGED"):
                raise
            found[error.reason] = Alarm(error.reason, error.message)
        if after != memory:
            await self._notebook.put_memory(after)
        if self._silence and now - after.alive > self._silence:
            found[SILENCE] = Alarm(
                SILENCE, f"nothing new for {now - after.alive} seconds, of {self._silence} allowed"
            )
        return self._told(memory, after, found, unreachable)

    def _told(
        self, before: Memory, after: Memory, found: dict[str, Alarm], unreachable: str
    ) -> Look:
        raised = tuple(alarm for kind, alarm in found.items() if kind not in self._standing)
        # What could not be looked at is not known to be over.
        earlier = self._standing if unreachable else {}
        cleared = tuple(kind for kind in self._standing if kind not in earlier | found)
        self._standing = earlier | found
        largest = self._known(after)
        grown = after.note != before.note
        return Look(largest.checkpoint if largest else None, grown, raised, cleared, unreachable)

    def _known(self, memory: Memory) -> Signed | None:
        return None if memory.note is None else kept(self._policy, memory.note, "the watch's state")

    async def _compare(self, memory: Memory, now: int, alarms: dict[str, Alarm]) -> Memory:
        """What is known after a look. Raises what shows that the note, or a tile, is not the
        log's."""
        note = Note.parse(await self._log.checkpoint())
        witnessed: Mapping[str, int] = {}
        try:
            accepted = self._policy.accept(note)
            found, witnessed = Signed(note, accepted.checkpoint), accepted.witnessed
        except InvalidArgument as error:
            if error.reason != "QUORUM_NOT_MET":
                raise
            alarms[error.reason] = Alarm(error.reason, error.message)
            logs = [verifier(log.key) for log in self._policy.logs]
            found = Signed(note, verify_checkpoint(note, logs))
        known = self._known(memory)
        if known is None:
            await proved_edge(self._log, found.checkpoint)
            course = Course.GROWN
        else:
            course = await self._course(known, found, alarms)
        alive = memory.alive
        if course is Course.GROWN:
            memory, alive = replace(memory, note=note.encode()), now
        if course in (Course.GROWN, Course.SAME):
            alive = max(alive, freshness(self._policy, witnessed, now))
        return replace(memory, alive=alive)

    async def _course(self, known: Signed, found: Signed, alarms: dict[str, Alarm]) -> Course:
        """How the log goes on; a fork or a rollback is in `alarms` then."""
        course, fork = await compare(self._log, known, found)
        if fork:
            where = await self._notebook.keep(fork)
            alarms[FORK] = Alarm(
                FORK,
                f"the log signed two histories, one of {known.size} entries and one of "
                f"{found.size}",
                where,
            )
        elif course is Course.ROLLBACK:
            where = await self._notebook.keep_rollback(known.note, found.note)
            alarms[ROLLBACK] = Alarm(
                ROLLBACK,
                f"the log shows {found.size} entries, after it had signed {known.size}",
                where,
            )
        return course


def freshness(policy: Policy, witnessed: Mapping[str, int], now: int) -> int:
    """As of when a quorum of witnesses says that it knew no larger tree, in POSIX seconds and not
    after now; 0 where they are too few, or say no time of the past."""
    past = {name: time for name, time in witnessed.items() if time <= now + SKEW}
    for time in sorted(set(past.values()), reverse=True):
        if policy.satisfied([name for name, at in past.items() if at >= time]):
            return min(time, now)
    return 0
