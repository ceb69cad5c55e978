"""The answer to a scan: every reason is reached, the weightiest comes first, and COUNTERFEIT is
said only where it is proved."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.code import Profile, ScannedCode, encode_serial
from tracechain.domain.custody import UnitState
from tracechain.domain.keys import KeyStanding
from tracechain.domain.product import Batch, IssuedRun, Product
from tracechain.domain.recall import Recall, RecallKind
from tracechain.domain.scan import ScanHistory, ScanSummary, Suspicion
from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import (
    BatchFacts,
    Facts,
    History,
    Issuance,
    Outcome,
    UnitFacts,
    Verdict,
    VerdictReason,
    counterfeit,
    decide,
    unproved,
    unreadable,
    was_issued,
)
from tracechain.domain.wording import words
from tracechain.v1 import verification_pb2

R = VerdictReason
CODE = ScannedCode("06901234501018", encode_serial(1), 1, Profile.COMPACT, 7, None, b"0123456789")
ME, OTHER = b"me.8byte", b"you8byte"
BATCH = Batch(CODE.gtin, "A", "2025-03-04", "2026-03-03", "", 100, activation_required=True)
PRODUCT = Product(CODE.gtin, "6901234000045", LocalizedText("酒", "Liquor"))
FACTS = BatchFacts(
    BATCH, PRODUCT, LocalizedText("酒厂"), (IssuedRun(0, 100, Profile.COMPACT, 7),), ()
)
NOTICE = LocalizedText("请停止食用", "Stop")
SUMMARY = ScanSummary(100, ME, "210102", b"1", 200, ME, "210102", b"2", 2, ME, Suspicion.NONE)
ON_SALE = Facts(
    CODE, 5, KeyStanding.GOOD, FACTS, UnitFacts(UnitState.ACTIVE, True),
    ScanHistory(None, Suspicion.NONE), ME, "2025-06-01",
)  # fmt: skip


def recall(kind: RecallKind = RecallKind.RECALL, *spans: tuple[int, int], **more: Any) -> Recall:
    """A recall of the batch, or of spans of it."""
    return replace(Recall("r", 1, kind, spans, NOTICE, "6901234000045", False, 50), **more)


def facts(**changes: Any) -> Facts:
    """The facts of a unit on sale, but for these."""
    batch = {k: changes.pop(k) for k in ("recalls", "batch") if k in changes}
    unit = {k: changes.pop(k) for k in ("state", "commissioned", "claim_time") if k in changes}
    history = {k: changes.pop(k) for k in ("before", "suspicion") if k in changes}
    return ON_SALE._replace(
        batch=replace(FACTS, **batch),
        unit=ON_SALE.unit._replace(**unit),
        history=ON_SALE.history._replace(**history),
        **changes,
    )


CASES: list[tuple[dict[str, Any], Outcome, list[VerdictReason]]] = [
    ({}, Outcome.GENUINE, [R.FIRST_SCAN]),
    ({"before": SUMMARY}, Outcome.GENUINE, [R.SCANNED_BEFORE]),
    ({"claim_time": 9}, Outcome.GENUINE, [R.CLAIMED, R.FIRST_SCAN]),
    ({"claim_time": 0, "before": SUMMARY}, Outcome.GENUINE, [R.CLAIMED, R.SCANNED_BEFORE]),
    ({"commissioned": False}, Outcome.CAUTION, [R.NOT_ACTIVATED, R.FIRST_SCAN]),
    ({"state": UnitState.SOLD}, Outcome.CAUTION, [R.SOLD, R.FIRST_SCAN]),
    ({"state": UnitState.CONSUMED}, Outcome.CAUTION, [R.CONSUMED, R.FIRST_SCAN]),
    ({"state": UnitState.EXPORTED}, Outcome.CAUTION, [R.EXPORTED, R.FIRST_SCAN]),
    ({"state": UnitState.STOLEN}, Outcome.CAUTION, [R.STOLEN, R.FIRST_SCAN]),
    ({"state": UnitState.DESTROYED}, Outcome.COUNTERFEIT, [R.DESTROYED, R.FIRST_SCAN]),
    ({"key": KeyStanding.DOUBTFUL}, Outcome.CAUTION, [R.KEY_REVOKED, R.FIRST_SCAN]),
    ({"key": KeyStanding.REFUSED}, Outcome.COUNTERFEIT, [R.KEY_REVOKED, R.FIRST_SCAN]),
    ({"day": "2026-03-03"}, Outcome.GENUINE, [R.FIRST_SCAN]),
    ({"day": "2026-03-04"}, Outcome.CAUTION, [R.EXPIRED, R.FIRST_SCAN]),
    ({"recalls": (recall(),)}, Outcome.CAUTION, [R.RECALLED_BATCH, R.FIRST_SCAN]),
    ({"recalls": (recall(RecallKind.RECALL, (0, 6)),)}, Outcome.CAUTION,
     [R.RECALLED_RANGE, R.FIRST_SCAN]),
    ({"recalls": (recall(RecallKind.RECALL, (5, 6)),)}, Outcome.CAUTION,
     [R.RECALLED_UNIT, R.FIRST_SCAN]),
    ({"recalls": (recall(RecallKind.RECALL, (6, 9), (0, 5)),)}, Outcome.GENUINE, [R.FIRST_SCAN]),
    ({"recalls": (recall(lift_time=60),)}, Outcome.GENUINE, [R.FIRST_SCAN]),
    ({"recalls": (recall(RecallKind.BLOCK),)}, Outcome.CAUTION, [R.BLOCKED, R.FIRST_SCAN]),
    ({"recalls": (recall(RecallKind.BLOCK, (5, 6)),)}, Outcome.CAUTION,
     [R.BLOCKED, R.FIRST_SCAN]),
    ({"recalls": (recall(), recall(RecallKind.BLOCK), recall(RecallKind.RECALL, (5, 6)),
                  recall())}, Outcome.CAUTION,
     [R.RECALLED_UNIT, R.RECALLED_BATCH, R.BLOCKED, R.FIRST_SCAN]),
    ({"suspicion": Suspicion.IMPOSSIBLE_TRAVEL, "before": SUMMARY}, Outcome.CAUTION,
     [R.IMPOSSIBLE_TRAVEL, R.SCANNED_BEFORE]),
    ({"suspicion": Suspicion.MANY_DEVICES, "before": SUMMARY}, Outcome.CAUTION,
     [R.MANY_DEVICES, R.SCANNED_BEFORE]),
    ({"suspicion": Suspicion.MANY_DEVICES | Suspicion.IMPOSSIBLE_TRAVEL, "before": SUMMARY,
      "state": UnitState.SOLD, "day": "2030-01-01", "claim_time": 1}, Outcome.CAUTION,
     [R.IMPOSSIBLE_TRAVEL, R.MANY_DEVICES, R.SOLD, R.EXPIRED, R.CLAIMED, R.SCANNED_BEFORE]),
    ({"state": UnitState.DESTROYED, "recalls": (recall(),), "key": KeyStanding.DOUBTFUL},
     Outcome.COUNTERFEIT, [R.DESTROYED, R.RECALLED_BATCH, R.KEY_REVOKED, R.FIRST_SCAN]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "outcome", "reasons"),
    CASES,
    ids=[f"{i}-{reasons[0]}" for i, (_, _, reasons) in enumerate(CASES)],
)
def test_facts_and_their_verdict(
    changes: dict[str, Any], outcome: Outcome, reasons: list[VerdictReason]
) -> None:
    given_facts = facts(**changes)
    verdict = decide(given_facts)
    assert (verdict.outcome, list(verdict.reasons)) == (outcome, reasons)
    assert verdict.issuance is Issuance.ISSUED
    assert (verdict.gtin, verdict.serial) == (CODE.gtin, CODE.serial)
    assert verdict == decide(given_facts)


def test_what_was_issued_after_the_revocation_of_its_key_counts_as_not_issued() -> None:
    verdict = decide(facts(key=KeyStanding.LATE, recalls=(recall(),), before=SUMMARY))
    assert (verdict.outcome, verdict.issuance) == (Outcome.COUNTERFEIT, Issuance.NOT_ISSUED)
    assert verdict.reasons == (R.ISSUED_AFTER_REVOCATION, R.RECALLED_BATCH, R.SCANNED_BEFORE)


def test_verdicts_without_facts() -> None:
    for reason in (R.MALFORMED_CODE, R.UNKNOWN_RESOLVER):
        assert unreadable(reason) == Verdict(
            Outcome.UNKNOWN, Issuance.UNKNOWN, None, History.NONE, (reason,)
        )
    for reason in (R.UNKNOWN_KEY, R.UNKNOWN_PRODUCT):
        found = unproved(CODE, reason)
        assert (found.outcome, found.issuance) == (Outcome.UNKNOWN, Issuance.UNKNOWN)
        assert (found.reasons, found.serial) == ((reason,), CODE.serial)
    for reason in (R.TOKEN_FALSE, R.NOT_ISSUED):
        found = counterfeit(CODE, reason, FACTS)
        assert (found.outcome, found.issuance) == (Outcome.COUNTERFEIT, Issuance.NOT_ISSUED)
        assert (found.reasons, found.batch, found.state) == ((reason,), FACTS, None)


def test_every_reason_is_reached() -> None:
    by_facts = {reason for _, _, reasons in CASES for reason in reasons}
    apart = {
        R.MALFORMED_CODE, R.UNKNOWN_RESOLVER, R.UNKNOWN_KEY, R.UNKNOWN_PRODUCT, R.TOKEN_FALSE,
        R.NOT_ISSUED, R.ISSUED_AFTER_REVOCATION,
    }  # fmt: skip
    assert by_facts | apart == set(VerdictReason)
    assert not by_facts & apart


def test_reasons_are_those_of_the_api() -> None:
    names = set(verification_pb2.VerdictReason.DESCRIPTOR.values_by_name)
    assert {n.removeprefix("VERDICT_REASON_") for n in names} - {"UNSPECIFIED"} == {
        reason.value for reason in VerdictReason
    }


# Each alone, weightiest first: what endangers people, what proves a fraud, what hints at one.
ALONE: list[dict[str, Any]] = [
    {"state": UnitState.DESTROYED},
    {"recalls": (recall(RecallKind.RECALL, (5, 6)),)},
    {"recalls": (recall(RecallKind.RECALL, (0, 6)),)},
    {"recalls": (recall(),)},
    {"recalls": (recall(RecallKind.BLOCK),)},
    {"state": UnitState.STOLEN},
    {"commissioned": False},
    {"key": KeyStanding.DOUBTFUL},
    {"suspicion": Suspicion.IMPOSSIBLE_TRAVEL},
    {"suspicion": Suspicion.MANY_DEVICES},
    {"state": UnitState.CONSUMED},
    {"state": UnitState.EXPORTED},
    {"state": UnitState.SOLD},
    {"day": "2030-01-01"},
    {"claim_time": 1},
    {},
]


def test_the_weightiest_comes_first() -> None:
    order = [decide(facts(**changes)).reasons[0] for changes in ALONE]
    assert len(set(order)) == len(order)
    for (i, a), (j, b) in combinations(enumerate(ALONE), 2):
        if set(a) & set(b):
            continue  # a unit is in one state; recalls together are a case of their own
        if {"state", "commissioned"} <= set(a) | set(b):
            continue  # what was never activated has no other state
        assert i < j
        assert decide(facts(**a, **b)).reasons[:2] == (order[i], order[j])
    recalls = tuple(r for changes in reversed(ALONE) for r in changes.get("recalls", ()))
    assert decide(facts(recalls=recalls)).reasons[:4] == tuple(order[1:5])


def test_the_notice_is_of_the_recall_that_reaches_the_unit() -> None:
    quiet = recall(RecallKind.RECALL, (5, 6), notice=None)
    far = recall(RecallKind.RECALL, (50, 60), notice=LocalizedText("别的"))
    assert decide(facts(recalls=(far,))).notice is None
    assert decide(facts(recalls=(far, quiet, recall()))).notice == NOTICE


def test_a_batch_that_asks_for_no_activation_is_on_sale_at_once() -> None:
    batch = replace(BATCH, activation_required=False)
    verdict = decide(facts(batch=batch, commissioned=False))
    assert (verdict.outcome, verdict.state) == (Outcome.GENUINE, UnitState.ACTIVE)
    assert decide(facts(commissioned=False)).state is UnitState.NOT_ACTIVATED


def test_what_was_destroyed_or_stolen_before_it_was_put_on_sale_stays_so() -> None:
    destroyed = decide(facts(commissioned=False, state=UnitState.DESTROYED))
    assert (destroyed.outcome, destroyed.state) == (Outcome.COUNTERFEIT, UnitState.DESTROYED)
    stolen = decide(facts(commissioned=False, state=UnitState.STOLEN))
    assert stolen.reasons[0] is VerdictReason.STOLEN
    assert decide(facts(commissioned=False, state=UnitState.SOLD)).state is (
        UnitState.NOT_ACTIVATED
    )


def test_a_batch_without_a_last_day_never_expires() -> None:
    batch = replace(BATCH, expiration_date="")
    assert decide(facts(batch=batch, day="9999-12-31")).outcome is Outcome.GENUINE


@pytest.mark.parametrize(
    ("changes", "history"),
    [
        ({}, History.FIRST_SCAN),
        ({"before": SUMMARY}, History.SAME_DEVICE),
        ({"before": SUMMARY, "device": OTHER}, History.OTHER_DEVICE),
        ({"before": SUMMARY, "device": b""}, History.OTHER_DEVICE),
        ({"before": SUMMARY._replace(devices=ME + OTHER)}, History.OTHER_DEVICE),
        ({"before": SUMMARY._replace(first_device=OTHER, devices=OTHER + ME)},
         History.OTHER_DEVICE),
        ({"before": SUMMARY._replace(first_device=b"", devices=b""), "device": b""},
         History.OTHER_DEVICE),
        ({"before": SUMMARY, "suspicion": Suspicion.MANY_DEVICES}, History.SUSPICIOUS),
        ({"suspicion": Suspicion.IMPOSSIBLE_TRAVEL}, History.SUSPICIOUS),
    ],
)  # fmt: skip
def test_what_the_history_says(changes: dict[str, Any], history: History) -> None:
    assert decide(facts(**changes)).history is history


def test_the_history_before_is_told_and_not_this_scan() -> None:
    verdict = decide(facts(before=SUMMARY._replace(count=41)))
    assert (verdict.first_scan_time, verdict.previous_scans) == (100, 41)
    first = decide(facts())
    assert (first.first_scan_time, first.previous_scans) == (None, 0)


# --- issued or not


@pytest.mark.parametrize(
    ("index", "changes", "issued"),
    [
        (0, {}, True),
        (99, {}, True),
        (100, {}, False),
        (1 << 31, {}, False),
        (5, {"key_id": 8}, False),
        (5, {"profile": Profile.SIGNED}, False),
        (5, {"gtin": "06901234501025"}, False),
    ],
)
def test_was_issued(index: int, changes: dict[str, Any], issued: bool) -> None:
    assert was_issued(FACTS, replace(CODE, **changes), index) is issued


# --- whatever the facts

summaries = st.builds(
    ScanSummary,
    st.integers(0, 1 << 60), st.sampled_from([b"", ME, OTHER]), st.just("210102"), st.binary(),
    st.integers(0, 1 << 60), st.sampled_from([b"", ME, OTHER]), st.just(""), st.binary(),
    st.integers(1, 1 << 40), st.sampled_from([b"", ME, OTHER, ME + OTHER]),
    st.sampled_from(list(Suspicion)),
)  # fmt: skip
spans = st.tuples(st.integers(0, 12), st.integers(0, 12))
recalls = st.builds(
    Recall,
    st.just("r"), st.just(1), st.sampled_from(RecallKind), st.lists(spans, max_size=3).map(tuple),
    st.just(NOTICE), st.just(""), st.booleans(), st.just(0), st.none() | st.integers(0, 9),
)  # fmt: skip
any_facts = st.builds(
    Facts,
    st.just(CODE),
    st.integers(0, 12),
    st.booleans(),
    st.builds(
        BatchFacts,
        st.builds(
            replace,
            st.just(BATCH),
            expiration_date=st.sampled_from(["", "2026-03-03", "0001-01-01"]),
            activation_required=st.booleans(),
        ),
        st.just(PRODUCT),
        st.just(LocalizedText()),
        st.just(FACTS.runs),
        st.lists(recalls, max_size=4).map(tuple),
    ),
    st.builds(
        UnitFacts,
        st.sampled_from([s for s in UnitState if s is not UnitState.NOT_ACTIVATED]),
        st.booleans(),
        st.none() | st.integers(0, 9),
    ),
    st.builds(
        ScanHistory,
        st.none() | summaries,
        st.sampled_from([Suspicion(n) for n in range(4)]),
    ),
    st.sampled_from([b"", ME, OTHER]),
    st.sampled_from(["2025-06-01", "2026-03-04", "9999-12-31"]),
)


@given(any_facts)
def test_any_facts_have_one_verdict_and_it_keeps_its_word(given_facts: Facts) -> None:
    verdict = decide(given_facts)
    assert verdict == decide(given_facts._replace())
    reasons = verdict.reasons
    assert len(reasons) == len(set(reasons)) >= 1
    assert (verdict.outcome is Outcome.COUNTERFEIT) is (R.DESTROYED in reasons)
    assert (verdict.outcome is Outcome.COUNTERFEIT) is (verdict.state is UnitState.DESTROYED)
    harmless = {R.FIRST_SCAN, R.SCANNED_BEFORE, R.CLAIMED}
    assert (verdict.outcome is Outcome.GENUINE) is (set(reasons) <= harmless)
    assert verdict.outcome is not Outcome.UNKNOWN
    assert reasons[-1] in (R.FIRST_SCAN, R.SCANNED_BEFORE)
    order = [decide(facts(**changes)).reasons[0] for changes in ALONE]
    weighty = [reason for reason in reasons if reason in order[:-1]]
    assert all(order.index(a) < order.index(b) for a, b in pairwise(weighty))
    assert words(reasons[0]).zh


@given(any_facts)
def test_statistics_alone_never_make_a_counterfeit(given_facts: Facts) -> None:
    unit = given_facts.unit._replace(state=UnitState.ACTIVE)
    assert decide(given_facts._replace(unit=unit)).outcome is not Outcome.COUNTERFEIT


# --- words


@pytest.mark.parametrize("reason", VerdictReason)
def test_every_reason_has_words_in_both_languages(reason: VerdictReason) -> None:
    said = words(reason)
    assert any("\u4e00" <= c <= "\u9fff" for c in said.zh)
    assert not any("\u4e00" <= c <= "\u9fff" for c in said.en)
    assert said.zh.endswith("。")
    assert said.en.endswith(".")
    assert said.en[0].isupper()


def test_no_two_reasons_say_the_same_and_only_the_proved_are_called_false() -> None:
    assert len({words(reason).zh for reason in VerdictReason}) == len(VerdictReason)
    assert len({words(reason).en for reason in VerdictReason}) == len(VerdictReason)
    for reason in VerdictReason:
        false = any(word in words(reason).zh for word in ("伪造", "假货"))
        assert false is (reason in (R.TOKEN_FALSE, R.NOT_ISSUED, R.DESTROYED))
