"""What signing, witnessing and publishing need from outside.

Bodies are those of C2SP tlog-witness; who asks reads them by `tracechain.domain.log`, so that what
stands between two processes only carries them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from tracechain.domain.log.note import Note


class Answer(NamedTuple):
    """A status of HTTP and a body. The body of 409 is a size, of 200 what was asked for, of all
    others words."""

    status: int
    body: bytes


class Heads(Protocol):
    """The latest note of each log that this process signed, kept durably. Blocks its thread.

    Raises DataCorrupted LOG_STATE_LOST where the place for them is gone or a note is no note, and
    Unavailable LOG_STATE_UNAVAILABLE where it cannot be read or written now.
    """

    def latest(self, origin: str) -> Note | None:
        """The note that was put last, whole, also while another is being put; None before the
        first."""

    def held(self, origin: str) -> AbstractContextManager[None]:
        """Within it nobody else, in this process or another on this machine, is within it for the
        same log."""

    def put(self, origin: str, note: Note) -> None:
        """Takes the place of the latest note, whole or not at all; durable once this returns. To
        be called within `held`."""


class Signer(Protocol):
    """The process that signs checkpoints. Raises Unavailable LOG_SIGNER_UNAVAILABLE where it
    cannot be reached or cannot sign; whether it signed is then unknown, and its next answer
    tells."""

    async def keys(self) -> bytes:
        """Its verifier keys (vkeys), one a line."""

    async def sign(self, body: bytes) -> Answer:
        """What it answers to a SignCheckpoint: 200 with lines of signatures, 409 with the size
        that it signed last, 422, or 400 and 404 for what no client of ours asks."""


class Witnesses(Protocol):
    """Witnesses, by their submission prefix."""

    async def add_checkpoint(self, url: str, body: bytes) -> Answer:
        """What one answers to an AddCheckpoint. Raises Unavailable WITNESS_UNAVAILABLE where
        nothing of a sane size came."""
