"""A witness's decision: whether a checkpoint continues the last one that it cosigned of that log.

Promises that 200 is decided only where a trusted key of the log signed the checkpoint and it
continues the head that was given, and that every other request has the one answer that the text
gives it. Were a witness to cosign a tree that does not continue, nobody would see a fork.

The decision is of one moment: who carries it out replaces `latest` by the decided head in one step
with having read it, and lets a signature out only once that is durable (section add-checkpoint, the
race).

C2SP tlog-witness, sections add-checkpoint and Monitor Retrieval Mechanism.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.canonical import base64, decimal, hash32
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.cosignature import timestamp_of, verifier
from tracechain.domain.log.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, verify_consistency
from tracechain.domain.log.note import MAX_NOTE_BYTES, Note, VerifierKey, parse_lines, verify

MAX_HASHES = 63
# The size line and 63 hashes are below 4 kB.
MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 4096
SIZE_TYPE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign: the size that the log thinks the witness knows, the proof from there,
    and the checkpoint in its note.

    Raises InvalidArgument MALFORMED_WITNESS_MESSAGE when made: it has no text; and
    MALFORMED_CHECKPOINT for its note.
    """

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    def __post_init__(self) -> None:
        encode_proof(self.old_size, self.proof)
        Checkpoint.parse(self.note.text)

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """Reads the body of a request. Raises InvalidArgument MALFORMED_WITNESS_MESSAGE,
        MALFORMED_NOTE, MALFORMED_CHECKPOINT."""
        if len(body) > MAX_REQUEST_BYTES:
            raise _malformed("body", f"has more than {MAX_REQUEST_BYTES} bytes")
        old_size, proof, note = parse_proof(body)
        return cls(old_size, proof, Note.parse(note))

    def encode(self) -> bytes:
        """The body: what `parse` reads."""
        return encode_proof(self.old_size, self.proof) + self.note.encode()

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that it asks to cosign; nothing of it is proved."""
        return Checkpoint.parse(self.note.text)


class Status(IntEnum):
    """What a witness answers, by HTTP."""

    COSIGN = 200
    MALFORMED = 400
    NOT_SIGNED = 403
    UNKNOWN_LOG = 404
    OTHER_SIZE = 409
    INCONSISTENT = 422


@dataclass(frozen=True, slots=True)
class Decision:
    """What to answer. `body` is for 409 the known size, as `SIZE_TYPE`; for an error why, in
    words; for 200 it is empty, and `checkpoint` is what to keep and to sign. It is also set where
    the log did sign and is inconsistent (422): such a note is worth keeping, as evidence."""

    status: Status
    body: str = ""
    checkpoint: Checkpoint | None = None


def decide(request: AddCheckpoint, log_keys: Sequence[VerifierKey], latest: Head) -> Decision:
    """The answer to a well-formed request, when `latest` is known of the log with its origin.

    `log_keys` are those that are trusted for that origin, none where the origin is unknown. A
    request that cannot be read is answered `Status.MALFORMED`, before this.

    Raises InvalidArgument UNSUPPORTED_ALGORITHM: a signature by one of the keys cannot be verified
    in this build.
    """
    checkpoint = request.checkpoint
    if not log_keys:
        return Decision(Status.UNKNOWN_LOG, "the origin is unknown\n")
    try:
        verify(request.note, [verifier(key) for key in log_keys])
    except InvalidArgument as error:
        if error.reason not in ("FALSE_SIGNATURE", "NOT_SIGNED"):
            raise  # this build cannot verify the key: no fault of the request
        return Decision(Status.NOT_SIGNED, f"{error.message}\n")
    return weigh(request.old_size, request.proof, checkpoint, latest)


def weigh(old_size: int, proof: Sequence[bytes], checkpoint: Checkpoint, latest: Head) -> Decision:
    """The answer where a checkpoint is known to be the log's: whether it continues `latest`."""
    if old_size > checkpoint.size:
        return Decision(Status.MALFORMED, "the old size is larger than the checkpoint\n")
    if old_size != latest.size:
        return Decision(Status.OTHER_SIZE, f"{latest.size}\n")
    try:
        _continues(checkpoint, proof, latest)
    except InvalidArgument as error:
        return Decision(Status.INCONSISTENT, f"{error.message}\n", checkpoint)
    return Decision(Status.COSIGN, checkpoint=checkpoint)


