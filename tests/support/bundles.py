"""Bundles of a log on paper, and what forgers do to them: one table for Python and for the browser.

`made_bundle` keeps a small log in memory, signs and cosigns its head, and exports the story of a
batch. `TAMPERINGS` names each way to tamper, with the reason and the member that it is refused by.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.support.service import gln_of, gtin_of, sscc_of
from tracechain.app.ports import LogStore
from tracechain.domain.batch_key import derived
from tracechain.domain.code import Algorithm
from tracechain.domain.evidence.archive import pack, unpack
from tracechain.domain.evidence.assembling import Contents
from tracechain.domain.evidence.manifest import (
    ChainHead,
    Manifest,
    Subject,
    SubjectKind,
    body_name,
    fact_name,
    leaf_name,
    proof_name,
)
from tracechain.domain.keys import IssuerKey
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.cosignature import Cosigner
from tracechain.domain.log.fact import (
    Fact,
    batch_fact,
    event_fact,
    evidence_fact,
    first_quantity_fact,
    issuer_chain,
    key_fact,
    recall_fact,
)
from tracechain.domain.log.leaf import Leaf
from tracechain.domain.log.merkle import hashes, inclusion, nodes
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.proof import LogProof
from tracechain.domain.log.sequencing import LogChain, LogLeaf, sequence
from tracechain.domain.log.tiles import Edge, Tile, reader, tiles_of
from tracechain.domain.product import Batch
from tracechain.domain.recall import Recall, RecallKind
from tracechain.domain.text import LocalizedText

ORIGIN = "log.example/tracechain"
BATCH, NAME = 7, f"products/{gtin_of(1)}/batches/L1"
# The numbers that the batch's quantity and the first event have in its chain.
QUANTITY, EVENTS = 1, 3
CASE = f"https://id.gs1.org/00/{sscc_of(1)}"
ISSUER = f"issuer:{gln_of(1)}"
START = 1_767_600_000_000_000
_SECOND = 1_000_000


def _private(seed: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()).digest())


LOG = NoteSigner(ORIGIN, _private("log"))
STRANGER = NoteSigner("stranger.example", _private("stranger"))
WITNESSES = [Cosigner(f"witness-{i}.example", _private(f"witness {i}")) for i in range(3)]


def policy_text(quorum: int = 2) -> str:
    """A policy with the log, three witnesses, and how many of them it takes."""
    lines = [f"log {LOG.key}"]
    lines += [f"witness w{i} {one.key}" for i, one in enumerate(WITNESSES)]
    return "\n".join([*lines, f"group all {quorum} w0 w1 w2", "quorum all", ""])


@dataclass
class PaperLog:
    """A log in memory."""

    random: Random
    edge: Edge = field(default_factory=Edge)
    tiles: dict[Tile, bytes] = field(default_factory=dict)
    leaves: list[LogLeaf] = field(default_factory=list)
    chains: dict[int, LogChain] = field(default_factory=dict)

    def append(self, *facts: Fact) -> None:
        """Gives facts their places."""
        done = sequence(self.edge, facts, self.chains, self.random.randbytes)
        self.edge = done.edge
        self.tiles |= done.tiles
        self.leaves += done.leaves
        self.chains |= done.chains

    def chain(self, key: int, first: int = 0) -> list[LogLeaf]:
        """The leaves of a chain."""
        number = {link.label for leaf in self.leaves for link in Leaf.parse(leaf.entry).links}
        assert number
        label = _label(self.chains[key], key)
        found = [
            leaf
            for leaf in self.leaves
            if label in {link.label for link in Leaf.parse(leaf.entry).links}
        ]
        return found[first:]

    def checkpoint(self, signers: int = 3) -> Note:
        """The head, signed and cosigned, and by somebody whom no policy knows."""
        head = Checkpoint(ORIGIN, self.edge.size, self.edge.root())
        note = Note(head.text, (LOG.sign(head.text),))
        cosigned = [w.sign(head, START // _SECOND + i) for i, w in enumerate(WITNESSES[:signers])]
        return note.signed(*cosigned, STRANGER.sign(head.text))

    def proof(self, index: int, note: Note) -> bytes:
        """A proof file of a leaf."""
        ranges = inclusion(index, self.edge.size)
        wanted = tiles_of(nodes(ranges), self.edge.size)
        read = reader({tile: self.tiles[tile] for tile in wanted}, self.edge.size)
        return LogProof(index, tuple(hashes(ranges, read)), note).encode()


def _label(chain: LogChain, key: int) -> bytes:
    return ChainHead("", key, chain.salt, 0).label


@dataclass
class Made:
    """A bundle, with what its maker has and a forger may have got."""

    log: PaperLog
    data: bytes
    manifest: Manifest
    export: int
    signer: NoteSigner

    @cached_property
    def whole(self) -> dict[str, bytes]:
        """Its members as they are."""
        return unpack(self.data)

    @property
    def members(self) -> dict[str, bytes]:
        """Its members, to be altered."""
        return dict(self.whole)

    def leaf_of(self, number: int, key: int = BATCH) -> int:
        """The index of the leaf with a number in a chain."""
        return self.log.chain(key)[number].leaf_index


def body_of(number: int, step: str = "shipping") -> str:
    """The text of an event."""
    return json.dumps(
        {
            "type": "ObjectEvent",
            "eventTime": f"2026-01-05T08:{number % 60:02}:00.000+08:00",
            "eventTimeZoneOffset": "+08:00",
            "epcList": [CASE],
            "action": "OBSERVE",
            "bizStep": f"https://ref.gs1.org/cbv/BizStep-{step}",
            "readPoint": {"id": f"https://id.gs1.org/414/{gln_of(2)}"},
            "example:note": f"第 {number} 件",
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _event(number: int, keys: Sequence[int], body: str) -> Fact:
    time = START + number * _SECOND
    return event_fact(
        sha256(body.encode()).digest(), b"", time - 5 * _SECOND, time, gln_of(2), body, keys
    )


def made_bundle(events: int = 4, late: int = 1, *, seed: int = 1, stamp: bytes = b"") -> Made:
    """The story of a batch: a key, the batch, its quantity, a recall, so many events, of which
    every second is of the case that it is in; one event is told without its text, and one of other
    goods lies in between. `late` events come while the export is made."""
    log = PaperLog(Random(seed))
    bodies = {number: body_of(number) for number in range(events)}
    key = IssuerKey(
        3, gln_of(1), Algorithm.ES256, b"public", b"", "first", START, activate_time=START
    )
    batch = Batch(
        gtin_of(1), "L1", "2026-01-05", "", "", 1000, False, batch_number=BATCH, create_time=START
    )
    notice = LocalizedText("请停止饮用", "Do not drink")
    recall = Recall("r1", BATCH, RecallKind.RECALL, (), notice, gln_of(6), True, START)
    log.append(
        key_fact(key, START), batch_fact(batch), first_quantity_fact(batch, gln_of(1)),
        recall_fact(recall),
    )  # fmt: skip
    for number, body in bodies.items():
        log.append(_event(number, [BATCH, derived(CASE)] if number % 2 else [BATCH], body))
        log.append(_event(number, [99], body_of(number + 1000)))
    keys = {ISSUER: issuer_chain(gln_of(1)), NAME: BATCH, CASE: derived(CASE)}
    known = {leaf.leaf_index: leaf for key_ in keys.values() for leaf in log.chain(key_)}
    told = {
        index: bodies[number]
        for index, leaf in known.items()
        for number in range(events)
        if sha256(bodies[number].encode()).hexdigest() in leaf.text
    }
    untold = max(told)
    contents = Contents(
        Subject(SubjectKind.BATCH, NAME, LocalizedText("白酒", "Baijiu")),
        tuple(
            ChainHead(
                name,
                number if name == NAME else 0,
                log.chains[number].salt,
                log.chains[number].length,
            )
            for name, number in keys.items()
        ),
        (),
        dict(sorted(known.items())),
        sorted(known),
        {index: body for index, body in told.items() if index != untold},
        b"%PDF-1.5 a report",
    )
    evidence_id = f"{seed:032x}"
    signer = NoteSigner(f"evidence-{evidence_id}", _private(f"seal {seed}"))
    manifest = contents.manifest(
        evidence_id, START + 100 * _SECOND, gln_of(6), ORIGIN, str(signer.key), stamped=bool(stamp)
    )
    for number in range(late):
        log.append(_event(500 + number, [BATCH], body_of(500 + number)))
    log.append(
        evidence_fact(
            evidence_id, str(manifest.subject), gln_of(6), manifest.time, tuple(keys.values()),
            manifest.digest,
        )
    )  # fmt: skip
    own = log.leaves[-1]
    between = [
        leaf for leaf in log.chain(BATCH) if leaf is not own and leaf.leaf_index not in known
    ]
    log.append(_event(900, [BATCH], body_of(900)))
    note = log.checkpoint()
    indices = [*known, *(leaf.leaf_index for leaf in between), own.leaf_index]
    proofs = {index: log.proof(index, note) for index in indices}
    data = contents.bundle(manifest, own, between, proofs, note.encode(), stamp or None, signer)
    return Made(log, data, manifest, own.leaf_index, signer)


# --- what forgers do

Tamper = Callable[[Made], bytes]


@dataclass(frozen=True)
class Tampering:
    """One way to tamper, and how it is refused. `member` is what the refusal names."""

    name: str
    tamper: Tamper
    reason: str
    member: Callable[[Made], str]


def edited(made: Made, edit: Callable[[dict[str, bytes]], None]) -> bytes:
    """The bundle after an edit of its members, packed anew in the order that they have then."""
    members = made.members
    edit(members)
    return pack(members)


def rehashed(members: dict[str, bytes]) -> None:
    """What a forger does who knows of the manifest: it names what is there now."""
    value = json.loads(members["manifest.json"])
    value["files"] = [
        [name, sha256(members[name]).hexdigest()] for name, _ in value["files"] if name in members
    ]
    members["manifest.json"] = _json(value)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _flip(name: str, at: int = -3) -> Tamper:
    def tamper(made: Made) -> bytes:
        def edit(members: dict[str, bytes]) -> None:
            data = bytearray(members[name])
            data[at] ^= 1
            members[name] = bytes(data)

        return edited(made, edit)

    return tamper


def _raw(change: Callable[[bytes], bytes]) -> Tamper:
    return lambda made: change(made.data)


def without(index: int, members: dict[str, bytes]) -> None:
    """Takes a leaf out, with all that speaks of it."""
    for name in (leaf_name(index), proof_name(index), fact_name(index), body_name(index)):
        members.pop(name, None)
    value = json.loads(members["manifest.json"])
    value["openings"] = [one for one in value["openings"] if one[0] != index]
    members["manifest.json"] = _json(value)
    rehashed(members)


def _dropped(number: int, key: int = BATCH) -> Tamper:
    return lambda made: edited(made, lambda m: without(made.leaf_of(number, key), m))


def _truncated(made: Made) -> bytes:
    """The last event and the export's leaf dropped."""

    def edit(members: dict[str, bytes]) -> None:
        for number in (-2, -3):
            without(made.leaf_of(number), members)

    return edited(made, edit)


