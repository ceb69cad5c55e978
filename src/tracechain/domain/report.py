"""What a consumer reports of a suspicious product (举报), as it is kept for the inspectors.

No name, no number and no address of whoever reports is asked for. The place is a division; a
photograph is kept as pixels alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from tracechain.domain.region import Region
from tracechain.domain.text import bounded

MAX_TEXT = 1000


class ReportKind(StrEnum):
    """What is suspicious."""

    FAKE_PRODUCT = "fake_product"
    COPIED_LABEL = "copied_label"
    BAD_QUALITY = "bad_quality"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `report_id` is 32 hexadecimal digits that begin with its time, so that ids sort
    by it. `code` is the text of the code that was scanned; `gtin` and `issuer_gln` are empty
    where the product is not registered here."""

    report_id: str
    region: str
    kind: ReportKind
    text: str
    code: str
    gtin: str
    issuer_gln: str
    create_time: int
    has_photo: bool = False

    def checked(self) -> Report:
        """The same report. Raises InvalidArgument: INVALID_REGION, TEXT_TOO_LONG, INVALID_TEXT."""
        Region.parse(self.region, "region")
        # A person presses return; a text of one line is safe to list.
        text = " ".join(self.text.split())
        return replace(self, text=bounded(text, "text", MAX_TEXT))

    def erased(self) -> Report:
        """The same report without what whoever sent it wrote, scanned and photographed."""
        return replace(self, text="", code="", has_photo=False)


def province_place(region: str) -> str:
    """The identifier that the reports of a province lie under; see domain.batch_key.derived."""
    return f"urn:tracechain:reports:{region[:2]}"