def parse_proof(body: bytes) -> tuple[int, tuple[bytes, ...], bytes]:
    """Old size, consistency proof, and what follows the empty line: the head of a request to a
    witness, and to the log's signer. Raises InvalidArgument MALFORMED_WITNESS_MESSAGE."""
    head, found, rest = body.partition(b"\n\n")
    if not (found and head.isascii()):
        raise _malformed("body", "has no empty line above its checkpoint, or no ASCII")
    old, *lines = head.decode().split("\n")
    if not old.startswith("old "):
        raise _malformed("old", "is not the first line")
    if len(lines) > MAX_HASHES:
        raise _malformed("proof", f"has more than {MAX_HASHES} hashes")
    return (
        decimal(old[4:], "old", "MALFORMED_WITNESS_MESSAGE"),
        tuple(hash32(line, "proof", "MALFORMED_WITNESS_MESSAGE") for line in lines),
        rest,
    )


def encode_proof(old_size: int, proof: Sequence[bytes]) -> bytes:
    """What `parse_proof` reads, up to the empty line. Raises InvalidArgument
    MALFORMED_WITNESS_MESSAGE: it has no text."""
    if not 0 <= old_size <= MAX_SIZE:
        raise _malformed("old", f"is not from 0 to {MAX_SIZE}")
    if len(proof) > MAX_HASHES:
        raise _malformed("proof", f"has more than {MAX_HASHES} hashes")
    if any(len(value) != HASH_BYTES for value in proof):
        raise _malformed("proof", f"has a hash of another length than {HASH_BYTES} bytes")
    return "\n".join([f"old {old_size}", *map(base64, proof), "", ""]).encode()


def known_size(body: str) -> int:
    """The size in the body of a 409. Raises InvalidArgument MALFORMED_WITNESS_MESSAGE."""
    size, newline, rest = body.partition("\n")
    if not newline or rest:
        raise _malformed("size", "is not one line")
    return decimal(size, "size", "MALFORMED_WITNESS_MESSAGE")


def cosigned(note: Note, body: bytes, witnesses: Sequence[VerifierKey]) -> Note:
    """The note with the cosignatures of these witnesses from the body of a 200. Signatures of
    others are left out, and those that name no time, which an answer must.

    Raises InvalidArgument MALFORMED_WITNESS_MESSAGE, MALFORMED_NOTE; FALSE_SIGNATURE; NOT_SIGNED:
    none is of these witnesses.
    """
    try:
        answered = Note(note.text, parse_lines(body.decode()))
    except UnicodeDecodeError:
        raise _malformed("body", "is no UTF-8") from None
    true = verify(answered, [verifier(key) for key in witnesses])
    timed = [signature for signature in true if timestamp_of(signature)]
    if not timed:
        raise InvalidArgument.of("body", "NOT_SIGNED", "has only cosignatures without a time")
    return note.signed(*timed)


def checkpoint_path(origin: str) -> str:
    """Where a witness serves its latest checkpoint of a log, below its monitoring prefix."""
    return f"{sha256(origin.encode()).hexdigest()}/checkpoint"


def _continues(checkpoint: Checkpoint, proof: Sequence[bytes], latest: Head) -> None:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise InvalidArgument.of("root", "FALSE_LOG_PROOF", "is not that of the empty tree")
    if latest.size == 0:
        if proof:
            raise InvalidArgument.of("proof", "FALSE_LOG_PROOF", "is of the empty tree, and given")
        return
    verify_consistency(latest.size, checkpoint.size, proof, latest.root, checkpoint.root)


def _malformed(field: str, why: str) -> InvalidArgument:
    return InvalidArgument.of(field, "MALFORMED_WITNESS_MESSAGE", why)
