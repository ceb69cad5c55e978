"""The story that a bundle tells: its opened facts, in the order of the log.

Promises to say nothing that is not in a fact or in the text of an event. `time` is when the service
took the fact, `event_time` what its recorder claims. If this lies, people read another story than
the one that was proved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracechain.domain.epcis.vocabulary import biz_step_name, disposition_name
from tracechain.domain.log.fact import FactKind, told_quantity

_BY = {
    FactKind.KEY: "issuer_gln",
    FactKind.EVENT: "recorder",
    FactKind.QUANTITY: "decider",
    FactKind.RECALL: "decider_gln",
    FactKind.EVIDENCE: "receiver_gln",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact. `by` is who recorded or decided it, `step` and `place` are those of an event whose
    text is there, `about` what the fact says besides; empty where it says nothing."""

    index: int
    kind: FactKind
    time: int
    event_time: int | None = None
    by: str = ""
    step: str = ""
    place: str = ""
    about: str = ""
    is_declared_wrong: bool = False


def story_of(facts: Mapping[int, str], bodies: Mapping[int, str]) -> tuple[Entry, ...]:
    """The story of facts and texts of events that are known to be good, by leaf index."""
    return tuple(
        entry_of(index, json.loads(text), json.loads(bodies[index]) if index in bodies else None)
        for index, text in facts.items()
    )


def entry_of(index: int, fact: Mapping[str, Any], event: Mapping[str, Any] | None) -> Entry:
    """What a fact says; `event` is the text of its event, None where it is not in the bundle.
    Raises ValueError, KeyError, TypeError and AttributeError for what is no fact."""
    kind = FactKind(fact["kind"])
    step = place = ""
    if event is not None:
        step = _step(event)
        places = (event.get("readPoint"), event.get("bizLocation"))
        place = next((str(one["id"]) for one in places if one), "")
    return Entry(
        index,
        kind,
        fact["time"],
        fact.get("event_time"),
        str(fact.get(_BY.get(kind, ""), "")),
        step,
        place,
        _about(kind, fact),
        bool(fact.get("declaration")),
    )


def _step(event: Mapping[str, Any]) -> str:
    names = [
        name(event[key])
        for key, name in (("bizStep", biz_step_name), ("disposition", disposition_name))
        if event.get(key)
    ]
    return " / ".join(names) or str(event["type"])


def _about(kind: FactKind, fact: Mapping[str, Any]) -> str:
    match kind:
        case FactKind.KEY:
            words = f"key {fact['key_id']} {fact['algorithm']}"
            return words if fact["revoke_time"] is None else f"{words} revoked"
        case FactKind.BATCH:
            words = f"{fact['gtin']}/{fact['lot']}"
            quantity = told_quantity(fact)
            return words if quantity is None else f"{words} ≤ {quantity}"
        case FactKind.QUANTITY:
            return f"≤ {fact['quantity']}"
        case FactKind.RECALL:
            return f"{fact['recall_kind']} {fact['recall_id']}: {fact['notice']['zh']}"
        case FactKind.RECALL_LIFTED:
            return f"{fact['recall_id']}: {fact['reason']}"
        case FactKind.EVENT:
            return str(fact["event_id"])
        case FactKind.EVIDENCE:
            return str(fact["subject"])
