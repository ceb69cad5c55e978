"""Links that issuers register for their products and batches, and what a resolver finds of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tracechain.app.ports import BatchStore, Clock, Directory, PublicStore
from tracechain.app.visibility import Visibility
from tracechain.domain.batch_key import derived
from tracechain.domain.errors import NotFound
from tracechain.domain.link_set import Link, LinkSet
from tracechain.domain.party import Party, PartyKind, Principal
from tracechain.domain.product import Batch, Product
from tracechain.domain.recall import Recall


@dataclass(frozen=True, slots=True)
class Known:
    """What anybody may know of a product or batch: what its label says, recalls that hold, and
    the links of the batch before those of the product."""

    product: Product
    issuer: Party | None
    batch: Batch | None
    recalls: tuple[Recall, ...]
    links: tuple[Link, ...]


class Linking:
    """Use cases on link sets."""

    def __init__(
        self,
        directory: Directory,
        batches: BatchStore,
        store: PublicStore,
        visibility: Visibility,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._batches = batches
        self._store = store
        self._visibility = visibility
        self._clock = clock

    async def put(self, principal: Principal, gtin: str, lot: str, links: LinkSet) -> LinkSet:
        """Registers the links of a product, or of a batch where `lot` is not empty.

        Raises NotFound, InvalidArgument: see LinkSet.checked.
        """
        key = await self._key(principal, gtin, lot)
        return await self._store.put_links(key, replace(links.checked(), change_time=self._clock()))

    async def get(self, principal: Principal, gtin: str, lot: str) -> LinkSet:
        """The registered links; none where none were. Raises NotFound."""
        return await self._store.get_links(await self._key(principal, gtin, lot)) or LinkSet()

    async def known(self, gtin: str, lot: str = "") -> Known:
        """What is public of a product, or of a batch. Raises NotFound NOT_REGISTERED."""
        product = await self._directory.get_product(gtin)
        batch = await self._batches.find_batch(gtin, lot) if product and lot else None
        if product is None or (lot and batch is None):
            raise NotFound(
                "NOT_REGISTERED", f"nothing is registered here as {gtin}{' ' * bool(lot)}{lot}"
            )
        issuer = await self._visibility.name_of(product.issuer_gln)
        links = [await self._store.get_links(_product_key(gtin))]
        recalls: list[Recall] = []
        if batch is not None:
            links.insert(0, await self._store.get_links(batch.batch_number))
            recalls = await self._batches.list_recalls(batch.batch_number)
        return Known(
            product,
            issuer,
            batch,
            tuple(recall for recall in recalls if recall.lift_time is None),
            tuple(link for found in links if found for link in found.links),
        )

    async def issuer(self, gln: str) -> Party:
        """An issuer by its number; other parties are nobody's to look up. Raises NotFound
        NOT_REGISTERED."""
        party = await self._visibility.name_of(gln)
        if party is None or party.kind is not PartyKind.ISSUER:
            raise NotFound("NOT_REGISTERED", f"nothing is registered here as {gln}")
        return party

    async def _key(self, principal: Principal, gtin: str, lot: str) -> int:
        if lot:
            return (await self._visibility.batch(principal, gtin, lot)).batch_number
        await self._visibility.product(principal, gtin)
        return _product_key(gtin)


def _product_key(gtin: str) -> int:
    return derived(f"https://id.gs1.org/01/{gtin}")
