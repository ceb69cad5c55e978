"""The answer to a scan: was it issued, what is its state, what does its history say.

`decide` is pure: the same facts give the same verdict on every node, for ever. COUNTERFEIT is
said only where it is proved; everything statistical is CAUTION. If this module lies, a consumer
drinks the wrong bottle.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tracechain.domain.code import ScannedCode
from tracechain.domain.custody import Step, UnitState
from tracechain.domain.keys import KeyStanding
from tracechain.domain.product import Batch, IssuedRun, Product
from tracechain.domain.recall import Recall, RecallKind, RecallScope
from tracechain.domain.scan import ScanHistory, Suspicion
from tracechain.domain.text import LocalizedText


class Outcome(StrEnum):
    """The verdict in one word."""

    GENUINE = "genuine"
    CAUTION = "caution"
    COUNTERFEIT = "counterfeit"
    UNKNOWN = "unknown"


class Issuance(StrEnum):
    """Was it issued?"""

    ISSUED = "issued"
    NOT_ISSUED = "not_issued"
    UNKNOWN = "unknown"


class History(StrEnum):
    """What does the scan history say?"""

    NONE = "none"
    FIRST_SCAN = "first_scan"
    SAME_DEVICE = "same_device"
    OTHER_DEVICE = "other_device"
    SUSPICIOUS = "suspicious"


class VerdictReason(StrEnum):
    """See VerdictReason in protos/tracechain/v1/verification.proto; a test keeps them equal."""

    FIRST_SCAN = "FIRST_SCAN"
    SCANNED_BEFORE = "SCANNED_BEFORE"
    MALFORMED_CODE = "MALFORMED_CODE"
    UNKNOWN_RESOLVER = "UNKNOWN_RESOLVER"
    TOKEN_FALSE = "TOKEN_FALSE"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    KEY_REVOKED = "KEY_REVOKED"
    ISSUED_AFTER_REVOCATION = "ISSUED_AFTER_REVOCATION"
    UNKNOWN_PRODUCT = "UNKNOWN_PRODUCT"
    NOT_ISSUED = "NOT_ISSUED"
    NOT_ACTIVATED = "NOT_ACTIVATED"
    SOLD = "SOLD"
    CONSUMED = "CONSUMED"
    EXPORTED = "EXPORTED"
    DESTROYED = "DESTROYED"
    STOLEN = "STOLEN"
    RECALLED_BATCH = "RECALLED_BATCH"
    RECALLED_RANGE = "RECALLED_RANGE"
    RECALLED_UNIT = "RECALLED_UNIT"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"
    IMPOSSIBLE_TRAVEL = "IMPOSSIBLE_TRAVEL"
    MANY_DEVICES = "MANY_DEVICES"
    CLAIMED = "CLAIMED"


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What is known of a batch as a whole: the same for each of its units."""

    batch: Batch
    product: Product
    issuer_name: LocalizedText
    runs: tuple[IssuedRun, ...]
    recalls: tuple[Recall, ...]


# These three are made anew for every scan: as tuples they cost a third.
class UnitFacts(NamedTuple):
    """What is known of one unit: the state that its story leads to, its claim, and the story."""

    state: UnitState
    commissioned: bool
    claim_time: int | None = None
    steps: tuple[Step, ...] = ()


class Facts(NamedTuple):
    """All that a verdict on an authentic token rests on. `day` is the ISO day of the scan."""

    code: ScannedCode
    index: int  # type: ignore[assignment]  # hides a method of tuples that nobody needs here
    key: KeyStanding
    batch: BatchFacts
    unit: UnitFacts
    history: ScanHistory
    device: bytes
    day: str


class Verdict(NamedTuple):
    """The answer. `reasons` are in the order of their weight; the first makes the message.
    `steps` are all of the unit's story: see `journey` for what anybody may see of it."""

    outcome: Outcome
    issuance: Issuance
    state: UnitState | None
    history: History
    reasons: tuple[VerdictReason, ...]
    gtin: str = ""
    serial: str = ""
    batch: BatchFacts | None = None
    first_scan_time: int | None = None
    previous_scans: int = 0
    claim_time: int | None = None
    notice: LocalizedText | None = None
    steps: tuple[Step, ...] = ()


_STATE_REASONS = {
    UnitState.NOT_ACTIVATED: VerdictReason.NOT_ACTIVATED,
    UnitState.SOLD: VerdictReason.SOLD,
    UnitState.CONSUMED: VerdictReason.CONSUMED,
    UnitState.EXPORTED: VerdictReason.EXPORTED,
    UnitState.DESTROYED: VerdictReason.DESTROYED,
    UnitState.STOLEN: VerdictReason.STOLEN,
}
_REFUSED = (KeyStanding.REFUSED, KeyStanding.LATE)
_RECALL_REASONS = {
    RecallScope.BATCH: VerdictReason.RECALLED_BATCH,
    RecallScope.RANGE: VerdictReason.RECALLED_RANGE,
    RecallScope.UNIT: VerdictReason.RECALLED_UNIT,
}


def unreadable(reason: VerdictReason) -> Verdict:
    """For what is not one of our codes at all: MALFORMED_CODE or UNKNOWN_RESOLVER."""
    return Verdict(Outcome.UNKNOWN, Issuance.UNKNOWN, None, History.NONE, (reason,))


