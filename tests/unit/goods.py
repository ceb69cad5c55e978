"""Events and touches in a few words, for tests of stories. Parties are single letters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tracechain.domain.batch_key import WHOLE_BATCH, derived
from tracechain.domain.custody import Happening
from tracechain.domain.touch import EventDigest, Thing, Touch, TouchRole

BATCH, INDEX = 5, 7
UNIT = (BATCH, INDEX)
ISSUER, CARRIER, DISTRIBUTOR, SHOP, STRANGER = "I", "C", "D", "S", "X"


def event_id(number: int) -> bytes:
    """The identity of the event with this number."""
    return number.to_bytes(32, "big")


def digest(
    number: int, time: int, step: str = "", recorder: str = ISSUER, **more: Any
) -> EventDigest:
    """An event: object, observed, of this step by this party."""
    plain = EventDigest(
        event_id(number), b"", time, time, "ObjectEvent", "OBSERVE", step, "", recorder, "", "",
        "", "",
    )  # fmt: skip
    return replace(plain, **more)


def packing(
    number: int, time: int, action: str, recorder: str = ISSUER, **more: Any
) -> EventDigest:
    """An aggregation."""
    return digest(
        number, time, "", recorder, **{"type": "AggregationEvent", "action": action, **more}
    )


def declared(event: EventDigest, recorder: str | None = None) -> EventDigest:
    """The declaration that an event was wrong, by its own recorder unless another is named."""
    by = event.recorder if recorder is None else recorder
    return replace(event, declaration=b"declared", recorder=by)


def box(name: str) -> Thing:
    """A container."""
    uri = f"urn:box:{name}"
    return Thing(derived(uri), 0, 1, uri)


def at(thing: Thing) -> tuple[int, int]:
    """Where its touches are found."""
    return (thing.batch_key, thing.first)


def of_unit(event: EventDigest, role: TouchRole = TouchRole.ITEM, **more: Any) -> Touch:
    """What an event says of the unit; `parent` for a child."""
    return replace(Touch(BATCH, INDEX, INDEX + 1, role, False, event), **more)


def of_lot(event: EventDigest, role: TouchRole = TouchRole.ITEM, **more: Any) -> Touch:
    """What an event says that counts some of the unit's lot."""
    return replace(Touch(BATCH, 0, WHOLE_BATCH, role, True, event), **more)


def of_box(
    thing: Thing, event: EventDigest, role: TouchRole = TouchRole.ITEM, **more: Any
) -> Touch:
    """What an event says of a container."""
    return replace(Touch(*at(thing), 1, role, False, event), **more)


def put(event: EventDigest, parent: Thing, child: Thing | None = None) -> Touch:
    """The unit, or a container, as a child of `parent`."""
    if child is None:
        return of_unit(event, TouchRole.CHILD, parent=parent)
    return of_box(child, event, TouchRole.CHILD, parent=parent)


def cleared(thing: Thing, event: EventDigest) -> Touch:
    """A container that lost all its contents."""
    return of_box(thing, event, TouchRole.PARENT, clears=True)


def happening(event: EventDigest, role: TouchRole = TouchRole.ITEM, **more: Any) -> Happening:
    """An event as it touches the unit itself."""
    return replace(Happening(event, role, "urn:unit"), **more)
