"""Exporting evidence: a fact in the log that something was handed out, and the file itself.

Promises that a bundle which is handed out verifies, and that the log says that it was handed out,
to whom and what: the fact comes first, the file after the checkpoint that covers it. Nothing is
exported while checkpoints are behind; then no fact is written either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ed25519

from tracechain.app.evidence.gathering import Gathered, Gathering, Goods, too_large
from tracechain.app.evidence.ports import ReportPress, TimeStamps
from tracechain.app.log.published import Published, PublishedLog
from tracechain.app.ports import Clock, LogStore
from tracechain.app.visibility import Visibility
from tracechain.domain.errors import FailedPrecondition, NotFound, Unavailable
from tracechain.domain.evidence.archive import MAX_ARCHIVE_BYTES
from tracechain.domain.evidence.assembling import Contents
from tracechain.domain.evidence.manifest import Manifest
from tracechain.domain.evidence.report import ChainSummary, Report
from tracechain.domain.evidence.timeline import story_of
from tracechain.domain.log.fact import Fact, FactKind, evidence_fact
from tracechain.domain.log.note import NoteSigner
from tracechain.domain.log.sequencing import LogLeaf
from tracechain.domain.party import Principal

# How often an export looks for its checkpoint, in seconds.
_LOOK_SECONDS = 0.1
# Proofs that are made before others have their turn.
_AT_ONCE = 50
_PART = 1 << 18
# Of the members as far as they are known, so that there is room for the rest.
_MAX_BYTES = MAX_ARCHIVE_BYTES * 3 // 4
_HASH_LINE = 45
# A bundle is in memory while it is made.
_MOST_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was made."""

    evidence_id: str
    data: bytes

    async def parts(self) -> AsyncIterator[bytes]:
        """The file, in parts that a message can hold."""
        for start in range(0, len(self.data), _PART):
            yield self.data[start : start + _PART]


