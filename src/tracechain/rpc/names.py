"""Resource names (AIP-122): `parties/{gln}`, `products/{gtin}/batches/{lot}` and what is below.

A lot may hold any character of GS1's set 82, so it is percent-encoded.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.identifiers import gln, gtin14, lot
from tracechain.domain.region import Region


def parts(name: str, field: str, *collections: str) -> list[str]:
    """The ids in a name, one for each collection. Raises InvalidArgument INVALID_NAME."""
    pieces = name.split("/")
    if len(pieces) != 2 * len(collections) or tuple(pieces[::2]) != collections:
        pattern = "/".join(f"{c}/{{id}}" for c in collections)
        raise InvalidArgument.of(field, "INVALID_NAME", f"is not of the form {pattern}")
    ids = [unquote(piece) for piece in pieces[1::2]]
    # Nothing has such a name, and not every store can look for it.
    if any("\x00" in one for one in ids):
        raise InvalidArgument.of(field, "INVALID_NAME", "holds U+0000")
    return ids


def party(gln: str) -> str:
    """Name of a party."""
    return f"parties/{gln}"


def read_party(name: str, field: str) -> str:
    """GLN in the name of a party."""
    return gln(parts(name, field, "parties")[0], field)


def product(gtin: str) -> str:
    """Name of a product."""
    return f"products/{gtin}"


def read_product(name: str, field: str) -> str:
    """GTIN-14 in the name of a product."""
    return gtin14(parts(name, field, "products")[0], field)


def batch(gtin: str, lot: str) -> str:
    """Name of a batch."""
    return f"products/{gtin}/batches/{quote(lot, safe='')}"


def read_batch(name: str, field: str) -> tuple[str, str]:
    """GTIN-14 and lot in the name of a batch."""
    gtin, number = parts(name, field, "products", "batches")
    return gtin14(gtin, field), lot(number, field)


def read_goods(name: str, field: str) -> tuple[str, str]:
    """GTIN-14 and lot in the name of a product or a batch; no lot for a product."""
    if name.count("/") > 1:
        return read_batch(name, field)
    return read_product(name, field), ""


def report(region: str, report_id: str) -> str:
    """Name of a report: below the province of its division."""
    return f"divisions/{region[:2]}0000/reports/{report_id}"


def read_report(name: str, field: str) -> tuple[str, str]:
    """Province and id in the name of a report."""
    province, report_id = parts(name, field, "divisions", "reports")
    return Region.parse(province, field).code, report_id


def recall(gtin: str, lot: str, recall_id: str) -> str:
    """Name of a recall."""
    return f"{batch(gtin, lot)}/recalls/{recall_id}"


def read_recall(name: str, field: str) -> tuple[str, str, str]:
    """GTIN-14, lot and id in the name of a recall."""
    gtin, number, recall_id = parts(name, field, "products", "batches", "recalls")
    return gtin14(gtin, field), lot(number, field), recall_id


def credential(gln: str, credential_id: str) -> str:
    """Name of a credential."""
    return f"parties/{gln}/credentials/{credential_id}"


def read_credential(name: str, field: str) -> tuple[str, str]:
    """GLN and id in the name of a credential."""
    owner, credential_id = parts(name, field, "parties", "credentials")
    return gln(owner, field), credential_id


def key(gln: str, key_id: int) -> str:
    """Name of an issuer key."""
    return f"parties/{gln}/keys/{key_id}"


def read_key(name: str, field: str) -> tuple[str, int]:
    """GLN and key id in the name of an issuer key."""
    owner, number = parts(name, field, "parties", "keys")
    if not (number.isdigit() and number.isascii() and len(number) <= 5):
        raise InvalidArgument.of(field, "INVALID_NAME", "a key id is a number")
    return gln(owner, field), int(number)


def document(document_id: str) -> str:
    """Name of a captured document."""
    return f"documents/{document_id}"


def read_document(name: str, field: str) -> str:
    """Id in the name of a captured document."""
    return parts(name, field, "documents")[0]
