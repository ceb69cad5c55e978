"""The page of a code: the verdict in words first, what to do now, product, journey, forms.

What units of a batch have in common is rendered once and cut where the unit's own values go; a
scan then joins a dozen strings. A value is escaped where it is put in.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup, escape

from tracechain.app.journeys import Journeys
from tracechain.domain.journey import Hop
from tracechain.domain.region import Language, Region
from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import BatchFacts, History, Issuance, Outcome, Verdict
from tracechain.domain.wording import advice, headline, kind_words, step_words, words
from tracechain.web.pages import Pages
from tracechain.web.region_map import draw

_REMEMBERED = 2048
_MINUTE = 60_000_000
_CHINA = datetime.timezone(datetime.timedelta(hours=8))
# What differs from unit to unit, in the template as `slots.…`.
SLOTS = ("code", "quoted", "here", "gtin", "serial", "first", "count", "claimed", "token")


class Pieces(NamedTuple):
    """A page cut at its slots: text, nothing, text, …, text, in UTF-8, and for each slot where in
    `parts` it lies and which of SLOTS it is. `kept` holds what the key names by its identity, so
    that no other object can take its place."""

    parts: list[bytes]
    slots: tuple[tuple[int, int], ...]
    kept: tuple[object, ...]


class Place(NamedTuple):
    """Where a page stands: the text of its code, the same for a query, and its own address up to
    where another parameter can be put. All three can be put into markup as they are."""

    code: str
    quoted: str
    here: str


def place_of(code: str, here: str) -> Place:
    """The place of a code of any characters."""
    return Place(str(escape(code)), quote(code, safe=""), str(escape(here)))


class ScanPage:
    """Renders pages of codes."""

    def __init__(self, pages: Pages, journeys: Journeys) -> None:
        self._pages = pages
        self._journeys = journeys
        # No text of an issuer can hold it.
        mark = secrets.token_hex(8)
        self._slots = {name: f"[{mark}:{name}]" for name in SLOTS}
        self._cut = f"[{mark}:"
        self._known: dict[tuple[object, ...], Pieces] = {}

    async def render(self, verdict: Verdict, lang: Language, place: Place, token: str) -> bytes:
        """The page of a scan, in UTF-8. Apart from `place`, a unit's own values are made here or
        were read as digits and letters: none needs escaping."""
        key = (
            id(verdict.batch), id(verdict.steps) if verdict.steps else 0, verdict.outcome,
            verdict.issuance, verdict.state, verdict.history, verdict.reasons, verdict.notice,
            lang, verdict.first_scan_time is None, verdict.claim_time is None,
        )  # fmt: skip
        pieces = self._known.get(key)
        if pieces is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            pieces = self._known[key] = await self._pieces(verdict, lang)
        values = (
            *place,
            verdict.gtin,
            verdict.serial,
            moment(verdict.first_scan_time, lang),
            str(verdict.previous_scans),
            moment(verdict.claim_time, lang),
            token,
        )
        encoded = [value.encode() for value in values]
        parts = pieces.parts.copy()
        for at, slot in pieces.slots:
            parts[at] = encoded[slot]
        return b"".join(parts)

    async def _pieces(self, verdict: Verdict, lang: Language) -> Pieces:
        hops = await self._journeys.of(verdict.steps)
        text = self._pages.render("unit.html", lang, self._values(verdict, hops, lang))
        first, *rest = text.split(self._cut)
        slots, parts = [], [first.encode()]
        for part in rest:
            slot, _, behind = part.partition("]")
            slots.append((len(parts), SLOTS.index(slot)))
            parts += [b"", behind.encode()]
        return Pieces(parts, tuple(slots), (verdict.batch, verdict.steps))

    def _values(
        self, verdict: Verdict, hops: Sequence[Hop], lang: Language
    ) -> Mapping[str, object]:
        slots = {name: Markup(slot) for name, slot in self._slots.items()}
        issued = verdict.issuance is Issuance.ISSUED
        return {
            "slots": slots,
            "here": slots["here"],
            "outcome": verdict.outcome,
            "headline": said(headline(verdict.outcome), lang),
            "message": said(words(verdict.reasons[0]), lang),
            "reasons": verdict.reasons,
            "others": [said(words(reason), lang) for reason in verdict.reasons[1:]
                       if reason not in _SAID_BELOW],
            "advice": [said(text, lang) for text in advice(verdict.reasons)],
            "notice": said(verdict.notice, lang) if verdict.notice else "",
            "first_scan": verdict.first_scan_time is None,
            "same_device": verdict.history is History.SAME_DEVICE,
            "is_issued": issued,
            "is_claimed": verdict.claim_time is not None,
            "may_claim": issued and verdict.outcome is not Outcome.COUNTERFEIT,
            "product": product_values(verdict.batch, lang) if issued and verdict.batch else None,
            "hops": [hop_values(hop, lang) for hop in hops],
            "map": draw([hop.region for hop in hops if hop.region], lang),
        }  # fmt: skip


_SAID_BELOW = frozenset(("FIRST_SCAN", "SCANNED_BEFORE"))


def said(text: LocalizedText, lang: Language) -> str:
    """A text in this language; in the other one where it is not there."""
    return (text.en or text.zh) if lang == "en" else (text.zh or text.en)


def moment(time: int | None, lang: Language) -> str:
    """A time of the clock in China, to the minute."""
    return "" if time is None else _minute(time // _MINUTE, lang)


@lru_cache(maxsize=4096)
def _minute(number: int, lang: Language) -> str:
    there = datetime.datetime.fromtimestamp(number * 60, _CHINA)
    return f"{there:%Y-%m-%d %H:%M}" + ("" if lang == "zh" else " (China)")


def product_values(facts: BatchFacts, lang: Language) -> Mapping[str, object]:
    """What a label says too: product, issuer, lot, days, licences, standards."""
    batch, product = facts.batch, facts.product
    return {
        "name": said(product.display_name, lang),
        "issuer": said(facts.issuer_name, lang),
        "lot": batch.lot,
        "produced": batch.production_date,
        "expires": batch.expiration_date,
        "licenses": [(item.kind, item.number) for item in product.licenses],
        "standards": product.standards,
    }


def hop_values(hop: Hop, lang: Language) -> Mapping[str, str]:
    """A hop for a person."""
    return {
        "day": hop.day,
        "step": said(step_words(hop.step), lang),
        "place": place_name(hop.region, lang) if hop.region else "",
        "kind": said(kind_words(hop.kind), lang),
    }


def place_name(code: str, lang: Language) -> str:
    """A division by name; its province where its own is not known: digits tell a person nothing."""
    region = Region(code)
    prefecture = region.prefecture
    known = prefecture is None or prefecture.name(lang) is not None
    return (region if known else region.province).display(lang)