def unproved(code: ScannedCode, reason: VerdictReason) -> Verdict:
    """For a code that cannot be judged here: UNKNOWN_KEY, UNKNOWN_PRODUCT."""
    return Verdict(
        Outcome.UNKNOWN, Issuance.UNKNOWN, None, History.NONE, (reason,), code.gtin, code.serial
    )


def counterfeit(
    code: ScannedCode, reason: VerdictReason, batch: BatchFacts | None = None
) -> Verdict:
    """For what is proved false: TOKEN_FALSE, NOT_ISSUED."""
    return Verdict(
        Outcome.COUNTERFEIT,
        Issuance.NOT_ISSUED,
        None,
        History.NONE,
        (reason,),
        code.gtin,
        code.serial,
        batch,
    )


def was_issued(batch: BatchFacts, code: ScannedCode, index: int) -> bool:
    """True where this index was issued under this key in this profile, for this product."""
    if batch.product.gtin != code.gtin:
        return False
    # A plain loop: it stands in the way of every scan, and a generator costs twice as much.
    for run in batch.runs:  # noqa: SIM110
        if run.holds(index, code.key_id, code.profile):
            return True
    return False


def decide(facts: Facts) -> Verdict:
    """The verdict on a code whose token is right and whose serial was issued."""
    reasons: list[VerdictReason] = []
    state = unit_state(facts.batch.batch, facts.unit)
    if reason := _STATE_REASONS.get(state):
        reasons.append(reason)
    notice = None
    for recall in facts.batch.recalls:
        scope = recall.scope(facts.index)
        if scope is not None:
            blocked = recall.kind is RecallKind.BLOCK
            reasons.append(VerdictReason.BLOCKED if blocked else _RECALL_REASONS[scope])
            notice = notice or recall.notice
    if facts.key is not KeyStanding.GOOD:
        late = facts.key is KeyStanding.LATE
        reasons.append(VerdictReason.ISSUED_AFTER_REVOCATION if late else VerdictReason.KEY_REVOKED)
    expires = facts.batch.batch.expiration_date
    if expires and facts.day > expires:
        reasons.append(VerdictReason.EXPIRED)
    history = _history(facts)
    if facts.history.suspicion:
        if facts.history.suspicion & Suspicion.IMPOSSIBLE_TRAVEL:
            reasons.append(VerdictReason.IMPOSSIBLE_TRAVEL)
        if facts.history.suspicion & Suspicion.MANY_DEVICES:
            reasons.append(VerdictReason.MANY_DEVICES)

    outcome = Outcome.CAUTION if reasons else Outcome.GENUINE
    if state is UnitState.DESTROYED or facts.key in _REFUSED:
        outcome = Outcome.COUNTERFEIT
    if len(reasons) > 1:
        reasons = sorted(set(reasons), key=_WEIGHT.__getitem__)
    if facts.unit.claim_time is not None:
        reasons.append(VerdictReason.CLAIMED)
    before = facts.history.before
    reasons.append(VerdictReason.SCANNED_BEFORE if before else VerdictReason.FIRST_SCAN)
    return Verdict(
        outcome,
        Issuance.NOT_ISSUED if facts.key is KeyStanding.LATE else Issuance.ISSUED,
        state,
        history,
        tuple(reasons),
        facts.code.gtin,
        facts.code.serial,
        facts.batch,
        before.first_time if before else None,
        before.count if before else 0,
        facts.unit.claim_time,
        notice,
        facts.unit.steps,
    )


def unit_state(batch: Batch, unit: UnitFacts) -> UnitState:
    """The state of a unit, NOT_ACTIVATED where its batch asks for a commissioning event and
    none has named it: that is how a stolen label is caught. What is destroyed or reported stolen
    stays so."""
    known = unit.state in (UnitState.DESTROYED, UnitState.STOLEN)
    if batch.activation_required and not unit.commissioned and not known:
        return UnitState.NOT_ACTIVATED
    return unit.state


def _history(facts: Facts) -> History:
    before = facts.history.before
    if facts.history.suspicion:
        return History.SUSPICIOUS
    if before is None:
        return History.FIRST_SCAN
    # All marks of the history are this device's: nobody else has been seen.
    if facts.device and before.first_device == facts.device == before.devices:
        return History.SAME_DEVICE
    return History.OTHER_DEVICE


# Most important first: what endangers people, then what proves a fraud, then what hints at one.
_WEIGHT = {
    reason: weight
    for weight, reason in enumerate(
        (
            VerdictReason.DESTROYED,
            VerdictReason.ISSUED_AFTER_REVOCATION,
            VerdictReason.RECALLED_UNIT,
            VerdictReason.RECALLED_RANGE,
            VerdictReason.RECALLED_BATCH,
            VerdictReason.BLOCKED,
            VerdictReason.STOLEN,
            VerdictReason.NOT_ACTIVATED,
            VerdictReason.KEY_REVOKED,
            VerdictReason.IMPOSSIBLE_TRAVEL,
            VerdictReason.MANY_DEVICES,
            VerdictReason.CONSUMED,
            VerdictReason.EXPORTED,
            VerdictReason.SOLD,
            VerdictReason.EXPIRED,
        )
    )
}
