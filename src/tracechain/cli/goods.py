"""How people name goods on a command line, turned into what the service takes."""

from __future__ import annotations

from urllib.parse import quote

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.identifiers import EpcKind, gtin14, lot, parse_epc

BATCH_HELP = "GTIN/LOT, products/GTIN/batches/LOT, or the lot as EPC URN or GS1 Digital Link."
GOODS_HELP = f"GTIN of a product; or a batch: {BATCH_HELP}"


def batch_name(text: str) -> str:
    """Name of a batch, however it was given. Raises InvalidArgument."""
    if text.startswith("products/"):
        return text
    if "://" in text or text.startswith("urn:"):
        epc = parse_epc(text, "batch")
        if epc.kind is not EpcKind.LGTIN or epc.gtin is None or epc.lot is None:
            raise InvalidArgument.of("batch", "NOT_A_BATCH", "names no lot")
        return _name(epc.gtin, epc.lot)
    gtin, slash, number = text.partition("/")
    if not slash:
        raise InvalidArgument.of("batch", "INVALID_NAME", f"give it as {BATCH_HELP}")
    return _name(gtin14(gtin, "batch"), lot(number, "batch"))


def goods_name(text: str) -> str:
    """Name of a product or a batch, however it was given. Raises InvalidArgument."""
    if text.isdigit():
        return f"products/{gtin14(text, 'goods')}"
    return batch_name(text)


def kind_of(text: str) -> EpcKind | None:
    """What an identifier names; None for a printed code or what only the service can tell."""
    if text.isdigit() and text.isascii() and len(text) == 18:
        return EpcKind.SSCC
    if text.startswith("products/"):
        return EpcKind.LGTIN
    try:
        return parse_epc(text).kind
    except InvalidArgument:
        return None


def _name(gtin: str, number: str) -> str:
    return f"products/{gtin}/batches/{quote(number, safe='')}"
