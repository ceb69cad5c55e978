"""Who may see what. Another tenant's object does not exist: the answer is NotFound, always the
same one, whether there is such an object or not.

A product or batch is read for the principal alone. The story of goods is many parties', so who is
involved in it is found out as the service.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracechain.app.ports import Store
from tracechain.domain.batch_key import is_registered
from tracechain.domain.errors import NotFound
from tracechain.domain.party import Party, Principal, Role
from tracechain.domain.product import Batch, Product


class Visibility:
    """Reads objects as a principal may see them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parties: dict[str, Party] = {}

    async def name_of(self, gln: str) -> Party | None:
        """A party by GLN, for its name and region. Parties never change, so they are kept."""
        party = self._parties.get(gln)
        if party is None and gln:
            party = await self._store.get_party(gln)
            if party is not None:
                if len(self._parties) >= 10_000:
                    self._parties.clear()
                self._parties[gln] = party
        return party

    async def party(self, principal: Principal, gln: str) -> Party:
        """Its own party, any for an operator, those of its division for an inspector."""
        party = await self.name_of(gln)
        if party is not None and await self.sees_party(principal, gln):
            return party
        raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")

    async def sees_party(self, principal: Principal, gln: str) -> bool:
        """True where what this party did is open to the principal."""
        if principal.role is Role.OPERATOR or principal.party_gln == gln:
            return True
        if principal.role is not Role.INSPECTOR:
            return False
        party = await self.name_of(gln)
        return party is not None and principal.supervises(party.region)

    async def product(self, principal: Principal, gtin: str) -> Product:
        """Its own product, any for an operator, those made in its division for an inspector."""
        product = await self._store.within(principal).get_product(gtin)
        if product is not None and await self._sees_issuer(principal, product.issuer_gln):
            return product
        raise NotFound("PRODUCT_NOT_FOUND", f"there is no product {gtin}")

    async def batch(self, principal: Principal, gtin: str, lot: str) -> Batch:
        """A batch of a product that the principal sees."""
        own = self._store.within(principal)
        product = await own.get_product(gtin)
        if product is not None and await self._sees_issuer(principal, product.issuer_gln):
            batch = await own.find_batch(gtin, lot)
            if batch is not None:
                return batch
        raise NotFound("BATCH_NOT_FOUND", f"there is no batch {lot} of product {gtin}")

    async def sees_goods(
        self, principal: Principal, batch_key: int, involved: Iterable[str]
    ) -> bool:
        """True where the principal may see the story of goods: the issuer of the product, a
        party that is involved in it, an inspector of the division of one of them, an operator.

        `involved` are the GLNs of the parties in the story.
        """
        glns = set(involved)
        if is_registered(batch_key):
            batch = await self._store.get_batch(batch_key)
            product = await self._store.get_product(batch.gtin) if batch else None
            if product is not None:
                glns.add(product.issuer_gln)
        if principal.role is Role.OPERATOR or principal.party_gln in glns:
            return True
        if principal.role is Role.INSPECTOR:
            parties = [await self.name_of(gln) for gln in glns]
            return any(p is not None and principal.supervises(p.region) for p in parties)
        return False

    async def _sees_issuer(self, principal: Principal, gln: str) -> bool:
        if principal.role is Role.HANDLER:
            return False
        return await self.sees_party(principal, gln)
