"""Leaves by what they are about, opened for those who may see their facts.

Promises that a fact is shown to nobody who may not see the thing that it is about: another
tenant's object does not exist. Entries are public and say nothing; what opens them is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tracechain.app.capturing import identity_from_text
from tracechain.app.log.published import ProvedLeaf, PublishedLog
from tracechain.app.ports import LogStore
from tracechain.app.reading import Reading
from tracechain.app.recalling import Recalling
from tracechain.app.visibility import Visibility
from tracechain.domain.batch_key import event_key
from tracechain.domain.log.fact import FactKind, decisions_chain, issuer_chain
from tracechain.domain.log.sequencing import LogLeaf
from tracechain.domain.party import Principal

# Links of a chain that are read at once.
_STEP = 200

# What an export of evidence adds to a chain is not the issuer's: it says who asked.
_DECISIONS = (FactKind.BATCH, FactKind.QUANTITY, FactKind.RECALL, FactKind.RECALL_LIFTED)

Fact = Mapping[str, Any]


class Page(NamedTuple):
    """Leaves in the order of a chain, and the number there from which the next page goes on;
    0 on the last."""

    leaves: list[ProvedLeaf]
    following: int


class Openings:
    """Opened leaves with their proofs. `first` is the number in the chain to begin at.

    All raise NotFound for what the caller may not see; NotFound LEAF_NOT_FOUND for what was
    recorded before there was a log, Unavailable LEAF_NOT_PUBLISHED where the log is behind."""

    def __init__(
        self,
        store: LogStore,
        log: PublishedLog,
        visibility: Visibility,
        reading: Reading,
        recalling: Recalling,
    ) -> None:
        self._store = store
        self._log = log
        self._visibility = visibility
        self._reading = reading
        self._recalling = recalling

    async def of_batch(
        self, principal: Principal, gtin: str, lot: str, first: int, limit: int
    ) -> Page:
        """What was decided about a batch: its quantity, and recalls."""
        batch = await self._visibility.batch(principal, gtin, lot)
        chain = decisions_chain(batch.batch_number)
        return await self._page(chain, first, limit, lambda fact: fact["kind"] in _DECISIONS)

    async def of_recall(
        self, principal: Principal, gtin: str, lot: str, recall_id: str, first: int, limit: int
    ) -> Page:
        """A recall, and its lifting."""
        recall = await self._recalling.get(principal, gtin, lot, recall_id)
        chain = decisions_chain(recall.batch_number)
        return await self._page(
            chain, first, limit, lambda fact: fact.get("recall_id") == recall_id
        )

    async def of_key(
        self, principal: Principal, gln: str, key_id: int, first: int, limit: int
    ) -> Page:
        """What became of an issuer's key."""
        await self._visibility.party(principal, gln)
        return await self._page(
            issuer_chain(gln), first, limit, lambda fact: fact.get("key_id") == key_id
        )

    async def of_event(self, principal: Principal, identity: str, first: int, limit: int) -> Page:
        """An event. Raises InvalidArgument INVALID_EVENT_ID as well."""
        await self._reading.event(principal, identity)
        event_id, declaration = identity_from_text(identity, "event_id")
        return await self._page(
            event_key(event_id),
            first,
            limit,
            lambda fact: (
                fact["kind"] == FactKind.EVENT and fact["declaration"] == declaration.hex()
            ),
        )

    async def _page(self, chain: int, first: int, limit: int, fits: Callable[[Fact], bool]) -> Page:
        published = await self._log.checkpoint()
        found: list[LogLeaf] = []
        number = first
        while links := await self._store.read_links(chain, number, _STEP):
            for index in links:
                leaf = await self._log.leaf(index)
                if fits(json.loads(leaf.text)):
                    if len(found) == limit:
                        return Page(await self._log.prove_all(published, found), number)
                    found.append(leaf)
                number += 1
        if not found and not first:
            raise await self._log.absent()
        return Page(await self._log.prove_all(published, found), 0)
