"""Reading captured events and documents back, as they were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracechain.app.capturing import identity_from_text
from tracechain.app.naming import named_things
from tracechain.app.ports import EventStore, StoredEvent
from tracechain.app.resolving import Resolver
from tracechain.app.visibility import Visibility
from tracechain.domain.batch_key import is_registered
from tracechain.domain.epcis.jsonld import event_from_json
from tracechain.domain.epcis.model import Event
from tracechain.domain.errors import DataCorrupted, NotFound
from tracechain.domain.party import Principal

MAX_LISTED = 10_000
_CHUNK = 200


@dataclass(frozen=True, slots=True)
class CapturedEvent:
    """An event as given, with what the service knows of its capture."""

    event: Event
    stored: StoredEvent


class Reading:
    """Events and documents for those who may see them."""

    def __init__(self, events: EventStore, resolver: Resolver, visibility: Visibility) -> None:
        self._events = events
        self._resolver = resolver
        self._visibility = visibility

    async def event(self, principal: Principal, identity: str) -> CapturedEvent:
        """One event. Raises InvalidArgument INVALID_EVENT_ID, NotFound EVENT_NOT_FOUND."""
        key = identity_from_text(identity, "event_id")
        (stored,) = await self._events.get_events([key])
        if stored is not None:
            event = event_from_json(stored.body)
            if await self.sees(principal, event, stored.recorder):
                return CapturedEvent(event, stored)
        raise NotFound("EVENT_NOT_FOUND", "there is no such event")

    async def list(
        self, principal: Principal, epc: str, after: tuple[int, str], limit: int
    ) -> tuple[Sequence[CapturedEvent], tuple[int, str] | None, bool]:
        """Events that name a thing, behind (event time, identity in hex), oldest first; where the
        next page starts, None on the last; and whether MAX_LISTED cut the whole list. Raises
        InvalidArgument INVALID_EPC."""
        _, thing = await self._resolver.named(epc, "epc")
        (touches,) = await self._events.touches([thing], MAX_LISTED)
        cut = len(touches) >= MAX_LISTED
        keys = sorted(
            {
                (t.digest.event_time, t.digest.event_id.hex() + t.digest.declaration.hex())
                for t in touches
            }
        )
        rest = [key for key in keys if key > after]
        found: list[CapturedEvent] = []
        last = after
        # What the caller may not see is passed over: an empty page with a token for the next one
        # would tell that there is something.
        for start in range(0, len(rest), _CHUNK):
            part = rest[start : start + _CHUNK]
            ids = [(bytes.fromhex(name[:64]), bytes.fromhex(name[64:])) for _, name in part]
            for key, stored in zip(part, await self._events.get_events(ids), strict=True):
                if stored is None:
                    raise DataCorrupted("EVENT_MISSING", "an event that a thing names is not there")
                event = event_from_json(stored.body)
                if not await self.sees(principal, event, stored.recorder):
                    continue
                if len(found) == limit:
                    return found, last, cut
                found.append(CapturedEvent(event, stored))
                last = key
        return found, None, cut

    async def document(self, principal: Principal, document_id: str) -> tuple[str, Sequence[Event]]:
        """A captured document as (header, events). Raises NotFound DOCUMENT_NOT_FOUND."""
        stored = await self._events.get_document(document_id)
        if stored is None or not await self._visibility.sees_party(principal, stored.recorder):
            raise NotFound("DOCUMENT_NOT_FOUND", f"there is no document {document_id}")
        ids = [entry for entry in stored.entries if not isinstance(entry, str)]
        bodies = iter(await self._events.get_events(ids))
        events: list[Event] = []
        for entry in stored.entries:
            body = entry
            if not isinstance(entry, str):
                kept = next(bodies)
                if kept is None:
                    raise DataCorrupted("EVENT_MISSING", "an event of the document is not there")
                body = kept.body
            assert isinstance(body, str)
            events.append(event_from_json(body))
        return stored.header, events

    async def sees(self, principal: Principal, event: Event, recorder: str) -> bool:
        """True where the principal may read the text of an event by this recorder."""
        if await self._visibility.sees_party(principal, recorder):
            return True
        for item in await named_things(self._resolver, event):
            if is_registered(item.thing.batch_key):
                issuer = await self._resolver.issuer_of_key(item.thing.batch_key)
                if issuer == principal.party_gln:
                    return True
        return False