def _exchanged(made: Made) -> bytes:
    """Two events in each other's place, and the manifest made to fit."""

    def edit(members: dict[str, bytes]) -> None:
        one, other = made.leaf_of(EVENTS), made.leaf_of(EVENTS + 2)
        for name in (leaf_name, fact_name, body_name):
            a, b = name(one), name(other)
            members[a], members[b] = members[b], members[a]
        rehashed(members)

    return edited(made, edit)


def _swapped_members(made: Made) -> bytes:
    members = list(made.members.items())
    at = [name for name, _ in members].index(leaf_name(made.leaf_of(EVENTS)))
    members[at], members[at + 1] = members[at + 1], members[at]
    return pack(dict(members))


def _set(name: str, change: Callable[[bytes], bytes], *, hashed: bool = False) -> Tamper:
    def edit(members: dict[str, bytes]) -> None:
        members[name] = change(members[name])
        if hashed:
            rehashed(members)

    return lambda made: edited(made, edit)


def _manifest(change: Callable[[dict[str, Any]], None]) -> Tamper:
    def edit(members: dict[str, bytes]) -> None:
        value = json.loads(members["manifest.json"])
        change(value)
        members["manifest.json"] = _json(value)

    return lambda made: edited(made, edit)


def _event_text(made: Made) -> bytes:
    """Another place in the text of an event, and its hashes made to fit as far as they can be."""
    index = made.leaf_of(EVENTS)

    def edit(members: dict[str, bytes]) -> None:
        old = members[body_name(index)]
        new = old.replace("第 0 件".encode(), "第 9 件".encode())
        assert new != old
        members[body_name(index)] = new
        rehashed(members)

    return edited(made, edit)


