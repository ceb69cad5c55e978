"""Registering products and batches, and raising what a batch may issue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracechain.app.changing import Changes
from tracechain.app.ports import Clock, Tenants
from tracechain.app.visibility import Visibility
from tracechain.domain.errors import AlreadyExists, FailedPrecondition
from tracechain.domain.party import Principal, Role
from tracechain.domain.product import Batch, Product, check_quantity
from tracechain.domain.text import bounded


class Products:
    """Use cases on products and batches of the calling issuer."""

    def __init__(
        self,
        tenants: Tenants,
        visibility: Visibility,
        changes: Changes,
        clock: Clock,
    ) -> None:
        self._tenants = tenants
        self._visibility = visibility
        self._changes = changes
        self._clock = clock

    async def register(self, principal: Principal, product: Product) -> Product:
        """Keeps a product of the caller; the same content again gives the same product.

        Raises InvalidArgument naming the field, AlreadyExists PRODUCT_EXISTS where the GTIN is
        registered with other content or by somebody else.
        """
        wanted = replace(
            product.checked(), issuer_gln=principal.party_gln, create_time=self._clock()
        )
        kept = await self._tenants.within(principal).put_product(wanted)
        if kept is None or replace(kept, create_time=0) != replace(wanted, create_time=0):
            raise AlreadyExists("PRODUCT_EXISTS", f"product {wanted.gtin} is registered otherwise")
        return kept

    async def get(self, principal: Principal, gtin: str) -> Product:
        """One product. Raises NotFound where there is none that the caller may see."""
        return await self._visibility.product(principal, gtin)

    async def list(self, principal: Principal, after: str, limit: int) -> Sequence[Product]:
        """Products behind GTIN `after` that the caller may see, in the order of their GTIN."""
        if principal.role is Role.INSPECTOR:
            return await self._list_supervised(principal, after, limit)
        issuer = "" if principal.role is Role.OPERATOR else principal.party_gln
        return await self._tenants.within(principal).list_products(issuer, after, limit)

    async def _list_supervised(
        self, principal: Principal, after: str, limit: int
    ) -> Sequence[Product]:
        found: list[Product] = []
        while len(found) < limit:
            page = await self._tenants.within(principal).list_products("", after, 1000)
            for product in page:
                party = await self._visibility.name_of(product.issuer_gln)
                if party is not None and principal.supervises(party.region):
                    found.append(product)
            if len(page) < 1000:
                break
            after = page[-1].gtin
        return found[:limit]

    async def register_batch(self, principal: Principal, batch: Batch) -> Batch:
        """Keeps a batch of one of the caller's products; the same content gives the same batch.

        Raises InvalidArgument, NotFound, AlreadyExists BATCH_EXISTS, also for a quantity beyond
        what the batch may issue: to raise it is an act of its own.
        """
        await self._visibility.product(principal, batch.gtin)
        wanted = replace(batch.checked(), create_time=self._clock())
        kept = await self._tenants.within(principal).put_batch(wanted)
        if _content(kept) != _content(wanted):
            raise AlreadyExists("BATCH_EXISTS", f"batch {kept.lot} is registered otherwise")
        if wanted.authorized_quantity > kept.authorized_quantity:
            raise AlreadyExists(
                "BATCH_EXISTS",
                f"batch {kept.lot} is registered with {kept.authorized_quantity} codes; raise "
                "its quantity",
            )
        return kept

    async def get_batch(self, principal: Principal, gtin: str, lot: str) -> Batch:
        """One batch. Raises NotFound where there is none that the caller may see."""
        return await self._visibility.batch(principal, gtin, lot)

    async def list_batches(
        self, principal: Principal, gtin: str, after: int, limit: int
    ) -> Sequence[Batch]:
        """Batches of a product behind batch number `after`. Raises NotFound."""
        await self._visibility.product(principal, gtin)
        return await self._tenants.within(principal).list_batches(gtin, after, limit)

    async def raise_quantity(
        self,
        principal: Principal,
        gtin: str,
        lot: str,
        quantity: int,
        reason: str,
        request_id: str,
    ) -> Batch:
        """Raises what a batch may issue. Raises NotFound, InvalidArgument, AlreadyExists
        REQUEST_ID_USED where the id stands for another raise, and FailedPrecondition
        QUANTITY_NOT_RAISED where the batch may issue as much already."""
        batch = await self.raisable(principal, gtin, lot, quantity, reason)
        reason = bounded(reason, "reason", 500, required=True)
        request_id = bounded(request_id, "request_id", 64, required=True)
        raised, accepted = await self._changes.make(
            batch.batch_number,
            self._tenants.within(principal).raise_quantity(
                batch.batch_number, quantity, request_id, principal.party_gln, reason, self._clock()
            ),
        )
        if not accepted and quantity > raised.authorized_quantity:
            raise AlreadyExists("REQUEST_ID_USED", "this request id raised the batch otherwise")
        if not accepted:
            raise FailedPrecondition(
                "QUANTITY_NOT_RAISED",
                f"the batch may issue {raised.authorized_quantity} already",
                metadata={"authorized_quantity": str(raised.authorized_quantity)},
            )
        return raised

    async def raisable(
        self, principal: Principal, gtin: str, lot: str, quantity: int, reason: str
    ) -> Batch:
        """The batch that `raise_quantity` would raise. Raises NotFound, InvalidArgument."""
        check_quantity(quantity, "authorized_quantity")
        bounded(reason, "reason", 500, required=True)
        return await self._visibility.batch(principal, gtin, lot)


def _content(batch: Batch) -> tuple[str, str, str, str, str, bool]:
    # The authorised quantity may have been raised since, so here it is left out.
    return (
        batch.gtin,
        batch.lot,
        batch.production_date,
        batch.expiration_date,
        batch.plant_gln,
        batch.activation_required,
    )
