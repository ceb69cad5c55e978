"""Verifying a bundle: all of it, with no network and no store, against keys from elsewhere.

Promises that a bundle which passes is the one that was exported, to the byte; that its facts are in
a log which the policy accepts, in this order; and that nothing of its chains was left out up to the
export. A bundle that fails is refused with what is wrong and in which member. Were one check left
out here, somebody would be convicted, or let go, by a file that its bearer wrote.

What is cheap, and names best what was done, comes first: an event that was dropped is reported as
that, and not as a false seal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.evidence.archive import unpack
from tracechain.domain.evidence.chains import Placed, walk_chains
from tracechain.domain.evidence.closing import Export, check_seal
from tracechain.domain.evidence.manifest import (
    CHECKPOINT,
    EXPORT,
    MANIFEST,
    MAX_LEAVES,
    SEAL,
    STAMP,
    ChainHead,
    Manifest,
    Opening,
    batch_name,
    body_name,
    fact_name,
    leaf_name,
    members_of,
    proof_name,
)
from tracechain.domain.evidence.timeline import Entry, entry_of
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.fact import FactKind
from tracechain.domain.log.leaf import Leaf, commitment
from tracechain.domain.log.merkle import leaf_hash, verify_inclusion
from tracechain.domain.log.note import Note
from tracechain.domain.log.policy import Accepted, Policy
from tracechain.domain.log.proof import LogProof

_LEAVES = "leaves/"


@dataclass(frozen=True, slots=True)
class ChainFound:
    """A chain that is whole up to the export: how many leaves it has before that; how many of them
    are sealed, so that nothing is told of them; how many events are told without their text; and
    how many leaves came while the export was made (they are among the sealed ones)."""

    head: ChainHead
    leaves: int
    sealed: int
    without_text: int
    late: int


@dataclass(frozen=True, slots=True)
class Verified:
    """What a bundle proves. `stamp` is its RFC 3161 time stamp over `checkpoint_note`, which is
    not checked here; None where it has none."""

    manifest: Manifest
    export_index: int
    accepted: Accepted
    chains: tuple[ChainFound, ...]
    story: tuple[Entry, ...]
    checkpoint_note: bytes
    stamp: bytes | None


def verify_bundle(data: bytes, policy: Policy) -> Verified:
    """Verifies a bundle. Raises InvalidArgument with the member as its field and a reason:

    MALFORMED_BUNDLE, MALFORMED_MANIFEST, MALFORMED_EXPORT, MALFORMED_LEAF: not in the one form
    that it has; MEMBER_ALTERED, MEMBER_MISSING, MEMBER_UNKNOWN: not what the manifest says;
    EVENT_MISSING, REORDERED, TRUNCATED, CHAIN_MISSING: a chain has a gap, another order, does not
    end in the export's leaf, or is not there; MANIFEST_ALTERED: it is not the one in the log;
    FALSE_OPENING: a fact is not the one that its leaf was made for, or an event not the fact's;
    OTHER_SUBJECT: a chain is not of what it is said to be of; OTHER_CHECKPOINT: a proof is of
    another one; SEAL_BROKEN: something was altered that no proof holds; and as `Policy.accept` and
    `LogProof.parse` do.
    """
    members = unpack(data)
    manifest = Manifest.parse(_member(members, MANIFEST))
    digests = {name: sha256(content).digest() for name, content in members.items() if name != SEAL}
    for name, digest in manifest.files.items():
        if name in digests and digests[name] != digest:
            raise InvalidArgument.of(name, "MEMBER_ALTERED", "is not what the manifest names")
    export = Export.parse(_member(members, EXPORT))
    leaves = _leaves(members)
    chains = walk_chains(manifest, leaves, export.leaf_index)
    _complete(members, manifest, leaves, export)
    story = _story(members, manifest, leaves, export)
    try:
        note = Note.parse(members[CHECKPOINT])
        accepted = policy.accept(note)
    except InvalidArgument as error:
        raise _at(CHECKPOINT, error) from None
    if accepted.checkpoint.origin != manifest.origin:
        raise InvalidArgument.of(CHECKPOINT, "OTHER_CHECKPOINT", "is of another log")
    for index in leaves:
        _check_proof(members, index, note, accepted.checkpoint)
    check_seal(digests, manifest.sealing_key, members[SEAL])
    return Verified(
        manifest,
        export.leaf_index,
        accepted,
        tuple(_found(manifest, chains, leaves)),
        tuple(story),
        members[CHECKPOINT],
        members.get(STAMP),
    )


def _member(members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        raise InvalidArgument.of(name, "MEMBER_MISSING", "is not in the bundle")
    return members[name]


def _leaves(members: Mapping[str, bytes]) -> dict[int, Leaf]:
    """The entries by index, as they stand in the file."""
    leaves: dict[int, Leaf] = {}
    for name, content in members.items():
        if not name.startswith(_LEAVES):
            continue
        digits = name.removeprefix(_LEAVES).removesuffix(".json")
        index = int(digits) if digits.isdecimal() else -1
        if leaf_name(index) != name:
            raise InvalidArgument.of(name, "MEMBER_UNKNOWN", "is no member of a bundle")
        if len(leaves) > MAX_LEAVES:
            raise InvalidArgument.of(name, "MALFORMED_BUNDLE", f"is beyond {MAX_LEAVES} leaves")
        try:
            leaves[index] = Leaf.parse(content)
        except InvalidArgument as error:
            raise _at(name, error) from None
    return leaves


def _complete(
    members: Mapping[str, bytes], manifest: Manifest, leaves: Mapping[int, Leaf], export: Export
) -> None:
    """Exactly the members that must be there, in their order."""
    wanted = members_of(manifest, sorted(leaves), export.leaf_index)
    known = set(wanted)
    for name in wanted:
        _member(members, name)
    for name in (*members, *manifest.files):
        if name not in known:
            raise InvalidArgument.of(name, "MEMBER_UNKNOWN", "is no member of this bundle")
    for name, found in zip(wanted, members, strict=True):
        if name != found:
            raise InvalidArgument.of(found, "REORDERED", f"stands where {name} must be")


def _story(
    members: Mapping[str, bytes], manifest: Manifest, leaves: Mapping[int, Leaf], export: Export
) -> list[Entry]:
    """The opened facts, each checked against its leaf; that of the export is the last."""
    own = _opened(members, export, leaves)
    if members[fact_name(export.leaf_index)] != manifest.fact_text.encode():
        raise InvalidArgument.of(MANIFEST, "MANIFEST_ALTERED", "is not the one that is in the log")
    story: list[Entry] = []
    for opening in manifest.openings:
        fact = _opened(members, opening, leaves)
        event = _event(members, opening.leaf_index, fact) if opening.has_body else None
        _check_batch(manifest, fact, fact_name(opening.leaf_index))
        story.append(_entry(opening.leaf_index, fact, event))
    return [*story, _entry(export.leaf_index, own, None)]


def _opened(
    members: Mapping[str, bytes], opening: Opening | Export, leaves: Mapping[int, Leaf]
) -> dict[str, Any]:
    """The fact of a leaf."""
    leaf, name = leaves[opening.leaf_index], fact_name(opening.leaf_index)
    try:
        text = members[name].decode()
        if commitment(opening.salt, text) != leaf.commitment:
            raise _false(name, "is not the fact that its leaf was made for")
        fact: dict[str, Any] = json.loads(text)
        if (fact["kind"], fact["time"]) == (leaf.kind, leaf.time):
            return fact
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise _false(name, "is no fact, or not of its leaf's kind and time")


def _event(members: Mapping[str, bytes], index: int, fact: Mapping[str, Any]) -> dict[str, Any]:
    name = body_name(index)
    if sha256(members[name]).hexdigest() != fact.get("body_sha256"):
        raise _false(name, "is not the event that its fact is about")
    try:
        event: dict[str, Any] = json.loads(members[name])
    except (ValueError, RecursionError):
        raise _false(name, "is no event") from None
    return event


def _entry(index: int, fact: Mapping[str, Any], event: Mapping[str, Any] | None) -> Entry:
    try:
        return entry_of(index, fact, event)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _false(fact_name(index), "tells nothing that can be read") from None


def _check_batch(manifest: Manifest, fact: Mapping[str, Any], name: str) -> None:
    """That the chain under a batch's number is the one of the batch that the manifest names."""
    if fact["kind"] != FactKind.BATCH:
        return
    named = batch_name(fact["gtin"], fact["lot"])
    for chain in manifest.chains:
        if chain.batch_number == fact["batch_number"] and chain.name != named:
            raise InvalidArgument.of(name, "OTHER_SUBJECT", f"is not about {chain.name}")


