"""What a bundle is about and what is in it, as far as that is known before its own leaf.

Promises that a manifest has one spelling. Its SHA-256 is in the fact of the export, which is in the
log: so neither it nor anything that it names by hash can be another afterwards, not even by whoever
keeps the log. What comes later (the export's leaf, the proofs, the checkpoint) is proved by itself,
and sealed by a key that was made for this one export: its public half is here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote

from tracechain.domain.batch_key import derived
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.canonical import base64, hash32
from tracechain.domain.log.fact import evidence_fact
from tracechain.domain.log.leaf import MAX_CHAINS, chain_label
from tracechain.domain.log.merkle import MAX_SIZE
from tracechain.domain.log.note import SignatureType, VerifierKey
from tracechain.domain.text import LocalizedText

# Beyond these a bundle is not made: its reader opens it whole, on whatever he has.
MAX_LEAVES = 5_000
MAX_GOODS = MAX_CHAINS
MANIFEST, REPORT, EXPORT = "manifest.json", "report.pdf", "export.json"
CHECKPOINT, STAMP, SEAL = "checkpoint.txt", "timestamp.tsr", "seal.txt"
_VERSION = 1
_ID_DIGITS = 32


class SubjectKind(StrEnum):
    """What a bundle is about."""

    UNIT = "unit"
    BATCH = "batch"
    CONTAINER = "container"
    CASE = "case"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a bundle is about: an EPC, the name of a batch, or that of a case (a recall, a report).
    `title` is the product's name as the service has it."""

    kind: SubjectKind
    name: str
    title: LocalizedText

    def __str__(self) -> str:
        """As the fact of the export names it."""
        return f"{self.kind.value}:{self.name}"


@dataclass(frozen=True, slots=True)
class ChainHead:
    """A chain as it was before the export: what opens its label, and how many leaves it had.

    `name` is what the key is derived from; of a batch registered at the service, which has a
    number for a key, it is the batch's name.
    """

    name: str
    batch_number: int
    salt: bytes
    length: int

    @property
    def label(self) -> bytes:
        """What stands for it in leaves."""
        return chain_label(self.salt, self.batch_number or derived(self.name))


