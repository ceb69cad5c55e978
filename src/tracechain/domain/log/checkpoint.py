"""Checkpoints: which tree a log says that it has, as the text of a note.

Promises that a checkpoint has one text and a text one checkpoint. Witnesses sign the text and
compare the tree: were two texts the same tree, or one text two trees, they would sign what they
did not compare.

C2SP tlog-checkpoint, section Note text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.canonical import base64, decimal, hash32
from tracechain.domain.log.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from tracechain.domain.log.note import Note, Verifier, verify


@dataclass(frozen=True, slots=True)
class Head:
    """The tree of `size` leaves with `root`, whose log is known; at first the empty one."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of `size` leaves with `root`, of the log with this origin. Extension lines are
    kept, and mean nothing here.

    Raises InvalidArgument MALFORMED_CHECKPOINT when made: it has no text.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or "\n" in line:
                raise InvalidArgument.of(
                    "checkpoint",
                    "MALFORMED_CHECKPOINT",
                    "has an origin or an extension that is no line",
                )
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH_BYTES:
            raise InvalidArgument.of(
                "checkpoint", "MALFORMED_CHECKPOINT", f"is of no tree with 0 to {MAX_SIZE} leaves"
            )

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Reads the text of a note. Raises InvalidArgument MALFORMED_CHECKPOINT."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop():
            raise InvalidArgument.of(
                "checkpoint", "MALFORMED_CHECKPOINT", "has not three whole lines or more"
            )
        origin, size, root, *extensions = lines
        return cls(
            origin,
            decimal(size, "checkpoint.size", "MALFORMED_CHECKPOINT"),
            hash32(root, "checkpoint.root", "MALFORMED_CHECKPOINT"),
            tuple(extensions),
        )

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def verify_checkpoint(note: Note, logs: Iterable[Verifier]) -> Checkpoint:
    """The checkpoint in a note, once one of these logs' keys signed it whose name is its origin
    (section Signatures; tlog-proof, Verifying a tlog proof, step 2).

    Raises InvalidArgument MALFORMED_CHECKPOINT, FALSE_SIGNATURE, NOT_SIGNED.
    """
    checkpoint = Checkpoint.parse(note.text)
    verify(note, [log for log in logs if log.key.name == checkpoint.origin])
    return checkpoint
