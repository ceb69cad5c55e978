"""A verdict's proof, checked without believing the service, and the last checkpoint, pinned.

Promises that what `ProvedIssue` says is in a log that your policy accepts, and that the log of
today continues the one that was seen before: a service that took a fact back, or showed you another
history than others, is found out. What it rests on is the policy, which must not come from the
service, and the pin: who can write that file can make you forget.

The format of entries (`tracechain.domain.log.leaf`) is written here once more, as far as a client
needs it; a test holds the two together. All else about logs is the domain's own, in `_log`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tracechain_client._code import Malformed, is_signed_by, load_public_key, read_code
from tracechain_client._log.canonical import octets
from tracechain_client._log.checkpoint import Checkpoint
from tracechain_client._log.errors import InvalidArgument
from tracechain_client._log.merkle import leaf_hash
from tracechain_client._log.note import Note, VerifierKey
from tracechain_client._log.policy import Accepted, Log, Policy
from tracechain_client._log.proof import LogProof
from tracechain_client.errors import FalseProof
from tracechain_client.v1.log_pb2 import LogLeaf
from tracechain_client.v1.verification_pb2 import Verdict

_ENTRY = re.compile(
    rb'\{"v":1,"kind":"([a-z_]+)","time":(0|[1-9][0-9]*),"part":0,"parts":(?:[1-9][0-9]*),'
    rb'"commitment":"([A-Za-z0-9+/]{43}=)","chains":\[[-\[\]",A-Za-z0-9+/=]+\]\}'
)
_FACT_TAG = b"tracechain/fact/v1\x00"
_CODE_HOST = re.compile(r"https://([^/]+)/")


class Pin(Protocol):
    """Where the last checkpoint that was seen is kept."""

    def load(self) -> bytes | None:
        """The note that was kept; None before the first."""

    def save(self, note: bytes) -> None:
        """Keeps a later one in its place."""

    def keep_conflict(self, pinned: bytes, seen: bytes) -> None:
        """Keeps two notes that cannot both be of one honest log: the evidence."""


class MemoryPin:
    """A pin for as long as the process lives."""

    def __init__(self, note: bytes | None = None) -> None:
        self.note = note
        self.conflicts: list[tuple[bytes, bytes]] = []
        """Pairs of notes, the pinned one first."""

    def load(self) -> bytes | None:
        return self.note

    def save(self, note: bytes) -> None:
        self.note = note

    def keep_conflict(self, pinned: bytes, seen: bytes) -> None:
        self.conflicts.append((pinned, seen))


class FilePin:
    """A pin in a file; two notes in conflict are kept beside it, in `{name}.fork-…` files."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def load(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def save(self, note: bytes) -> None:
        _replace(self.path, note)

    def keep_conflict(self, pinned: bytes, seen: bytes) -> None:
        mark = hashlib.sha256(pinned + seen).hexdigest()[:16]
        for which, note in (("pinned", pinned), ("seen", seen)):
            _replace(self.path.with_name(f"{self.path.name}.fork-{mark}.{which}"), note)


class LogTrust:
    """Whom to believe about a log, and what was seen of it. `policy` is the text of a policy file
    (C2SP tlog-policy: the log's key, its witnesses, how many of them), or the log's verifier key
    alone. ValueError where it is neither."""

    def __init__(self, policy: str | bytes, pin: Pin) -> None:
        self.pin = pin
        text = policy.encode() if isinstance(policy, str) else policy
        try:
            if b"\n" in text.strip():
                self._policy = Policy.parse(text)
            else:
                self._policy = Policy((Log(VerifierKey.parse(text.strip().decode())),))
        except (InvalidArgument, UnicodeDecodeError) as error:
            raise ValueError(f"this is no policy and no verifier key: {error}") from error

    def check(self, code: str, verdict: Verdict) -> tuple[ProvedIssue, Note, Checkpoint]:
        """What the proof of a verdict proves, and the checkpoint by which it does; raises
        FalseProof where it does not. The pin is not looked at: that the checkpoint continues the
        pinned one is for `Client.verify_with_proof`."""
        try:
            return _checked(code, verdict, self._policy)
        except InvalidArgument as error:
            raise FalseProof(reason=error.reason, message=error.message) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FalseProof(message=f"the proof cannot be read: {error!r}") from error


