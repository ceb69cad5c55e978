"""The latest recalls of all issuers, for those who watch for them.

What a scan says of a recall never comes from here: that is read with the batch. This list is read
beside all calls, every few seconds, and a reader sees it as of then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracechain.app.ports import BatchStore, Directory, PublicStore
from tracechain.domain.product import Batch, Product
from tracechain.domain.recall import Recall

MOST = 500


@dataclass(frozen=True, slots=True)
class Notice:
    """A recall with the batch and the product that it is of."""

    recall: Recall
    batch: Batch
    product: Product


class Notices:
    """Keeps the latest recalls. `refresh` is called by whoever built it, again and again."""

    def __init__(self, directory: Directory, batches: BatchStore, store: PublicStore) -> None:
        self._directory = directory
        self._batches = batches
        self._store = store
        self._latest: list[Notice] = []
        self._goods: dict[int, tuple[Batch, Product]] = {}

    def latest(self) -> Sequence[Notice]:
        """The latest first, lifted ones too."""
        return self._latest

    async def refresh(self) -> None:
        """Reads the list anew. Raises Unavailable."""
        found = []
        for recall in await self._store.list_latest_recalls(MOST):
            goods = self._goods.get(recall.batch_number) or await self._load(recall.batch_number)
            if goods is not None:
                self._goods[recall.batch_number] = goods
                found.append(Notice(recall, *goods))
        if len(self._goods) > 4 * MOST:
            self._goods.clear()
        self._latest = found

    async def _load(self, batch_number: int) -> tuple[Batch, Product] | None:
        batch = await self._batches.get_batch(batch_number)
        product = await self._directory.get_product(batch.gtin) if batch else None
        return (batch, product) if batch and product else None
