# Copied from src/tracechain/domain/log/proof.py by `./dev generate`. Do not edit.
"""A proof as a file: that a leaf is in the tree of a checkpoint, for anybody, without a network.

Promises that a file is read in one way only, so that an altered byte is either refused or makes
the proof fail. What it proves, and what not: the leaf is in the log, at that index; when it came
there, and whether what it says is true, is not proved.

C2SP tlog-proof, sections Format and Verifying a tlog proof.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracechain_client._log.errors import InvalidArgument
from tracechain_client._log.canonical import base64, decimal, hash32, octets
from tracechain_client._log.merkle import HASH_BYTES, MAX_SIZE, verify_inclusion
from tracechain_client._log.note import MAX_NOTE_BYTES, Note
from tracechain_client._log.policy import Accepted, Policy

MAX_HASHES = 63
MAX_EXTRA_BYTES = 1_000_000
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES
_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class LogProof:
    """The index of a leaf, the hashes from its sibling upwards, and a checkpoint, as they stand
    in the file. Nothing here is proved; `extra` is proved by nothing, None where there is none.

    Raises InvalidArgument MALFORMED_LOG_PROOF when made: no file has this.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Note
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < MAX_SIZE:
            raise _malformed("proof.index", f"is not from 0 to {MAX_SIZE - 1}")
        if len(self.hashes) > MAX_HASHES:
            raise _malformed("proof", f"has more than {MAX_HASHES} hashes")
        if any(len(value) != HASH_BYTES for value in self.hashes):
            raise _malformed("proof", f"has a hash of another length than {HASH_BYTES} bytes")
        if self.extra is not None and len(self.extra) > MAX_EXTRA_BYTES:
            raise _malformed("proof.extra", f"has more than {MAX_EXTRA_BYTES} bytes")

    @classmethod
    def parse(cls, data: bytes) -> LogProof:
        """Reads a `.tlog-proof` file. Raises InvalidArgument MALFORMED_LOG_PROOF, and
        MALFORMED_NOTE for its checkpoint."""
        if len(data) > MAX_PROOF_BYTES:
            raise _malformed("proof", f"has {len(data)} bytes, at most {MAX_PROOF_BYTES} are taken")
        head, found, note = data.partition(b"\n\n")
        if not (found and head.isascii()):
            raise _malformed("proof", "has no empty line above its checkpoint, or no ASCII")
        header, *lines = head.decode().split("\n")
        if header != _HEADER:
            raise _malformed("proof", f"does not begin with {_HEADER}")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = octets(lines.pop(0)[6:], "proof.extra", "MALFORMED_LOG_PROOF")
        if not (lines and lines[0].startswith("index ")):
            raise _malformed("proof", "has no index")
        if len(lines) > MAX_HASHES + 1:
            raise _malformed("proof", f"has more than {MAX_HASHES} hashes")
        return cls(
            decimal(lines[0][6:], "proof.index", "MALFORMED_LOG_PROOF"),
            tuple(hash32(line, "proof.hashes", "MALFORMED_LOG_PROOF") for line in lines[1:]),
            Note.parse(note),
            extra,
        )

    def encode(self) -> bytes:
        """The file: what `parse` reads."""
        lines = [_HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(base64(value) for value in self.hashes)
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint.encode()

    def verify(self, leaf: bytes, policy: Policy) -> Accepted:
        """Checks that the leaf with this hash is in a log that the policy accepts.

        Returns the checkpoint and its witnesses. Raises InvalidArgument FALSE_LOG_PROOF: the leaf
        is not there; and as `Policy.accept` does.
        """
        accepted = policy.accept(self.checkpoint)
        checkpoint = accepted.checkpoint
        verify_inclusion(leaf, self.index, self.hashes, checkpoint.root, checkpoint.size)
        return accepted


def _malformed(field: str, why: str) -> InvalidArgument:
    return InvalidArgument.of(field, "MALFORMED_LOG_PROOF", why)
