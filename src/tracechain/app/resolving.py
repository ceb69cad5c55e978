"""From an identifier to the thing that it names: a unit of a registered batch, or a foreign one.

A serial of a registered product is inverted under each of its issuer's keys; the batch it leads
to must be one of that product. By chance that happens once in 2^65 / (units issued).
"""

from __future__ import annotations

from tracechain.app.keyring import Keyring
from tracechain.app.ports import BatchStore, Clock, Directory
from tracechain.domain.batch_key import WHOLE_BATCH, derived
from tracechain.domain.code import SERIAL_LENGTH, MalformedCode, decode_serial, parse_code
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.identifiers import Epc, EpcKind, parse_epc
from tracechain.domain.product import Batch
from tracechain.domain.touch import Thing

_REMEMBERED = 50_000
# How long "not registered" is believed, in microseconds.
_BELIEVED = 1_000_000


class Resolver:
    """Finds things. What is registered never changes its identity, so it is remembered."""

    def __init__(
        self, directory: Directory, batches: BatchStore, keyring: Keyring, clock: Clock, host: str
    ) -> None:
        self._directory = directory
        self._batches = batches
        self._keyring = keyring
        self._clock = clock
        self._host = host
        self._issuers: dict[str, tuple[str, int]] = {}
        self._gtins: dict[int, str] = {}
        self._lots: dict[tuple[str, str], tuple[Batch | None, int]] = {}

    async def issuer_of(self, gtin: str) -> str:
        """GLN of the issuer of a product; empty where it is not registered."""
        known = self._issuers.get(gtin)
        if known is None or (not known[0] and self._clock() - known[1] >= _BELIEVED):
            product = await self._directory.get_product(gtin)
            known = (product.issuer_gln if product else "", self._clock())
            _remember(self._issuers, gtin, known)
        return known[0]

    async def batch(self, gtin: str, lot: str) -> Batch | None:
        """The registered batch of this product and lot. Quantities in it may be old."""
        known = self._lots.get((gtin, lot))
        if known is None or (known[0] is None and self._clock() - known[1] >= _BELIEVED):
            known = (await self._batches.find_batch(gtin, lot), self._clock())
            _remember(self._lots, (gtin, lot), known)
        return known[0]

    async def issuer_of_key(self, batch_key: int) -> str:
        """GLN of the issuer of a registered batch; empty for a derived key."""
        gtin = await self._gtin(batch_key)
        return await self.issuer_of(gtin) if gtin else ""

    async def thing(self, epc: Epc) -> Thing:
        """The thing that an identifier names."""
        if epc.kind is EpcKind.SGTIN and epc.gtin is not None and epc.serial is not None:
            return await self._unit(epc, epc.gtin, epc.serial)
        if epc.kind is EpcKind.LGTIN and epc.gtin is not None and epc.lot is not None:
            batch = await self.batch(epc.gtin, epc.lot)
            if batch is not None:
                return Thing(batch.batch_number, 0, WHOLE_BATCH, epc.uri, is_class=True)
        is_class = epc.kind in (EpcKind.LGTIN, EpcKind.GTIN)
        return Thing(derived(epc.uri), 0, 1, epc.uri, is_class)

    async def named(self, text: str, field: str) -> tuple[Epc, Thing]:
        """The thing that a person or program names: a scanned code or any EPC.

        Raises InvalidArgument INVALID_EPC at `field`. The token of a scanned code is not checked:
        naming a unit proves nothing.
        """
        try:
            code = parse_code(text, self._host)
        except MalformedCode:
            epc = parse_epc(text, field)
        else:
            epc = parse_epc(f"https://id.gs1.org/01/{code.gtin}/21/{code.serial}", field)
        return epc, await self.thing(epc)

    async def code_range(self, epc_class: str, first: int, count: int, field: str) -> Thing:
        """A range of the codes of a registered batch. Raises InvalidArgument UNKNOWN_BATCH,
        INVALID_RANGE."""
        epc = parse_epc(epc_class, f"{field}.epc_class")
        batch = None
        if epc.kind is EpcKind.LGTIN and epc.gtin is not None and epc.lot is not None:
            batch = await self.batch(epc.gtin, epc.lot)
        if batch is None:
            raise InvalidArgument.of(
                f"{field}.epc_class", "UNKNOWN_BATCH", "a range is of a batch registered here"
            )
        if count < 1 or first + count > WHOLE_BATCH:
            raise InvalidArgument.of(
                f"{field}.count", "INVALID_RANGE", "must be at least 1 and stay below 2^32"
            )
        return Thing(batch.batch_number, first, first + count, epc.uri)

    async def _unit(self, epc: Epc, gtin: str, serial: str) -> Thing:
        if len(serial) == SERIAL_LENGTH:
            issuer = await self.issuer_of(gtin)
            if issuer:
                try:
                    value = decode_serial(serial)
                except InvalidArgument:
                    return Thing(derived(epc.uri), 0, 1, epc.uri)
                for key in self._keyring.of_issuer(issuer):
                    number, index = key.secret.position(value)
                    if await self._gtin(number) == gtin:
                        return Thing(number, index, index + 1, epc.uri)
        return Thing(derived(epc.uri), 0, 1, epc.uri)

    async def _gtin(self, batch_number: int) -> str:
        gtin = self._gtins.get(batch_number, "")
        if not gtin:
            batch = await self._batches.get_batch(batch_number)
            if batch is not None:
                gtin = batch.gtin
                _remember(self._gtins, batch_number, gtin)
        return gtin


def _remember(memory: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
