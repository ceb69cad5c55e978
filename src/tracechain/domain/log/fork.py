"""A fork: two checkpoints that one log signed, and that no one tree can have.

Promises that evidence which verifies is the log's own doing: both signatures are true, and the
larger tree, as its own root proves it, begins with another tree than the smaller one. Whoever has
the log's key checks it without asking the log, or whoever found it. Were a false proof taken, a
server that mixed up a byte could be told from a log that lies by nobody.

RFC 9162 section 2.1.4 (consistency); the file is JSON, for there is no C2SP text for one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.canonical import base64, hash32
from tracechain.domain.log.checkpoint import Checkpoint, verify_checkpoint
from tracechain.domain.log.merkle import verify_subtree
from tracechain.domain.log.note import MAX_NOTE_BYTES, Note, Verifier

# Two notes with every character escaped, and 64 hashes.
MAX_FORK_BYTES = 12 * MAX_NOTE_BYTES + 8192
_FORM = "tracechain.log.fork/v1"
_FIELDS = {"form", "smaller", "larger", "prefix_root", "proof"}


@dataclass(frozen=True, slots=True)
class Fork:
    """The two notes as they were served; what the larger tree has in the place of the smaller one,
    and the proof that it has it there (RFC 9162 section 2.1.4.1). Of two trees of one size the
    proof is empty, and `prefix_root` the root of the one that is called larger."""

    smaller: Note
    larger: Note
    prefix_root: bytes
    proof: tuple[bytes, ...]

    def verify(self, logs: Iterable[Verifier]) -> tuple[Checkpoint, Checkpoint]:
        """The two checkpoints, once it is proved by the log's own signatures that they are a fork.

        Raises InvalidArgument as `verify_checkpoint` does; FALSE_LOG_PROOF: the trees are of two
        logs, or one may continue the other, or nothing is proved.
        """
        keys = list(logs)
        smaller, larger = (verify_checkpoint(note, keys) for note in (self.smaller, self.larger))
        if smaller.origin != larger.origin:
            raise _false("the checkpoints are of two logs")
        verify_subtree(0, smaller.size, larger.size, self.proof, self.prefix_root, larger.root)
        if self.prefix_root == smaller.root:
            raise _false("the larger tree continues the smaller one")
        return smaller, larger

    def encode(self) -> bytes:
        """The file: what `parse` reads."""
        said = {
            "form": _FORM,
            "smaller": self.smaller.encode().decode(),
            "larger": self.larger.encode().decode(),
            "prefix_root": base64(self.prefix_root),
            "proof": [base64(value) for value in self.proof],
        }
        return (json.dumps(said, indent=2) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> Fork:
        """Reads a file of evidence. Raises InvalidArgument MALFORMED_LOG_PROOF, and
        MALFORMED_NOTE for its notes."""
        if len(data) > MAX_FORK_BYTES:
            raise _malformed(f"has more than {MAX_FORK_BYTES} bytes")
        try:
            said: Any = json.loads(data)
        except (ValueError, RecursionError):
            raise _malformed("is no JSON") from None
        if not isinstance(said, dict) or said.get("form") != _FORM or set(said) != _FIELDS:
            raise _malformed(f"is not of the form {_FORM}")
        proof = said.pop("proof")
        texts = {name: value for name, value in said.items() if isinstance(value, str)}
        if len(texts) != len(said) or not (
            isinstance(proof, list) and all(isinstance(value, str) for value in proof)
        ):
            raise _malformed("has a value that is no text")
        try:
            smaller, larger = (Note.parse(texts[name].encode()) for name in ("smaller", "larger"))
        except UnicodeEncodeError:
            raise _malformed("has a note that is no text") from None
        return cls(
            smaller,
            larger,
            hash32(texts["prefix_root"], "fork.prefix_root", "MALFORMED_LOG_PROOF"),
            tuple(hash32(value, "fork.proof", "MALFORMED_LOG_PROOF") for value in proof),
        )


def _false(why: str) -> InvalidArgument:
    return InvalidArgument.of("fork", "FALSE_LOG_PROOF", why)


def _malformed(why: str) -> InvalidArgument:
    return InvalidArgument.of("fork", "MALFORMED_LOG_PROOF", why)
