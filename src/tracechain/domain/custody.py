"""The story of one thing: who held it, what state it is in, and what does not fit.

`fold` is a pure function of the set of events: any order of arrival and any repetition gives
the same story. An event that does not fit is marked and moves nothing: a stranger who records
that somebody else's goods were destroyed changes neither their state nor their holder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from tracechain.domain.conflict import Conflict
from tracechain.domain.containment import moment, tried
from tracechain.domain.touch import EventDigest, TouchRole


class UnitState(StrEnum):
    """Where a unit stands in its life."""

    NOT_ACTIVATED = "not_activated"
    ACTIVE = "active"
    SOLD = "sold"
    CONSUMED = "consumed"
    EXPORTED = "exported"
    DESTROYED = "destroyed"
    STOLEN = "stolen"


# CBV 2.0 section 7.1 (business steps) and 7.2 (dispositions) that change a unit's state. The
# disposition speaks first: it tells the state, the step only what was being done.
_BY_DISPOSITION = {
    "retail_sold": UnitState.SOLD,
    "dispensed": UnitState.CONSUMED,
    "destroyed": UnitState.DESTROYED,
    "disposed": UnitState.DESTROYED,
    "stolen": UnitState.STOLEN,
    "returned": UnitState.ACTIVE,
}
_BY_STEP = {
    "retail_selling": UnitState.SOLD,
    "consuming": UnitState.CONSUMED,
    "dispensing": UnitState.CONSUMED,
    "decommissioning": UnitState.CONSUMED,
    "exporting": UnitState.EXPORTED,
    "destroying": UnitState.DESTROYED,
}
_OWNER_SAYS = frozenset({"stolen", "recalled", "returned"})
_ENDED = frozenset({UnitState.CONSUMED, UnitState.DESTROYED})
_COMMISSIONING = frozenset({"commissioning", "creating_class_instance"})
_RECEIVING = frozenset({"receiving", "accepting"})
_SHIPPING = frozenset({"shipping"})
# Steps that a carrier records while goods are on the way; they move no custody.
_ON_THE_WAY = frozenset({"transporting", "departing", "arriving", "loading", "unloading"})
# What an inspector, a laboratory or a sensor records about goods that others hold.
_LOOKING = frozenset({"inspecting", "sampling", "sensor_reporting", "cycle_counting"})


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as it touches the thing: its part, and through which container, if through one."""

    digest: EventDigest
    role: TouchRole
    via: str
    direct: bool = True
    is_class: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A happening with what the fold makes of it. `holder` is the GLN that holds it after."""

    happening: Happening
    holder: str
    conflicts: tuple[Conflict, ...]
    erroneous: bool


@dataclass(frozen=True, slots=True)
class Story:
    """Steps in the order of claimed time, and where they lead. Empty text where not known."""

    steps: tuple[Step, ...]
    state: UnitState
    commissioned: bool
    holder: str
    addressee: str
    location: str


def erroneous_events(digests: Iterable[EventDigest]) -> frozenset[bytes]:
    """Ids of events that the party which recorded them declared erroneous (EPCIS 2.0, 7.4.1.3)."""
    recorders: dict[bytes, set[str]] = {}
    declared: dict[bytes, set[str]] = {}
    for digest in digests:
        book = declared if digest.declaration else recorders
        book.setdefault(digest.event_id, set()).add(digest.recorder)
    return frozenset(
        event_id
        for event_id, by in declared.items()
        if event_id not in recorders or by & recorders[event_id]
    )


def trusted(story: Story, issuer: str) -> frozenset[str]:
    """Who can say into which containers the thing went: those who held it, and who carried it."""
    found = {issuer, story.holder}
    for step in story.steps:
        found.add(step.holder)
        if step.happening.digest.step in _ON_THE_WAY and not step.conflicts and not step.erroneous:
            found.add(step.happening.digest.recorder)
    return frozenset(found)


def fold(happenings: Sequence[Happening], issuer: str) -> Story:
    """The story of one thing. `issuer` is the GLN of the product's issuer, empty for goods
    that nobody registered here: their first holder is whoever recorded them first."""
    erroneous = erroneous_events(h.digest for h in happenings)
    declared = {h.digest.event_id for h in happenings if h.digest.declaration}
    ordered = sorted(
        dict.fromkeys(happenings),
        key=lambda h: (*moment(h.digest), h.role, h.digest.declaration, h.is_class, h.via),
    )
    walk = _Walk(
        issuer, any(_commissions(h) for h in ordered if h.digest.event_id not in erroneous)
    )
    steps: list[Step] = []

    def step(happening: Happening, *, whatever: bool) -> bool:
        digest = happening.digest
        wrong = digest.event_id in erroneous
        conflicts: tuple[Conflict, ...] = ()
        if not wrong and not digest.declaration:
            conflicts = tuple(walk.take(happening))
            if conflicts and not whatever:
                return False
            if digest.event_id in declared:
                conflicts += (Conflict.DECLARED_BY_OTHER_PARTY,)
        steps.append(Step(happening, walk.holder, conflicts, wrong or bool(digest.declaration)))
        return True

    for _, group in groupby(ordered, key=lambda h: h.digest.event_time):
        tied = list(group)
        if len(tied) == 1:
            step(tied[0], whatever=True)
            continue
        for _, phase in groupby(sorted(tied, key=_turn), key=lambda h: _turn(h)[0]):
            for happening in tried(list(phase), lambda h: step(h, whatever=False)):
                step(happening, whatever=True)
    return Story(
        tuple(steps),
        walk.state,
        walk.commissioned,
        walk.holder,
        walk.addressee,
        "" if walk.under_way else walk.location,
    )


def involved(story: Story, issuer: str) -> frozenset[str]:
    """GLNs of those who hold the goods, held them, or were sent them by one who did.

    Recording something of goods makes nobody one of these: anybody can record anything. Of goods
    that nobody registered here, whoever counted some of them is one; where none is left, all who
    spoke of them are.
    """
    found = {issuer} - {""}
    for step in story.steps:
        if step.erroneous or step.conflicts:
            continue
        digest = step.happening.digest
        found |= {step.holder} - {""}
        if step.happening.is_class and not issuer:
            found.add(digest.recorder)
        if digest.recorder in found and digest.destination:
            found.add(digest.destination)
    return frozenset(found or (step.happening.digest.recorder for step in story.steps))


def _turn(happening: Happening) -> tuple[int, bool]:
    """Of one time, goods are made first and come to their end last; in between they are sent
    before they are received."""
    if _makes(happening):
        return 0, False
    phase = 2 if _state_after(happening) in _ENDED else 1
    return phase, happening.digest.step in _RECEIVING


def _state_after(happening: Happening) -> UnitState | None:
    """The state that an event puts goods in; None where it leaves it as it is."""
    if happening.role is TouchRole.INPUT:
        return UnitState.CONSUMED
    digest = happening.digest
    return _BY_DISPOSITION.get(digest.disposition) or _BY_STEP.get(digest.step)


def _makes(happening: Happening) -> bool:
    """True for what commissions, be it a unit or so many of a lot."""
    digest = happening.digest
    if digest.declaration or not happening.direct:
        return False
    if happening.role is TouchRole.OUTPUT:
        return True
    return (
        happening.role is TouchRole.ITEM
        and digest.step in _COMMISSIONING
        and digest.action != "DELETE"
    )


def _commissions(happening: Happening) -> bool:
    # So many units of a lot, not known which: none of them is on sale for that.
    return _makes(happening) and not happening.is_class


class _Walk:
    """The state of a fold, moved by one happening at a time."""

    def __init__(self, issuer: str, expects_commissioning: bool) -> None:
        self.issuer = issuer
        self.expects_commissioning = expects_commissioning
        self.commissioned = False
        self.state = UnitState.ACTIVE
        self.holder = issuer
        self.addressee = ""
        self.under_way = False
        self.location = ""

    def take(self, happening: Happening) -> list[Conflict]:
        """Moves by one happening, or names the conflicts for which it moves nothing."""
        digest = happening.digest
        if _makes(happening):
            return self._commission(digest, happening.is_class)
        if self.expects_commissioning and not self.commissioned:
            return [Conflict.BEFORE_COMMISSIONING]
        if happening.is_class:
            # Some units of the lot, not known which: nothing follows from it for any one unit.
            return []
        if self.state in _ENDED:
            return [Conflict.AFTER_END_OF_LIFE]
        conflicts = self._receive(digest) if digest.step in _RECEIVING else self._act(digest)
        if not conflicts:
            self._settle(happening)
        return conflicts

    def _commission(self, digest: EventDigest, is_class: bool) -> list[Conflict]:
        if self.issuer and digest.recorder != self.issuer:
            return [Conflict.NOT_ISSUER]
        if is_class:
            # A lot that nobody registered here is with whoever made it first.
            if not self.holder:
                self.holder = digest.recorder
                self.location = digest.biz_location or digest.read_point
            return []
        if self.commissioned:
            return [Conflict.COMMISSIONED_TWICE]
        self.commissioned = True
        self.holder = digest.recorder
        self.location = digest.biz_location or digest.read_point
        return []

    def _receive(self, digest: EventDigest) -> list[Conflict]:
        recorder = digest.recorder
        # What never arrived, its sender takes back.
        if self.under_way and self.addressee and recorder not in (self.addressee, self.holder):
            return [Conflict.NOT_ADDRESSEE]
        if not self.under_way and self.holder not in ("", recorder):
            return [Conflict.NOT_HOLDER]
        self.holder, self.addressee, self.under_way = recorder, "", False
        return []

    def _act(self, digest: EventDigest) -> list[Conflict]:
        recorder = digest.recorder
        looks_on = digest.step in _LOOKING or (self.under_way and digest.step in _ON_THE_WAY)
        owner_reports = recorder == self.issuer and digest.disposition in _OWNER_SAYS
        if self.holder not in ("", recorder):
            return [] if looks_on or owner_reports else [Conflict.NOT_HOLDER]
        self.holder = recorder
        if digest.step in _SHIPPING:
            self.under_way, self.addressee = True, digest.destination
        elif digest.step == "void_shipping":
            self.under_way, self.addressee = False, ""
        return []

    def _settle(self, happening: Happening) -> None:
        digest = happening.digest
        place = digest.biz_location or digest.read_point
        if place and digest.step not in _LOOKING:
            self.location = place
        state = _state_after(happening)
        if state is None or digest.recorder not in (self.holder, self.issuer):
            return
        # What others hold, the owner can report stolen or back; it cannot say more about it.
        if digest.recorder != self.holder and digest.disposition not in _OWNER_SAYS:
            return
        # Only the owner says that stolen goods are back; a thief can record anything.
        is_back = state is UnitState.ACTIVE and digest.recorder == self.issuer
        if self.state is UnitState.STOLEN and state is not UnitState.DESTROYED and not is_back:
            return
        self.state = state
