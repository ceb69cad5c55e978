"""Capturing events: validated, resolved, kept durably, and marked where they do not fit.

Each event gets an answer of its own. What is malformed is refused and named; what is well formed
is kept, always: custody and order are judged from the whole set of events, and an event that does
not fit now may fit once a late one arrives. Capturing twice changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tracechain.app.naming import Named, named_things
from tracechain.app.ports import (
    BatchStore,
    Clock,
    EventStore,
    NewEvent,
    StoredDocument,
    StoredEvent,
)
from tracechain.app.resolving import Resolver
from tracechain.app.stories import Stories
from tracechain.domain.batch_key import is_registered
from tracechain.domain.conflict import Conflict
from tracechain.domain.epcis.event_hash import hash_bytes
from tracechain.domain.epcis.jsonld import (
    event_from_json,
    event_to_json,
    parse_document,
    render_document,
)
from tracechain.domain.epcis.model import Action, Event
from tracechain.domain.epcis.times import parse_time
from tracechain.domain.epcis.validate import checked
from tracechain.domain.epcis.vocabulary import biz_step_name, disposition_name
from tracechain.domain.errors import InvalidArgument, Violation
from tracechain.domain.identifiers import Epc, EpcKind, canonical_uri, parse_epc
from tracechain.domain.party import Principal
from tracechain.domain.touch import EventDigest, Thing, Touch, TouchRole

MAX_EVENTS = 1000
MAX_THINGS = 10_000
MAX_BODY = 1_000_000
# How many units of a range stand for it when conflicts are looked for.
_SAMPLES = 16

Append = Callable[[Sequence[NewEvent]], Awaitable[list[bool]]]


class CaptureStatus(StrEnum):
    """See CaptureStatus in protos/tracechain/v1/capture.proto."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What became of one event. `violation` is set where it was refused."""

    status: CaptureStatus
    identity: str = ""
    violation: Violation | None = None
    conflicts: tuple[Conflict, ...] = ()


def identity_text(event_id: bytes, declaration: bytes) -> str:
    """The identity of an event as callers see it (CBV 2.0 section 8.9)."""
    text = f"ni:///sha-256;{event_id.hex()}?ver=CBV2.0"
    return f"{text}#declaration-{declaration.hex()}" if declaration else text