@dataclass(frozen=True, slots=True)
class ProvedIssue:
    """What the log shows about the issue of a code.

    Proved: these facts were in the log that the policy accepts; for a signed code, that the key
    which the log knows signed it. Not proved: that the unit is among those that the batch was
    authorised for (how many these are is the issuer's secret) is the word of the service; nor that
    the goods are what was issued: see `verify_offline`.
    """

    gtin: str
    lot: str
    batch_number: int
    register_time: datetime.datetime
    """When the batch was registered."""
    issuer: str
    key_id: int
    key_revoke_time: datetime.datetime | None
    leaf_index: int
    """Of the batch's registration."""
    tree_size: int
    """Of the checkpoint that covers it."""
    witnessed: Mapping[str, datetime.datetime]
    """When each witness of the policy cosigned that checkpoint."""


@dataclass(frozen=True, slots=True)
class ProvedVerdict:
    """A verdict and what is proved; None where there is no proof, and then
    `verdict.proof.absent_reason` says why."""

    verdict: Verdict
    issue: ProvedIssue | None


def _checked(code: str, verdict: Verdict, policy: Policy) -> tuple[ProvedIssue, Note, Checkpoint]:
    proof = verdict.proof
    note = LogProof.parse(proof.batch.proof).checkpoint
    accepted = policy.accept(note)
    batch = _opened(proof.batch, "batch", note, policy)
    key = _opened(proof.key, "key", note, policy)
    host = _CODE_HOST.match(code)
    try:
        read = read_code(code, host[1] if host else "")
    except Malformed as error:
        raise FalseProof(message=f"what was scanned is no code: {error}") from None
    _require(
        (batch["gtin"], batch["lot"]) == (verdict.gtin, verdict.lot)
        and (read.gtin, read.serial) == (verdict.gtin, verdict.serial),
        "the batch, the verdict and the code are not about the same goods",
    )
    _require(read.key_id == key["key_id"], "the key is not the one that the code names")
    if read.algorithm is not None:
        der = octets(key["public_key"], "public_key", "FALSE_LOG_PROOF")
        signer = load_public_key(key["algorithm"], der)
        _require(
            read.algorithm == key["algorithm"] and is_signed_by(read, signer),
            "the key that is in the log did not sign the code",
        )
    issue = ProvedIssue(
        batch["gtin"], batch["lot"], batch["batch_number"], _moment(batch["time"]),
        key["issuer_gln"], key["key_id"],
        None if key["revoke_time"] is None else _moment(key["revoke_time"]),
        proof.batch.leaf_index, accepted.checkpoint.size, _witnessed(accepted),
    )  # fmt: skip
    return issue, note, accepted.checkpoint


def _opened(leaf: LogLeaf, kind: str, note: Note, policy: Policy) -> dict[str, Any]:
    """The fact of a leaf, once it is shown to be its fact, of this kind, and in the tree."""
    proof = LogProof.parse(leaf.proof)
    _require(proof.index == leaf.leaf_index, "a proof is of another leaf")
    _require(proof.checkpoint == note, "the proofs are of several checkpoints")
    proof.verify(leaf_hash(leaf.entry), policy)
    entry = _ENTRY.fullmatch(leaf.entry)
    if entry is None:
        raise FalseProof(message="an entry of the log is none that begins a fact")
    said = octets(entry[3].decode(), "commitment", "FALSE_LOG_PROOF")
    made = hashlib.sha256(_FACT_TAG + leaf.salt + leaf.fact.encode()).digest()
    _require(len(leaf.salt) == 32 and made == said, "an entry was made for another fact")
    fact: dict[str, Any] = json.loads(leaf.fact)
    _require(
        (fact["kind"], fact["time"]) == (kind, int(entry[2])) and entry[1].decode() == kind,
        f"a fact is no {kind}, or of another time than its entry",
    )
    return fact


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise FalseProof(message=otherwise)


def _witnessed(accepted: Accepted) -> Mapping[str, datetime.datetime]:
    return {
        name: datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        for name, seconds in accepted.witnessed.items()
    }


def _moment(micros: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(
        microseconds=micros
    )


def _replace(target: Path, content: bytes) -> None:
    """Writes a file in the place of the one that was there, whole or not at all."""
    draft = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
