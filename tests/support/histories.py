"""Histories of a log: trees with their proofs, and what signers and witnesses are asked of them.

`MAIN` and `FORK` share their first hundred leaves and no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.log.trees import leaf, mth, subproof
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.signing import SignCheckpoint
from tracechain.domain.log.witness import AddCheckpoint

ORIGIN = "log.example/1"
SHARED = 100


@dataclass(frozen=True)
class History:
    """A log's leaves, with a name that tells the trees apart."""

    name: str
    leaves: list[bytes] = field(repr=False)

    def head(self, size: int) -> Head:
        return Head(size, mth(self.leaves[:size]))

    def proof(self, old: int, size: int) -> tuple[bytes, ...]:
        """That the tree of `size` continues that of `old` leaves; none where there is none."""
        return tuple(subproof(old, self.leaves[:size])) if 0 < old <= size else ()

    def checkpoint(self, size: int, origin: str = ORIGIN) -> Checkpoint:
        return Checkpoint(origin, size, self.head(size).root)

    def to_sign(self, old: int, size: int, origin: str = ORIGIN) -> bytes:
        """What the signer is asked."""
        return SignCheckpoint(old, self.proof(old, size), self.checkpoint(size, origin)).encode()

    def to_cosign(self, old: int, size: int, *logs: NoteSigner) -> bytes:
        """What a witness is asked by the log with these keys."""
        text = self.checkpoint(size, logs[0].name).text
        note = Note(text, tuple(log.sign(text) for log in logs))
        return AddCheckpoint(old, self.proof(old, size), note).encode()


def _leaves(name: str) -> list[bytes]:
    shared = [leaf(b"shared %d" % n) for n in range(SHARED)]
    return shared + [leaf(b"%s %d" % (name.encode(), n)) for n in range(SHARED)]


MAIN, FORK = History("main", _leaves("main")), History("fork", _leaves("fork"))