class Opening(NamedTuple):
    """What opens the commitment of a leaf, together with its fact. `has_body`: the event's own
    text is in the bundle as well."""

    leaf_index: int
    salt: bytes
    has_body: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """See above. `files` are the SHA-256 of members that were there before the export's leaf;
    `unlogged` names goods of which the log held nothing, as the service says.

    Raises InvalidArgument MALFORMED_MANIFEST when made.
    """

    evidence_id: str
    time: int
    subject: Subject
    receiver: str
    origin: str
    seal_key: str
    stamped: bool
    chains: tuple[ChainHead, ...]
    unlogged: tuple[str, ...]
    openings: tuple[Opening, ...]
    files: dict[str, bytes]

    def __post_init__(self) -> None:
        if len(self.evidence_id) != _ID_DIGITS or not 0 <= self.time <= MAX_SIZE:
            raise _malformed("has no id or time")
        if not 1 <= len(self.chains) <= MAX_GOODS or len(self.openings) > MAX_LEAVES:
            raise _malformed("has no chains, or more leaves than a bundle has")
        if len({chain.label for chain in self.chains}) != len(self.chains):
            raise _malformed("has a chain twice")
        indices = [opening.leaf_index for opening in self.openings]
        if indices != sorted(set(indices)):
            raise _malformed("has openings out of their order")
        bound = {REPORT, *(fact_name(index) for index in indices)}
        bound.update(body_name(opening.leaf_index) for opening in self.openings if opening.has_body)
        if not bound <= self.files.keys() or any(len(d) != 32 for d in self.files.values()):
            raise _malformed("has not the hashes of all that it is to bind")
        if self.sealing_key.type is not SignatureType.ED25519:
            raise _malformed("has a seal of another kind")

    @property
    def sealing_key(self) -> VerifierKey:
        """The key of this export alone. Raises InvalidArgument MALFORMED_MANIFEST."""
        try:
            return VerifierKey.parse(self.seal_key)
        except InvalidArgument:
            raise _malformed("has no key of its seal") from None

    @property
    def digest(self) -> str:
        """What the fact of the export holds of it."""
        return sha256(self.encode()).hexdigest()

    @property
    def fact_text(self) -> str:
        """The fact of this export, as the log has it."""
        return evidence_fact(
            self.evidence_id, str(self.subject), self.receiver, self.time, (), self.digest
        ).text

    def encode(self) -> bytes:
        """The member: what `parse` reads."""
        value = {
            "v": _VERSION,
            "evidence_id": self.evidence_id,
            "time": self.time,
            "subject": {
                "kind": self.subject.kind.value,
                "name": self.subject.name,
                "title": asdict(self.subject.title),
            },
            "receiver": self.receiver,
            "origin": self.origin,
            "seal_key": self.seal_key,
            "stamped": self.stamped,
            "chains": [[c.name, c.batch_number, base64(c.salt), c.length] for c in self.chains],
            "unlogged": list(self.unlogged),
            "openings": [[o.leaf_index, base64(o.salt), o.has_body] for o in self.openings],
            "files": [[name, digest.hex()] for name, digest in self.files.items()],
        }
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Reads a manifest. Raises InvalidArgument MALFORMED_MANIFEST."""
        try:
            value = json.loads(data)
            found = cls(
                _text(value["evidence_id"]),
                _whole(value["time"]),
                _subject(value["subject"]),
                _text(value["receiver"]),
                _text(value["origin"]),
                _text(value["seal_key"]),
                _flag(value["stamped"]),
                tuple(
                    ChainHead(_text(name), _whole(number), _hash(salt), _whole(length))
                    for name, number, salt, length in value["chains"]
                ),
                tuple(_text(name) for name in value["unlogged"]),
                tuple(
                    Opening(_whole(index), _hash(salt), _flag(has_body))
                    for index, salt, has_body in value["openings"]
                ),
                {_text(name): bytes.fromhex(digest) for name, digest in value["files"]},
            )
            spelling = found.encode()
        except InvalidArgument:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            raise _malformed("is no manifest") from None
        if value["v"] != _VERSION:
            raise _malformed("is of another version than this one reads")
        if spelling != data:
            raise _malformed("is not in its one spelling")
        return found


def batch_name(gtin: str, lot: str) -> str:
    """How a batch that is registered at the service is called."""
    return f"products/{gtin}/batches/{quote(lot, safe='')}"


def leaf_name(index: int) -> str:
    """The member that holds an entry."""
    return f"leaves/{index:012}.json"


def proof_name(index: int) -> str:
    """The member that proves where it is."""
    return f"proofs/{index:012}.tlog-proof"


def fact_name(index: int) -> str:
    """The member that holds what it was made for."""
    return f"facts/{index:012}.json"


def body_name(index: int) -> str:
    """The member that holds the text of its event."""
    return f"events/{index:012}.json"


def members_of(manifest: Manifest, indices: Sequence[int], export_index: int) -> list[str]:
    """The names of all members in the order that they have."""
    opened = {opening.leaf_index: opening for opening in manifest.openings}
    return [
        MANIFEST,
        REPORT,
        EXPORT,
        CHECKPOINT,
        *([STAMP] if manifest.stamped else []),
        *map(leaf_name, indices),
        *map(proof_name, indices),
        *(fact_name(index) for index in indices if index in opened or index == export_index),
        *(body_name(index) for index in indices if index in opened and opened[index].has_body),
        SEAL,
    ]


def _subject(value: Any) -> Subject:
    title = LocalizedText(_text(value["title"]["zh"]), _text(value["title"]["en"]))
    return Subject(SubjectKind(value["kind"]), _text(value["name"]), title)


def _hash(text: str) -> bytes:
    return hash32(text, MANIFEST, "MALFORMED_MANIFEST")


# True is an int to Python, 1.0 is none, and [] is as good as false.
def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SIZE:
        raise _malformed("has a number that is none")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _malformed("has a text that is none")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _malformed("has neither true nor false where one must be")
    return value


def _malformed(why: str) -> InvalidArgument:
    return InvalidArgument.of(MANIFEST, "MALFORMED_MANIFEST", why)