def _check_proof(
    members: Mapping[str, bytes], index: int, note: Note, checkpoint: Checkpoint
) -> None:
    name = proof_name(index)
    try:
        proof = LogProof.parse(members[name])
        if (proof.index, proof.checkpoint, proof.extra) != (index, note, None):
            raise InvalidArgument.of("", "OTHER_CHECKPOINT", "is of another leaf or checkpoint")
        verify_inclusion(
            leaf_hash(members[leaf_name(index)]),
            index,
            proof.hashes,
            checkpoint.root,
            checkpoint.size,
        )
    except InvalidArgument as error:
        raise _at(name, error) from None


def _found(
    manifest: Manifest, chains: Sequence[Sequence[Placed]], leaves: Mapping[int, Leaf]
) -> Iterator[ChainFound]:
    opened = {opening.leaf_index: opening for opening in manifest.openings}
    for head, placed in zip(manifest.chains, chains, strict=True):
        # The last is the export's own.
        before = [at.leaf_index for at in placed[:-1]]
        told = [opened[index] for index in before if index in opened]
        without_text = sum(
            not one.has_body and leaves[one.leaf_index].kind is FactKind.EVENT for one in told
        )
        yield ChainFound(
            head, len(before), len(before) - len(told), without_text, len(before) - head.length
        )


def _at(name: str, error: InvalidArgument) -> InvalidArgument:
    return InvalidArgument.of(name, error.reason, error.violations[0].description)


def _false(name: str, why: str) -> InvalidArgument:
    return InvalidArgument.of(name, "FALSE_OPENING", why)