def identity_from_text(text: str, field: str) -> tuple[bytes, bytes]:
    """What `identity_text` made. Raises InvalidArgument INVALID_EVENT_ID."""
    name, _, declaration = text.partition("#declaration-")
    digest = name.removeprefix("ni:///sha-256;").removesuffix("?ver=CBV2.0")
    try:
        found = bytes.fromhex(digest), bytes.fromhex(declaration)
    except ValueError:
        found = b"", b""
    if len(found[0]) != 32 or len(found[1]) not in (0, 8) or identity_text(*found) != text:
        raise InvalidArgument.of(
            field, "INVALID_EVENT_ID", "is not of the form ni:///sha-256;{hash}?ver=CBV2.0"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An event that can be kept, and what it names."""

    new: NewEvent
    named: tuple[Named, ...]
    identity: str


class Capturing:
    """Captures events for handlers and issuers."""

    def __init__(
        self,
        resolver: Resolver,
        events: EventStore,
        batches: BatchStore,
        append: Append,
        stories: Stories,
        clock: Clock,
        future_tolerance: int,
    ) -> None:
        self._resolver = resolver
        self._events = events
        self._batches = batches
        self._append = append
        self._stories = stories
        self._clock = clock
        self._future_tolerance = future_tolerance

    async def capture(
        self, principal: Principal, events: Sequence[Event | InvalidArgument]
    ) -> list[CaptureResult]:
        """An answer for each event, once all that were accepted are durable.

        An event that could not even be read comes as the error that says why. Raises
        InvalidArgument LIST_TOO_LONG, and Unavailable or ResourceExhausted where nothing was kept.
        """
        if not 1 <= len(events) <= MAX_EVENTS:
            raise InvalidArgument.of(
                "events", "LIST_TOO_LONG", f"1 to {MAX_EVENTS} are taken, not {len(events)}"
            )
        now = self._clock()
        results: list[CaptureResult | None] = [None] * len(events)
        prepared: dict[tuple[bytes, bytes], tuple[int, _Prepared]] = {}
        twice: list[tuple[int, _Prepared]] = []
        for i, event in enumerate(events):
            try:
                ready = await self._prepare(principal, event, now)
            except InvalidArgument as error:
                results[i] = CaptureResult(CaptureStatus.REFUSED, violation=error.violations[0])
                continue
            key = (ready.new.event.event_id, ready.new.event.declaration)
            if key in prepared:
                twice.append((i, ready))
            else:
                prepared[key] = (i, ready)
        places = list(prepared.values())
        added = await self._append([ready.new for _, ready in places]) if places else []
        fresh = [entry for entry, is_new in zip(places, added, strict=True) if is_new]
        conflicts = await self._conflicts([ready for _, ready in fresh])
        for (i, ready), is_new in zip(places, added, strict=True):
            status = CaptureStatus.ACCEPTED if is_new else CaptureStatus.DUPLICATE
            results[i] = CaptureResult(
                status, ready.identity, conflicts=conflicts.get(ready.identity, ())
            )
        for i, ready in twice:
            results[i] = CaptureResult(CaptureStatus.DUPLICATE, ready.identity)
        return [result for result in results if result is not None]

    def check_document(self, header: str, events: Sequence[Event | InvalidArgument]) -> list[Event]:
        """The events of a document that can be kept and come out again; asked before capturing.

        Raises InvalidArgument for an event that could not be read, for a header that is none,
        TEXT_TOO_LONG.
        """
        if len(header) > MAX_BODY:
            raise InvalidArgument.of("document.json", "TEXT_TOO_LONG", f"at most {MAX_BODY}")
        whole: list[Event] = []
        for i, event in enumerate(events):
            if isinstance(event, InvalidArgument):
                raise event.under(f"events[{i}]")
            whole.append(event)
        if not whole:
            return whole  # refused by `capture`
        try:
            again = parse_document(render_document(header, whole).encode())
        except ValueError:
            # The one thing that the model holds and JSON does not.
            raise InvalidArgument.of("events", "INVALID_NUMBER", "holds no number") from None
        if len(again.events) != len(whole):
            raise InvalidArgument.of(
                "document.json", "INVALID_DOCUMENT", "is the header of other events"
            )
        return whole

    async def keep_document(
        self,
        principal: Principal,
        header: str,
        events: Sequence[Event],
        results: Sequence[CaptureResult],
    ) -> str:
        """Keeps the document that these events came in; gives its id.

        Events that were refused are part of the document all the same: it comes out as it went in.
        They were checked by `check_document` before.
        """
        bodies = [event_to_json(event) for event in events]
        digest = hashlib.sha256(f"{principal.party_gln}\x00{header}".encode())
        entries: list[tuple[bytes, bytes] | str] = []
        for body, result in zip(bodies, results, strict=True):
            digest.update(b"\x00" + body.encode())
            if result.status is CaptureStatus.ACCEPTED:
                entries.append(identity_from_text(result.identity, "event_id"))
            else:
                entries.append(body)
        document_id = digest.hexdigest()[:32]
        await self._events.put_document(
            StoredDocument(document_id, principal.party_gln, header, tuple(entries), self._clock())
        )
        return document_id

    async def _prepare(
        self, principal: Principal, event: Event | InvalidArgument, now: int
    ) -> _Prepared:
        if isinstance(event, InvalidArgument):
            raise event
        violations, parsed = checked(event)
        if violations:
            raise InvalidArgument(violations)
        event_time = parse_time(event.event_time)
        self._check_past(event_time, now, "event_time")
        if event.error_declaration is not None:
            field = "error_declaration.declaration_time"
            self._check_past(parse_time(event.error_declaration.declaration_time), now, field)
        body = event_to_json(event)
        if event.empty_fields and _empty_fields(body) != set(event.empty_fields):
            raise InvalidArgument.of(
                "empty_fields", "UNKNOWN_FIELD", "names what cannot be empty in this event"
            )
        if len(body) > MAX_BODY:
            raise InvalidArgument.of("", "EVENT_TOO_LARGE", f"has more than {MAX_BODY} characters")
        named = await named_things(self._resolver, event, parsed)
        if len(named) > MAX_THINGS:
            raise InvalidArgument.of(
                "", "LIST_TOO_LONG", f"names {len(named)} things, at most {MAX_THINGS} are taken"
            )
        event_id, declaration = hash_bytes(event), b""
        if event.error_declaration is not None:
            declaration = hashlib.sha256(
                f"{principal.party_gln}\x00{event.error_declaration!r}".encode()
            ).digest()[:8]
        digest = _digest(event, event_id, declaration, event_time, now, principal.party_gln)
        return _Prepared(
            NewEvent(
                StoredEvent(event_id, declaration, event_time, now, principal.party_gln, body),
                _touches(event, digest, named),
            ),
            named,
            identity_text(event_id, declaration),
        )

    def _check_past(self, time: int, now: int, field: str) -> None:
        if time > now + self._future_tolerance:
            raise InvalidArgument.of(
                field, "EVENT_TIME_IN_FUTURE", "is later than now by our clock"
            )

    async def _conflicts(self, prepared: Sequence[_Prepared]) -> Mapping[str, tuple[Conflict, ...]]:
        """What does not fit about these events, as far as is known now."""
        # Events that name the same thing share one story: folding it for each would be quadratic.
        wanted: dict[tuple[int, int, int], tuple[Thing, str]] = {}
        owners: dict[tuple[int, int, int], set[str]] = {}
        found: dict[str, set[Conflict]] = {}
        issued: dict[int, int] = {}
        for ready in prepared:
            for item in ready.named:
                if item.role is TouchRole.PARENT:
                    continue
                thing, own = item.thing, found.setdefault(ready.identity, set())
                if is_registered(thing.batch_key) and not thing.is_class:
                    if thing.batch_key not in issued:
                        batch = await self._batches.get_batch(thing.batch_key)
                        issued[thing.batch_key] = batch.issued_quantity if batch else 0
                    if thing.end > issued[thing.batch_key]:
                        own.add(Conflict.BEYOND_ISSUED)
                for unit in await self._samples(thing):
                    key = (unit.batch_key, unit.first, unit.end)
                    if key not in wanted:
                        wanted[key] = (unit, await self._resolver.issuer_of_key(unit.batch_key))
                    owners.setdefault(key, set()).add(ready.identity)
        stories = await self._stories.load(list(wanted.values()))
        for identities, loaded in zip(owners.values(), stories, strict=True):
            for step in loaded.assembled.story.steps:
                digest = step.happening.digest
                identity = identity_text(digest.event_id, digest.declaration)
                if identity in identities:
                    found[identity].update(step.conflicts)
            for identity in identities:
                found[identity].update(loaded.assembled.conflicts)
        return {identity: tuple(sorted(c)) for identity, c in found.items() if c}

    async def _samples(self, thing: Thing) -> list[Thing]:
        if not is_registered(thing.batch_key) or thing.is_class or thing.end - thing.first == 1:
            return [thing]
        # Units between the ends of overlapping touches share a story: one stands for them all.
        (touches,) = await self._events.touches([thing], _SAMPLES * 4)
        starts = {thing.first}
        for touch in touches:
            starts.update(n for n in (touch.first, touch.end) if thing.first <= n < thing.end)
        return [replace(thing, first=n, end=n + 1) for n in sorted(starts)[:_SAMPLES]]


def _empty_fields(body: str) -> set[str]:
    """The fields that are empty in a stored event; none where it could not be read back."""
    try:
        return set(event_from_json(body).empty_fields)
    except InvalidArgument:
        return set()


def _touches(event: Event, digest: EventDigest, named: Sequence[Named]) -> tuple[Touch, ...]:
    parent = next((n.thing for n in named if n.role is TouchRole.PARENT), None)
    clears = (
        event.action is Action.DELETE
        and parent is not None
        and not any(n.role is TouchRole.CHILD for n in named)
    )
    return tuple(
        Touch(
            n.thing.batch_key,
            n.thing.first,
            n.thing.end,
            n.role,
            n.thing.is_class,
            digest,
            parent if n.role is TouchRole.CHILD else None,
            clears and n.role is TouchRole.PARENT,
        )
        for n in named
    )


def _digest(
    event: Event, event_id: bytes, declaration: bytes, event_time: int, now: int, recorder: str
) -> EventDigest:
    return EventDigest(
        event_id,
        declaration,
        event_time,
        now,
        event.type.value,
        event.action.value if event.action else "",
        biz_step_name(event.biz_step),
        disposition_name(event.disposition),
        recorder,
        _party([(item.type, item.source) for item in event.source_list]),
        _party([(item.type, item.destination) for item in event.destination_list]),
        canonical_uri(event.read_point.id) if event.read_point else "",
        canonical_uri(event.biz_location.id) if event.biz_location else "",
    )


def _party(entries: Sequence[tuple[str, str]]) -> str:
    """GLN of the possessing party, else of the owning party; empty where none is told."""
    for kind in ("possessing_party", "owning_party"):
        for given, uri in entries:
            if given.endswith(kind):
                epc = _parsed(uri)
                if epc is not None and epc.kind is EpcKind.PGLN:
                    return epc.uri.rpartition("/417/")[2]
    return ""


def _parsed(uri: str) -> Epc | None:
    try:
        return parse_epc(uri)
    except InvalidArgument:
        return None