def _fact_text(made: Made) -> bytes:
    index = made.leaf_of(EVENTS)

    def edit(members: dict[str, bytes]) -> None:
        members[fact_name(index)] = members[fact_name(index)].replace(b"690", b"691")
        rehashed(members)

    return edited(made, edit)


def _quantity(*, hashed: bool) -> Tamper:
    """More codes than were authorised."""

    def tamper(made: Made) -> bytes:
        name = fact_name(made.leaf_of(QUANTITY))
        return _set(name, lambda d: d.replace(b":1000,", b":9000,"), hashed=hashed)(made)

    return tamper


def _leaf_text(made: Made) -> bytes:
    """A leaf with another time, in its spelling."""
    index = made.leaf_of(EVENTS)

    def edit(members: dict[str, bytes]) -> None:
        leaf = Leaf.parse(members[leaf_name(index)])
        members[leaf_name(index)] = replace(leaf, time=leaf.time + 1).encode()
        fact = json.loads(members[fact_name(index)])
        fact["time"] += 1
        members[fact_name(index)] = _json(fact)
        rehashed(members)

    return edited(made, edit)


def _late_leaf(made: Made) -> bytes:
    """The leaf that came late, of which the manifest knows nothing, with another time."""
    index = made.leaf_of(-3)

    def edit(members: dict[str, bytes]) -> None:
        leaf = Leaf.parse(members[leaf_name(index)])
        members[leaf_name(index)] = replace(leaf, time=leaf.time + 1).encode()

    return edited(made, edit)