class Exporting:
    """Makes bundles. Without `stamps` they have no time stamp. `wait` is how many seconds an
    export waits for a checkpoint, before its fact and after it."""

    def __init__(
        self,
        log: LogStore,
        published: PublishedLog,
        gathering: Gathering,
        press: ReportPress,
        visibility: Visibility,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        resolver: str,
        stamps: TimeStamps | None = None,
        *,
        wait: float,
    ) -> None:
        self._log = log
        self._published = published
        self._gathering = gathering
        self._press = press
        self._visibility = visibility
        self._clock = clock
        self._random = random_bytes
        self._resolver = resolver
        self._stamps = stamps
        self._wait = wait
        self._room = asyncio.Semaphore(_MOST_AT_ONCE)

    async def export(self, principal: Principal, goods: Goods) -> Bundle:
        """The bundle of these goods for the caller; each call is an export of its own.

        Raises Unavailable CHECKPOINT_BEHIND, REPORT_UNAVAILABLE, TSA_UNAVAILABLE;
        FailedPrecondition NOTHING_LOGGED, EVIDENCE_TOO_LARGE; DataCorrupted.
        """
        async with self._room:
            return await self._export(principal, goods)

    async def _export(self, principal: Principal, goods: Goods) -> Bundle:
        try:
            async with asyncio.timeout(self._wait):
                published = await self._settled(self._clock())
        except TimeoutError:
            raise self._behind() from None
        gathered = await self._gathering.gather(principal, goods)
        _check_size(gathered, published)
        evidence_id, time = self._random(16).hex(), self._clock()
        signer = NoteSigner(
            f"evidence-{evidence_id}",
            ed25519.Ed25519PrivateKey.from_private_bytes(self._random(32)),
        )
        origin = published.checkpoint.origin
        report = await self._report(principal, gathered, evidence_id, time, origin)
        contents = Contents(
            goods.subject,
            gathered.heads,
            gathered.unlogged,
            gathered.leaves,
            gathered.opened,
            gathered.bodies,
            await self._press.draw_report(report),
        )
        manifest = contents.manifest(
            evidence_id,
            time,
            principal.party_gln,
            origin,
            str(signer.key),
            stamped=self._stamps is not None,
        )
        fact = _fact(manifest, goods)
        await self._log.append_fact(fact)
        try:
            async with asyncio.timeout(self._wait):
                own, published = await self._covered(goods, gathered, fact)
        except TimeoutError:
            raise self._behind() from None
        late = await self._late(goods, gathered, own)
        proofs = await self._prove(published, [*gathered.leaves.values(), *late, own])
        note = published.note.encode()
        stamp = await self._stamps.stamp(note) if self._stamps else None
        data = await asyncio.to_thread(
            contents.bundle, manifest, own, late, proofs, note, stamp, signer
        )
        return Bundle(evidence_id, data)

    async def _settled(self, now: int) -> Published:
        """The checkpoint, once it covers all that was written before `now`."""
        head = None
        while True:
            count, oldest = await self._log.pending_facts()
            if head is None and (not count or (oldest is not None and oldest >= now)):
                head = await self._log.log_head()
            try:
                published = await self._published.checkpoint()
            except NotFound:
                published = None
            if head is not None and not head.size:
                raise FailedPrecondition("NOTHING_LOGGED", "this service keeps no log")
            if head is not None and published and published.checkpoint.size >= head.size:
                return published
            await asyncio.sleep(_LOOK_SECONDS)

    async def _covered(
        self, goods: Goods, gathered: Gathered, fact: Fact
    ) -> tuple[LogLeaf, Published]:
        """The leaf of the export, and a published checkpoint that covers it."""
        head = gathered.heads[0]
        key, number, own = goods.keys[head.name], head.length, None
        while True:
            if own is None:
                for index in await self._log.read_links(key, number, _AT_ONCE):
                    number += 1
                    (leaf,) = await self._gathering.read([index])
                    if leaf.text == fact.text:
                        own = leaf
                        break
            if own is not None:
                published = await self._published.checkpoint()
                if published.checkpoint.size > own.leaf_index:
                    return own, published
            await asyncio.sleep(_LOOK_SECONDS)

    async def _late(self, goods: Goods, gathered: Gathered, own: LogLeaf) -> Sequence[LogLeaf]:
        """Leaves that came into the chains while the export was made."""
        found: set[int] = set()
        for head in gathered.heads:
            number = head.length
            while links := await self._log.read_links(goods.keys[head.name], number, _AT_ONCE):
                found.update(index for index in links if index < own.leaf_index)
                if links[-1] >= own.leaf_index:
                    break
                number += len(links)
        return await self._gathering.read(found)

    async def _prove(self, published: Published, leaves: Sequence[LogLeaf]) -> dict[int, bytes]:
        """The proofs of leaves, by index."""
        found: dict[int, bytes] = {}
        for start in range(0, len(leaves), _AT_ONCE):
            for leaf, proof in await self._published.prove_all(
                published, leaves[start : start + _AT_ONCE]
            ):
                found[leaf.leaf_index] = proof
        return found

    async def _report(
        self, principal: Principal, gathered: Gathered, evidence_id: str, time: int, origin: str
    ) -> Report:
        story = story_of(
            {index: gathered.leaves[index].text for index in sorted(gathered.opened)},
            gathered.bodies,
        )
        parties = {}
        for gln in sorted({entry.by for entry in story} | {principal.party_gln}):
            if (party := await self._visibility.name_of(gln)) is not None:
                parties[gln] = party.display_name.zh
        told = set(gathered.opened)
        without_text = {
            entry.index
            for entry in story
            if entry.kind is FactKind.EVENT and entry.index not in gathered.bodies
        }
        chains = [
            ChainSummary(
                head.name,
                head.length,
                len(set(links) - told),
                len(without_text.intersection(links)),
            )
            for head, links in zip(gathered.heads, gathered.links, strict=True)
        ]
        return Report(
            evidence_id,
            gathered.goods.subject,
            principal.party_gln,
            time,
            origin,
            f"https://{self._resolver}/evidence",
            chains,
            gathered.unlogged,
            story,
            parties,
        )

    def _behind(self) -> Unavailable:
        return Unavailable(
            "CHECKPOINT_BEHIND",
            f"no published checkpoint covered it within {self._wait:.0f} seconds",
            retry_after=5.0,
        )


def _check_size(gathered: Gathered, published: Published) -> None:
    """Before the fact is written: each leaf brings a proof with the whole checkpoint. Raises
    FailedPrecondition EVIDENCE_TOO_LARGE."""
    proof = len(published.note.encode()) + _HASH_LINE * published.checkpoint.size.bit_length()
    size = gathered.size + len(gathered.leaves) * proof
    if size > _MAX_BYTES:
        raise too_large("bytes", size, _MAX_BYTES)


def _fact(manifest: Manifest, goods: Goods) -> Fact:
    return evidence_fact(
        manifest.evidence_id,
        str(manifest.subject),
        manifest.receiver,
        manifest.time,
        [goods.keys[chain.name] for chain in manifest.chains],
        manifest.digest,
    )
