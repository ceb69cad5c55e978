"""What the process that signs checkpoints is asked, and the rule by which it answers.

Promises that only a tree which continues the last signed one is signed. The message is that of
tlog-witness, section add-checkpoint, with a checkpoint that nobody has signed yet in place of the
note; the rule is the witness's own. Were the signer to sign what does not continue, the log would
have two histories under its own name, and only witnesses would see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.cosignature import Cosigner
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.witness import (
    Decision,
    Status,
    encode_proof,
    parse_proof,
    weigh,
)

# Of a checkpoint without extensions by a name of any sense, with 63 hashes above it.
MAX_SIGN_BYTES = 8192

SigningKey = NoteSigner | Cosigner


@dataclass(frozen=True, slots=True)
class SignCheckpoint:
    """A request to sign: the size that was signed last, the proof from there, the checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, body: bytes) -> SignCheckpoint:
        """Reads a request. Raises InvalidArgument MALFORMED_WITNESS_MESSAGE,
        MALFORMED_CHECKPOINT."""
        if len(body) > MAX_SIGN_BYTES:
            raise InvalidArgument.of(
                "body", "MALFORMED_WITNESS_MESSAGE", f"has more than {MAX_SIGN_BYTES} bytes"
            )
        old_size, proof, text = parse_proof(body)
        try:
            checkpoint = Checkpoint.parse(text.decode())
        except UnicodeDecodeError:
            raise InvalidArgument.of("checkpoint", "MALFORMED_CHECKPOINT", "is no UTF-8") from None
        if checkpoint.extensions:
            # ML-DSA-44 does not sign them (tlog-cosignature), and nothing of ours writes any.
            raise InvalidArgument.of("checkpoint", "MALFORMED_CHECKPOINT", "has extension lines")
        return cls(old_size, proof, checkpoint)

    def encode(self) -> bytes:
        """The body: what `parse` reads. Raises InvalidArgument MALFORMED_WITNESS_MESSAGE."""
        return encode_proof(self.old_size, self.proof) + self.checkpoint.text.encode()


def decide_to_sign(request: SignCheckpoint, origin: str, latest: Head) -> Decision:
    """The answer of the signer of the log with this origin, which signed `latest` last. `Status`
    COSIGN, which is to sign; UNKNOWN_LOG for another origin; MALFORMED, OTHER_SIZE and
    INCONSISTENT as a witness answers them."""
    if request.checkpoint.origin != origin:
        return Decision(Status.UNKNOWN_LOG, "the origin is another log's\n")
    return weigh(request.old_size, request.proof, request.checkpoint, latest)


def sign_checkpoint(checkpoint: Checkpoint, keys: Sequence[SigningKey], time: int) -> Note:
    """The note by these keys; `time` in POSIX seconds is in cosignatures. Raises InvalidArgument
    as `Cosigner.sign`, and MALFORMED_NOTE where the origin can stand in no note."""
    return Note(
        checkpoint.text,
        tuple(
            key.sign(checkpoint.text) if isinstance(key, NoteSigner) else key.sign(checkpoint, time)
            for key in keys
        ),
    )