def _checkpoints(change: Callable[[bytes], bytes]) -> Tamper:
    """The checkpoint changed in all its copies."""

    def tamper(made: Made) -> bytes:
        def edit(members: dict[str, bytes]) -> None:
            old = members["checkpoint.txt"]
            members["checkpoint.txt"] = change(old)
            for name in members:
                if name.startswith("proofs/"):
                    members[name] = members[name].replace(old, change(old))

        return edited(made, edit)

    return tamper


def _line(starts: str, change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    """Changes the signature line of one key."""

    def edit(note: bytes) -> bytes:
        lines = note.decode().splitlines(keepends=True)
        assert any(line.startswith(f"— {starts} ") for line in lines)
        return "".join(
            change(line) if line.startswith(f"— {starts} ") else line for line in lines
        ).encode()

    return edit


def _twist(line: str) -> str:
    """Another byte in the middle of a signature."""
    at = len(line) - 20
    return line[:at] + ("A" if line[at] != "A" else "B") + line[at + 1 :]


def _named(name: str) -> Callable[[Made], str]:
    return lambda made: name


def _leaf_at(number: int, of: Callable[[int], str] = leaf_name) -> Callable[[Made], str]:
    return lambda made: of(made.leaf_of(number))


def _other_signer(made: Made) -> bytes:
    """The same log's leaves, but a checkpoint that the log's key never signed."""

    def edit(members: dict[str, bytes]) -> None:
        old = members["checkpoint.txt"]
        head = Checkpoint.parse(Note.parse(old).text)
        false = NoteSigner(ORIGIN, _private("false log"))
        note = Note(head.text, (false.sign(head.text),)).signed(
            *[w.sign(head, 1) for w in WITNESSES]
        )
        for name in members:
            if name.startswith("proofs/"):
                members[name] = members[name].replace(old, note.encode())
        members["checkpoint.txt"] = note.encode()

    return edited(made, edit)


def _proof_of_another(made: Made) -> bytes:
    index, other = made.leaf_of(EVENTS), made.leaf_of(EVENTS + 1)

    def edit(members: dict[str, bytes]) -> None:
        members[proof_name(index)] = members[proof_name(other)]

    return edited(made, edit)


def _false_hash(made: Made) -> bytes:
    name = proof_name(made.leaf_of(EVENTS))

    def edit(members: dict[str, bytes]) -> None:
        lines = members[name].split(b"\n")
        lines[2] = (b"A" if lines[2][:1] != b"A" else b"B") + lines[2][1:]
        members[name] = b"\n".join(lines)

    return edited(made, edit)


def _cut_time(note: bytes) -> bytes:
    return note.replace(b"\n\n", b"\nextension\n\n", 1)


TAMPERINGS: Sequence[Tampering] = (
    Tampering("a byte more", _raw(lambda d: d + b"\0"), "MALFORMED_BUNDLE", _named("bundle")),
    Tampering("a byte less", _raw(lambda d: d[:-1]), "MALFORMED_BUNDLE", _named("bundle")),
    Tampering("nothing", _raw(lambda d: b""), "MALFORMED_BUNDLE", _named("bundle")),
    Tampering(
        "a comment", _raw(lambda d: d[:-2] + b"\1\0x"), "MALFORMED_BUNDLE", _named("bundle")
    ),
    Tampering(
        "another time of a member",
        _raw(lambda d: d[:10] + b"\1" + d[11:]), "MALFORMED_BUNDLE", _named("bundle"),
    ),
    Tampering(
        "a byte of a member, not its checksum",
        _raw(lambda d: d.replace(b"a report", b"a repork")), "MEMBER_ALTERED", _named("report.pdf"),
    ),
    Tampering("the report", _flip("report.pdf"), "MEMBER_ALTERED", _named("report.pdf")),
    Tampering(
        "the report and its hash",
        _set("report.pdf", lambda d: d + b" ", hashed=True), "MANIFEST_ALTERED",
        _named("manifest.json"),
    ),
    Tampering(
        "no report", lambda made: edited(made, lambda m: m.__delitem__("report.pdf")),
        "MEMBER_MISSING", _named("report.pdf"),
    ),
    Tampering(
        "a member more", lambda made: edited(made, lambda m: m.__setitem__("note.txt", b"!")),
        "MEMBER_UNKNOWN", _named("note.txt"),
    ),
    Tampering("members in another order", _swapped_members, "REORDERED", _leaf_at(EVENTS + 1)),
    Tampering("an event dropped", _dropped(EVENTS), "EVENT_MISSING", _leaf_at(EVENTS + 1)),
    Tampering("the batch's leaf dropped", _dropped(0), "EVENT_MISSING", _leaf_at(1)),
    Tampering("the last event dropped", _dropped(-3), "EVENT_MISSING", _leaf_at(-2)),
    Tampering("the end cut off", _truncated, "TRUNCATED", _named(leaf_name(0))),
    Tampering("two events exchanged", _exchanged, "REORDERED", _leaf_at(EVENTS)),
    Tampering(
        "a chain dropped",
        _manifest(lambda m: m["chains"].pop()), "CHAIN_MISSING", _leaf_at(-2),
    ),
    Tampering(
        "a chain of another name",
        _manifest(lambda m: m["chains"][2].__setitem__(0, CASE[:-1] + "9")), "TRUNCATED",
        _named("manifest.json"),
    ),
    Tampering(
        "a batch of another name",
        _manifest(lambda m: m["chains"][1].__setitem__(0, NAME + "9")), "MANIFEST_ALTERED",
        _named("manifest.json"),
    ),
    Tampering(
        "another receiver", _manifest(lambda m: m.__setitem__("receiver", gln_of(7))),
        "MANIFEST_ALTERED", _named("manifest.json"),
    ),
    Tampering(
        "the manifest in another spelling",
        _set("manifest.json", lambda d: d.replace(b'"v":1', b'"v": 1')), "MALFORMED_MANIFEST",
        _named("manifest.json"),
    ),
    Tampering("an event's text", _event_text, "MANIFEST_ALTERED", _named("manifest.json")),
    Tampering("a fact", _fact_text, "MANIFEST_ALTERED", _named("manifest.json")),
    Tampering(
        "a quantity", _quantity(hashed=False), "MEMBER_ALTERED", _leaf_at(QUANTITY, fact_name)
    ),
    Tampering(
        "a quantity and its hash", _quantity(hashed=True), "MANIFEST_ALTERED",
        _named("manifest.json"),
    ),
    Tampering("a leaf and its fact", _leaf_text, "MANIFEST_ALTERED", _named("manifest.json")),
    Tampering("a leaf that came late", _late_leaf, "FALSE_LOG_PROOF", _leaf_at(-3, proof_name)),
    Tampering(
        "the export's salt",
        _set("export.json", lambda d: d[:-10] + (b"A" if d[-10:-9] != b"A" else b"B") + d[-9:]),
        "FALSE_OPENING", lambda made: fact_name(made.export),
    ),
    Tampering(
        "the export's fact",
        lambda made: _set(fact_name(made.export), lambda d: d.replace(b"690", b"691"))(made),
        "FALSE_OPENING", lambda made: fact_name(made.export),
    ),
    Tampering(
        "a false hash in a proof", _false_hash, "FALSE_LOG_PROOF", _leaf_at(EVENTS, proof_name)
    ),
    Tampering(
        "the proof of another leaf", _proof_of_another, "OTHER_CHECKPOINT",
        _leaf_at(EVENTS, proof_name),
    ),
    Tampering(
        "another checkpoint beside the proofs",
        _set("checkpoint.txt", _line(STRANGER.name, lambda line: "")), "OTHER_CHECKPOINT",
        _leaf_at(0, lambda index: proof_name(0)),
    ),
    Tampering("a root that nobody signed", _other_signer, "NOT_SIGNED", _named("checkpoint.txt")),
    Tampering(
        "an extension of the checkpoint", _checkpoints(_cut_time), "FALSE_SIGNATURE",
        _named("checkpoint.txt"),
    ),
    Tampering(
        "the log's signature", _checkpoints(_line(ORIGIN, _twist)), "FALSE_SIGNATURE",
        _named("checkpoint.txt"),
    ),
    Tampering(
        "a witness's signature", _checkpoints(_line(WITNESSES[1].name, _twist)),
        "FALSE_SIGNATURE", _named("checkpoint.txt"),
    ),
    Tampering(
        "two witnesses dropped",
        _checkpoints(
            lambda note: _line(WITNESSES[2].name, lambda line: "")(
                _line(WITNESSES[1].name, lambda line: "")(note)
            )
        ),
        "QUORUM_NOT_MET", _named("checkpoint.txt"),
    ),
    Tampering(
        "one witness dropped, the quorum met",
        _checkpoints(_line(WITNESSES[2].name, lambda line: "")), "SEAL_BROKEN", _named("seal.txt"),
    ),
    Tampering(
        "a signature that nobody knows", _checkpoints(_line(STRANGER.name, _twist)),
        "SEAL_BROKEN", _named("seal.txt"),
    ),
    Tampering(
        "the order of signatures",
        _checkpoints(
            lambda note: note[: note.index("— ".encode())]
            + b"".join(reversed(note[note.index("— ".encode()) :].splitlines(keepends=True)))
        ),
        "SEAL_BROKEN", _named("seal.txt"),
    ),
    Tampering(
        "the seal", _set("seal.txt", lambda d: d[:-20] + _twist(d[-20:].decode()).encode()),
        "SEAL_BROKEN", _named("seal.txt"),
    ),
    Tampering(
        "no seal", lambda made: edited(made, lambda m: m.__delitem__("seal.txt")),
        "MEMBER_MISSING", _named("seal.txt"),
    ),
)  # fmt: skip


def forged(made: Made) -> Iterable[tuple[Tampering, bytes]]:
    """Each way to tamper with what it makes of a bundle."""
    for one in TAMPERINGS:
        yield one, one.tamper(made)


# --- a publisher for a service that has none


def publishing(store: LogStore) -> Callable[[int, Head], Awaitable[None]]:
    """What publishes the trees of a store, signed and cosigned by the keys of this module."""

    async def publish(fence: int, head: Head) -> None:
        checkpoint = Checkpoint(ORIGIN, head.size, head.root)
        note = Note(checkpoint.text, (LOG.sign(checkpoint.text),))
        note = note.signed(*[w.sign(checkpoint, START // _SECOND) for w in WITNESSES])
        await store.put_checkpoint(fence, head.size, note.encode())

    return publish
