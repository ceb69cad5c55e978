"""What belongs into a bundle: the chains of the goods, and which of their facts the receiver sees.

Promises that all leaves of the chains are there, whatever the receiver may see: that nothing was
left out is proved by sealed leaves as well as by opened ones. What is opened follows the rules of
tracing and reading: a fact where its step is in the story that the receiver is told, the text of
an event where he could read it. Were more opened, an export would tell who supplies whom.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tracechain.app.ports import BatchStore, EventStore, LogStore
from tracechain.app.reading import Reading
from tracechain.app.recalling import Recalling
from tracechain.app.reporting import Reporting
from tracechain.app.resolving import Resolver
from tracechain.app.tracing import Trace, Tracing, lot_uri
from tracechain.app.visibility import Visibility
from tracechain.domain.batch_key import derived, is_registered
from tracechain.domain.epcis.jsonld import event_from_json
from tracechain.domain.errors import DataCorrupted, FailedPrecondition, NotFound
from tracechain.domain.evidence.manifest import (
    MAX_GOODS,
    MAX_LEAVES,
    ChainHead,
    Subject,
    SubjectKind,
    batch_name,
)
from tracechain.domain.log.fact import FactKind, issuer_chain
from tracechain.domain.log.sequencing import LogLeaf
from tracechain.domain.party import Principal
from tracechain.domain.product import Batch
from tracechain.domain.text import LocalizedText

_AT_ONCE = 64

_ALWAYS = frozenset({FactKind.KEY, FactKind.RECALL, FactKind.RECALL_LIFTED})
_DECISIONS = frozenset({FactKind.BATCH, FactKind.QUANTITY})


@dataclass(frozen=True, slots=True)
class Goods:
    """What a bundle is about: the keys of its chains by name, and the events of its story. Of a
    batch registered here the number is the key."""

    subject: Subject
    keys: Mapping[str, int]
    events: frozenset[tuple[bytes, bytes]]
    sees_decisions: bool


@dataclass(frozen=True, slots=True)
class Gathered:
    """The chains as they are in the log now, with the indices of their leaves, and what of these
    is told."""

    goods: Goods
    heads: tuple[ChainHead, ...]
    links: Sequence[Sequence[int]]
    unlogged: tuple[str, ...]
    leaves: Mapping[int, LogLeaf]
    opened: Sequence[int]
    bodies: Mapping[int, str]

    @property
    def size(self) -> int:
        """About how many bytes that is."""
        size = sum(len(leaf.entry) + len(leaf.text.encode()) for leaf in self.leaves.values())
        return size + sum(len(body.encode()) for body in self.bodies.values())


class Gathering:
    """Finds goods, and collects their leaves."""

    def __init__(
        self,
        log: LogStore,
        batches: BatchStore,
        events: EventStore,
        resolver: Resolver,
        tracing: Tracing,
        reading: Reading,
        recalling: Recalling,
        reporting: Reporting,
        visibility: Visibility,
    ) -> None:
        self._log = log
        self._batches = batches
        self._events = events
        self._resolver = resolver
        self._tracing = tracing
        self._reading = reading
        self._recalling = recalling
        self._reporting = reporting
        self._visibility = visibility

    async def unit(self, principal: Principal, text: str) -> Goods:
        """A unit by its code or EPC. Raises as Tracing.unit, EVIDENCE_TOO_LARGE."""
        trace = await self._tracing.unit(principal, text)
        return await self._goods(principal, SubjectKind.UNIT, trace.thing.uri, trace)

    async def batch(self, principal: Principal, text: str) -> Goods:
        """A batch by LGTIN. Raises as Tracing.batch, EVIDENCE_TOO_LARGE."""
        trace = await self._tracing.batch(principal, text)
        name = batch_name(trace.batch.gtin, trace.batch.lot) if trace.batch else trace.thing.uri
        return await self._goods(principal, SubjectKind.BATCH, name, trace)

    async def container(self, principal: Principal, text: str) -> Goods:
        """A container by EPC or SSCC. Raises as Tracing.container, EVIDENCE_TOO_LARGE."""
        trace = await self._tracing.container(principal, text)
        return await self._goods(principal, SubjectKind.CONTAINER, trace.thing.uri, trace)

    async def recall(
        self, principal: Principal, name: str, gtin: str, lot: str, recall_id: str
    ) -> Goods:
        """A recall with its batch. Raises NotFound, EVIDENCE_TOO_LARGE."""
        await self._recalling.get(principal, gtin, lot, recall_id)
        trace = await self._tracing.batch(principal, lot_uri(gtin, lot))
        return await self._goods(principal, SubjectKind.CASE, name, trace)

    async def report(self, principal: Principal, name: str, province: str, report_id: str) -> Goods:
        """A consumer's report with the unit whose code was scanned. Raises NotFound,
        FailedPrecondition CASE_WITHOUT_GOODS, EVIDENCE_TOO_LARGE."""
        report, _ = await self._reporting.get(principal, province, report_id)
        if not report.code:
            raise FailedPrecondition("CASE_WITHOUT_GOODS", "the report names no code of a unit")
        trace = await self._tracing.unit(principal, report.code)
        return await self._goods(principal, SubjectKind.CASE, name, trace)

    async def _goods(
        self, principal: Principal, kind: SubjectKind, name: str, trace: Trace
    ) -> Goods:
        if trace.loaded.truncated:
            raise FailedPrecondition(
                "EVIDENCE_TOO_LARGE", "its story is longer than can be followed; ask for less"
            )
        keys: dict[str, int] = {}
        await self._add(keys, trace.thing.batch_key, trace.thing.uri)
        if trace.batch is not None:
            # What was captured before the batch was registered lies under its lot.
            uri = lot_uri(trace.batch.gtin, trace.batch.lot)
            keys[uri] = derived(uri)
        for nested in trace.stays:
            await self._add(keys, nested.stay.container.batch_key, nested.stay.container.uri)
        if issuer := await self._resolver.issuer_of_key(trace.thing.batch_key):
            keys[f"issuer:{issuer}"] = issuer_chain(issuer)
        if len(keys) > MAX_GOODS:
            raise too_large("goods", len(keys), MAX_GOODS)
        digests = (step.happening.digest for step in trace.loaded.assembled.story.steps)
        title = trace.product.display_name if trace.product else LocalizedText()
        return Goods(
            Subject(kind, name, title),
            keys,
            frozenset((digest.event_id, digest.declaration) for digest in digests),
            await self._sees_decisions(principal, trace.batch),
        )

    async def _add(self, keys: dict[str, int], key: int, uri: str) -> None:
        batch = await self._batches.get_batch(key) if is_registered(key) else None
        keys[batch_name(batch.gtin, batch.lot) if batch else uri] = key

    async def _sees_decisions(self, principal: Principal, batch: Batch | None) -> bool:
        """How much a batch may issue is nobody's business who merely handles it."""
        if batch is None:
            return False
        try:
            await self._visibility.batch(principal, batch.gtin, batch.lot)
        except NotFound:
            return False
        return True

    async def gather(self, principal: Principal, goods: Goods) -> Gathered:
        """The chains as they are now. Raises FailedPrecondition NOTHING_LOGGED,
        EVIDENCE_TOO_LARGE; DataCorrupted EVENT_MISSING."""
        chains = await self._log.read_chains(list(goods.keys.values()))
        heads, links, unlogged = [], [], []
        indices: set[int] = set()
        for (name, key), chain in zip(goods.keys.items(), chains, strict=True):
            if chain is None:
                unlogged.append(name)
                continue
            number = key if is_registered(key) else 0
            heads.append(ChainHead(name, number, chain.salt, chain.length))
            if chain.length + len(indices) > MAX_LEAVES:
                raise too_large("leaves", chain.length + len(indices), MAX_LEAVES)
            links.append(await self._log.read_links(key, 0, chain.length))
            indices.update(links[-1])
        if all(head.name.startswith("issuer:") for head in heads):
            raise FailedPrecondition(
                "NOTHING_LOGGED", "all that is known of it is older than the log"
            )
        leaves = {leaf.leaf_index: leaf for leaf in await self.read(indices)}
        opened, bodies = await self._open(principal, goods, leaves)
        return Gathered(goods, tuple(heads), links, tuple(unlogged), leaves, opened, bodies)

    async def read(self, indices: Iterable[int]) -> list[LogLeaf]:
        """Leaves by their indices. Raises DataCorrupted LOG_LEAF_MISSING."""
        ordered = sorted(indices)
        # Neighbours are read together.
        runs = [
            [index for _, index in run]
            for _, run in groupby(enumerate(ordered), key=lambda at: at[1] - at[0])
        ]
        found: list[LogLeaf] = []
        for start in range(0, len(runs), _AT_ONCE):
            some = runs[start : start + _AT_ONCE]
            for part in await asyncio.gather(
                *(self._log.read_leaves(run[0], run[-1] + 1) for run in some)
            ):
                found += part
        if [leaf.leaf_index for leaf in found] != ordered:
            raise DataCorrupted("LOG_LEAF_MISSING", "a leaf that a chain names is not there")
        return found

    async def _open(
        self, principal: Principal, goods: Goods, leaves: Mapping[int, LogLeaf]
    ) -> tuple[list[int], dict[int, str]]:
        """Which leaves are opened, and the texts of events by leaf."""
        opened: list[int] = []
        events: dict[int, tuple[bytes, bytes]] = {}
        for index, leaf in leaves.items():
            fact: dict[str, Any] = json.loads(leaf.text)
            kind = FactKind(fact["kind"])
            if kind is FactKind.EVENT:
                identity = bytes.fromhex(fact["event_id"]), bytes.fromhex(fact["declaration"])
                if identity in goods.events:
                    opened.append(index)
                    events[index] = identity
            elif kind in _ALWAYS or (kind in _DECISIONS and goods.sees_decisions):
                opened.append(index)
        bodies: dict[int, str] = {}
        for index, stored in zip(
            events, await self._events.get_events(list(events.values())), strict=True
        ):
            if stored is None:
                raise DataCorrupted("EVENT_MISSING", "an event that the log names is not there")
            event = event_from_json(stored.body)
            if await self._reading.sees(principal, event, stored.recorder):
                bodies[index] = stored.body
        return opened, bodies


def too_large(what: str, count: int, limit: int) -> FailedPrecondition:
    """More than one bundle has."""
    return FailedPrecondition(
        "EVIDENCE_TOO_LARGE",
        f"{count} {what}, at most {limit} are exported at once; ask for units or containers",
        metadata={"what": what, "count": str(count), "limit": str(limit)},
    )
