"""Products, batches, and the orders of codes that were issued from them.

A batch says how many codes may exist; an allocation takes a run of indices from it. Issuing
a million codes is one allocation: no code has a row.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace

from tracechain.domain.batch_key import WHOLE_BATCH
from tracechain.domain.code import Profile
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.identifiers import gln, gtin14, lot
from tracechain.domain.text import LocalizedText, bounded

MAX_LIST = 20


@dataclass(frozen=True, slots=True)
class License:
    """A licence that a product is made or sold under: its kind and its number."""

    kind: str
    number: str


@dataclass(frozen=True, slots=True)
class Product:
    """A trade item of one issuer."""

    gtin: str
    issuer_gln: str
    display_name: LocalizedText
    licenses: tuple[License, ...] = ()
    standards: tuple[str, ...] = ()
    create_time: int = 0

    def checked(self, field: str = "product") -> Product:
        """The same product, validated, the GTIN padded to 14 digits. Raises InvalidArgument."""
        for name, entries in (("licenses", self.licenses), ("standards", self.standards)):
            if len(entries) > MAX_LIST:
                raise InvalidArgument.of(
                    f"{field}.{name}", "LIST_TOO_LONG", f"at most {MAX_LIST} are taken"
                )
        return replace(
            self,
            gtin=gtin14(self.gtin, field=f"{field}.gtin"),
            display_name=self.display_name.checked(f"{field}.display_name"),
            licenses=tuple(
                License(
                    bounded(item.kind, f"{field}.licenses[{i}].kind", 60, required=True),
                    bounded(item.number, f"{field}.licenses[{i}].number", 60, required=True),
                )
                for i, item in enumerate(self.licenses)
            ),
            standards=tuple(
                bounded(item, f"{field}.standards[{i}]", 60, required=True)
                for i, item in enumerate(self.standards)
            ),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """A production lot. Dates are ISO 8601 days; `expiration_date` may be empty.

    `batch_number` (1 to 2^33-1) is its batch key; 0 before it is stored.
    """

    gtin: str
    lot: str
    production_date: str
    expiration_date: str
    plant_gln: str
    authorized_quantity: int
    activation_required: bool
    issued_quantity: int = 0
    batch_number: int = 0
    create_time: int = 0

    def checked(self, field: str = "batch") -> Batch:
        """The same batch, validated. Raises InvalidArgument naming the field below `field`."""
        produced = _day(self.production_date, f"{field}.production_date", required=True)
        expires = _day(self.expiration_date, f"{field}.expiration_date")
        if expires and produced and expires < produced:
            raise InvalidArgument.of(
                f"{field}.expiration_date", "INVALID_DATE", "is before the production date"
            )
        check_quantity(self.authorized_quantity, f"{field}.authorized_quantity")
        return replace(
            self,
            lot=lot(self.lot, field=f"{field}.lot"),
            plant_gln=gln(self.plant_gln, field=f"{field}.plant_gln") if self.plant_gln else "",
        )


@dataclass(frozen=True, slots=True)
class Allocation:
    """A run of indices of a batch, issued under one key in one profile for one request."""

    batch_number: int
    request_id: str
    first_index: int
    count: int
    profile: Profile
    key_id: int
    create_time: int


@dataclass(frozen=True, slots=True)
class IssuedRun:
    """Neighbouring allocations of the same key and profile, as one run."""

    first_index: int
    end_index: int
    profile: Profile
    key_id: int

    def holds(self, index: int, key_id: int, profile: Profile) -> bool:
        """True where exactly this code was issued: the index under this key in this profile."""
        return (
            self.first_index <= index < self.end_index
            and self.key_id == key_id
            and self.profile is profile
        )


def merge_runs(allocations: list[Allocation]) -> tuple[IssuedRun, ...]:
    """Allocations in the order of their first index, as few runs as possible."""
    runs: list[IssuedRun] = []
    for a in sorted(allocations, key=lambda a: a.first_index):
        end = a.first_index + a.count
        last = runs[-1] if runs else None
        if last and (last.end_index, last.key_id, last.profile) == (
            a.first_index,
            a.key_id,
            a.profile,
        ):
            runs[-1] = replace(last, end_index=end)
        else:
            runs.append(IssuedRun(a.first_index, end, a.profile, a.key_id))
    return tuple(runs)


def check_quantity(quantity: int, field: str) -> int:
    """`quantity` where it is 1 to 2^32-1. Raises InvalidArgument INVALID_QUANTITY."""
    if not 1 <= quantity < WHOLE_BATCH:
        raise InvalidArgument.of(
            field, "INVALID_QUANTITY", f"is {quantity}, must be 1 to {WHOLE_BATCH - 1}"
        )
    return quantity


def _day(text: str, field: str, *, required: bool = False) -> datetime.date | None:
    if not text and not required:
        return None
    try:
        day = datetime.date.fromisoformat(text)
        if day.isoformat() != text:  # Python reads weeks (2026-W01-1) as well
            raise ValueError
        return day
    except ValueError:
        raise InvalidArgument.of(field, "INVALID_DATE", "is not a day as YYYY-MM-DD") from None
