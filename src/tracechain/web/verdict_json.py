"""A verdict as JSON, for programs that look a code up as a browser does. The names are those of
the API (protos/tracechain/v1/verification.proto, in the JSON mapping), which has more.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from tracechain.domain.journey import Hop
from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import History, Verdict
from tracechain.domain.wording import advice, words


def verdict_json(verdict: Verdict, hops: Sequence[Hop], now: int) -> Mapping[str, object]:
    """The answer to a scan; what is not known is left out."""
    batch = verdict.batch
    said: dict[str, object] = {
        "outcome": f"OUTCOME_{verdict.outcome.upper()}",
        "issuance": f"ISSUANCE_{verdict.issuance.upper()}",
        "reasons": [f"VERDICT_REASON_{reason}" for reason in verdict.reasons],
        "message": text_json(words(verdict.reasons[0])),
        "advice": [text_json(text) for text in advice(verdict.reasons)],
        "previousScans": verdict.previous_scans,
        "verifyTime": time_json(now),
    }
    if verdict.state is not None:
        said["state"] = f"UNIT_STATE_{verdict.state.upper()}"
    if verdict.history is not History.NONE:
        said["history"] = f"HISTORY_{verdict.history.upper()}"
    if verdict.gtin:
        said |= {"gtin": verdict.gtin, "serial": verdict.serial}
    if batch is not None:
        said |= {
            "lot": batch.batch.lot,
            "product": text_json(batch.product.display_name),
            "issuer": text_json(batch.issuer_name),
            "productionDate": batch.batch.production_date,
        }
        if batch.batch.expiration_date:
            said["expirationDate"] = batch.batch.expiration_date
    for name, time in (
        ("firstScanTime", verdict.first_scan_time), ("claimTime", verdict.claim_time),
    ):  # fmt: skip
        if time is not None:
            said[name] = time_json(time)
    if verdict.notice is not None:
        said["notice"] = text_json(verdict.notice)
    if hops:
        said["hops"] = [
            {"day": hop.day, "bizStep": hop.step, "region": hop.region, "partyKind": hop.kind or ""}
            for hop in hops
        ]
    return said


def text_json(text: LocalizedText) -> Mapping[str, str]:
    """A text in the languages that it has."""
    return {lang: said for lang, said in (("zh", text.zh), ("en", text.en)) if said}


def time_json(time: int) -> str:
    """Microseconds since 1970 as RFC 3339."""
    there = datetime.datetime.fromtimestamp(time / 1e6, datetime.UTC)
    return there.isoformat(timespec="milliseconds").replace("+00:00", "Z")
