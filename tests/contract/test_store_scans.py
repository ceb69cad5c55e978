"""The ScanStore port, over every backend: histories of units, what a scan finds, and claims.

A scan history that loses a scan hides a copied code; one that counts a scan twice accuses an
honest buyer. So histories are compared with a model that keeps every scan and folds nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.conftest import Open
from tests.support.stores import (
    MINUTE,
    canonical,
    digest,
    event,
    fresh_key,
    mark,
    scan,
    thing,
    touch,
)
from tracechain.app.ports import ScanAnswer, Store
from tracechain.domain.batch_key import WHOLE_BATCH
from tracechain.domain.claim import MAX_TRIES, WINDOW, Claim, ClaimAttempt, ClaimStatus
from tracechain.domain.scan import Scan, ScanHistory, ScanSummary, Suspicion

one_store_for_all = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)
FIRST_SCAN = ScanAnswer(ScanHistory(None, Suspicion.NONE), (), None)


async def one(store: Store, scanned: Scan) -> ScanAnswer:
    """The answer to a scan that comes alone."""
    (answer,) = await store.record_scans([scanned])
    return answer


async def test_no_scans_have_no_answers(store: Store) -> None:
    assert await store.record_scans([]) == []


async def test_a_scan_finds_those_before_it_and_not_itself(
    store: Store, open_another: Open
) -> None:
    key = fresh_key()
    assert await one(store, scan(key, 7, "a", 100)) == FIRST_SCAN
    answer = await one(
        await open_another(), scan(key, 7, "b", 200, device=mark("other"), region="220102")
    )
    assert answer.history.before == ScanSummary(
        100, mark("device"), "210102", mark("scan a"),
        100, mark("device"), "210102", mark("scan a"),
        1, mark("device"), Suspicion.NONE,
    )  # fmt: skip
    assert answer.history.suspicion == Suspicion.IMPOSSIBLE_TRAVEL
    # Another unit, and the same number under another key, have histories of their own.
    assert await one(store, scan(key, 8, "c", 300)) == FIRST_SCAN
    assert await one(store, scan(fresh_key(), 7, "d", 300)) == FIRST_SCAN


async def test_scans_that_come_together_find_each_other_in_their_order(store: Store) -> None:
    key = fresh_key()
    answers = await store.record_scans([scan(key, n % 2, n, n) for n in range(6)])
    found = [answer.history.before for answer in answers]
    assert [before and (before.count, before.last_time) for before in found] == [
        None, None, (1, 0), (1, 1), (2, 2), (2, 3),
    ]  # fmt: skip


async def test_the_same_scan_told_again_is_counted_once(store: Store) -> None:
    key = fresh_key()
    # Told twice at once, and again later: as a phone does that saw no answer.
    answers = await store.record_scans([scan(key, 1, "a", 5), scan(key, 1, "a", 6)])
    assert [answer.history.before for answer in answers] == [None, None]
    assert (await one(store, scan(key, 1, "a", 90))).history.before is None
    before = (await one(store, scan(key, 1, "b", 100))).history.before
    assert before is not None
    assert (before.count, before.first_time, before.last_time) == (1, 5, 5)
    # The first scan told again is the first scan still, and the last one counts once as well.
    assert (await one(store, scan(key, 1, "a", 110))).history.before is None
    await one(store, scan(key, 1, "b", 120))
    after = (await one(store, scan(key, 1, "c", 130))).history.before
    assert after is not None
    assert (after.count, after.last_time) == (2, 100)


async def test_of_many_who_scan_at_once_exactly_one_is_first(
    store: Store, open_another: Open
) -> None:
    stores, key = [store, await open_another(), await open_another()], fresh_key()
    answers = await asyncio.gather(
        *(stores[i % 3].record_scans([scan(key, 1, i, i), scan(key, 2, i, i)]) for i in range(24))
    )
    for unit in (0, 1):
        before = [answer[unit].history.before for answer in answers]
        assert sorted(found.count if found else 0 for found in before) == list(range(24))


@dataclass
class NaiveHistory:
    """Every scan of one unit that counted, and what they show by the words of ScanRules."""

    scans: list[Scan] = field(default_factory=list)
    suspicion: Suspicion = Suspicion.NONE

    def see(self, new: Scan) -> ScanHistory | None:
        """What a scan finds; None where the port leaves open what it finds."""
        if self.scans and new.scan_id == self.scans[0].scan_id:
            return ScanHistory(None, self.suspicion)
        if self.scans and new.scan_id == self.scans[-1].scan_id:
            return None
        before = self.summary()
        if self.scans and self.is_far(self.scans[-1], new):
            self.suspicion |= Suspicion.IMPOSSIBLE_TRAVEL
        self.scans.append(new)
        if len(self.devices()) > 5:
            self.suspicion |= Suspicion.MANY_DEVICES
        return ScanHistory(before, self.suspicion)

    def devices(self) -> list[bytes]:
        return list(dict.fromkeys(one.device for one in self.scans if one.device))

    def summary(self) -> ScanSummary | None:
        if not self.scans:
            return None
        first, last = self.scans[0], self.scans[-1]
        return ScanSummary(
            first.time, first.device, first.region, first.scan_id,
            last.time, last.device, last.region, last.scan_id,
            len(self.scans), b"".join(self.devices()), self.suspicion,
        )  # fmt: skip

    @staticmethod
    def is_far(one: Scan, other: Scan) -> bool:
        prefectures = {one.region[:4], other.region[:4]}
        # A province as a whole is near all of its prefectures, and says nothing of others.
        if len(prefectures) == 1 or any(not p or p.endswith("00") for p in prefectures):
            return False
        if one.device and one.device == other.device:
            return False
        minutes = 30 if one.region[:2] == other.region[:2] else 90
        return abs(one.time - other.time) < minutes * MINUTE


names = st.integers(0, 40)
some_scans = st.lists(
    st.tuples(
        st.sampled_from([0, 1, WHOLE_BATCH - 1]),
        names,
        st.sampled_from([0, 29, 30, 31, 89, 90, 91, 500]),
        st.sampled_from([b"", *map(mark, "abcdefg")]),
        st.sampled_from(["", "210102", "210204", "210000", "220102", "110101"]),
    ),
    max_size=30,
)


@one_store_for_all
@given(drawn=some_scans, size=st.integers(1, 12))
async def test_histories_are_those_of_a_model_that_keeps_every_scan(
    store: Store, drawn: list[tuple[int, int, int, bytes, str]], size: int
) -> None:
    key = fresh_key()
    models: dict[int, NaiveHistory] = defaultdict(NaiveHistory)
    scans, seen = [], set()
    for unit, name, minutes, device, region in drawn:
        told = models[unit].scans
        name_of = mark(f"scan {name}")
        # Told again right away or as the first: the same scan. Later than that it is a new one.
        again = told and name_of in (told[0].scan_id, told[-1].scan_id)
        if (unit, name) in seen and not again:
            continue
        seen.add((unit, name))
        scans.append(scan(key, unit, name, minutes * MINUTE, device=device, region=region))
        models[unit].see(scans[-1])
    models.clear()
    for start in range(0, len(scans), size):
        group = scans[start : start + size]
        for told, answer in zip(group, await store.record_scans(group), strict=True):
            model = models[told.unit]
            expected = model.see(told)
            if expected is None:
                assert answer.history.before is not None
                assert answer.history.suspicion == model.suspicion
            else:
                assert answer.history == expected
            assert (answer.touches, answer.claim_time) == ((), None)


async def test_devices_beyond_sixteen_are_many_and_need_no_more_room(store: Store) -> None:
    key = fresh_key()
    answers = await store.record_scans(
        [scan(key, 1, n, n, device=mark(f"device {n}")) for n in range(30)]
    )
    shown = [bool(answer.history.suspicion & Suspicion.MANY_DEVICES) for answer in answers]
    assert shown == [False] * 5 + [True] * 25
    last = answers[-1].history.before
    assert last is not None
    assert last.count == 29
    assert len(last.devices) == 16 * 8


async def test_a_scan_finds_the_touches_that_cover_its_unit(store: Store) -> None:
    key = fresh_key()
    made, sold = digest((key, "made"), 1), digest((key, "sold"), 2)
    of_class = touch(key, 0, WHOLE_BATCH, made, is_class=True)
    await store.append_events(
        [
            event(made, [touch(key, 0, 1000, made), of_class]),
            event(sold, [touch(key, 7, 8, sold)]),
        ]
    )
    units = [0, 7, 7, 999, 1000]
    answers = await store.record_scans([scan(key, unit, n) for n, unit in enumerate(units)])
    found = await store.touches([thing(key, unit) for unit in units], 100)
    assert [len(touches) for touches in found] == [2, 3, 3, 2, 1]
    assert [canonical(answer.touches) for answer in answers] == [canonical(f) for f in found]


@settings(one_store_for_all, max_examples=40)
@given(
    runs=st.lists(
        st.tuples(st.integers(0, 5000), st.sampled_from([1, 2, 15, 16, 17, 255, 256, 257, 4097])),
        max_size=12,
    ),
    units=st.lists(st.integers(0, 5000), min_size=1, max_size=12),
)
async def test_what_a_scan_finds_is_what_covers_its_unit(
    store: Store, runs: list[tuple[int, int]], units: list[int]
) -> None:
    key = fresh_key()
    made = []
    for number, (first, width) in enumerate(runs):
        said = digest((key, number), number)
        made.append(event(said, [touch(key, first, first + width, said)]))
    await store.append_events(made)
    # Also the ends of each run, and the units beside them.
    asked = units + [max(0, a + d) for a, w in runs for d in (-1, 0, w - 1, w)]
    answers = await store.record_scans([scan(key, unit, n) for n, unit in enumerate(asked)])
    for unit, answer in zip(asked, answers, strict=True):
        covering = [t for new in made for t in new.touches if t.first <= unit < t.end]
        assert canonical(answer.touches) == canonical(covering)


async def test_what_was_durable_before_a_scan_began_is_in_its_answer(
    store: Store, open_another: Open
) -> None:
    writer, key = await open_another(), fresh_key()
    for unit in range(20):
        said = digest((key, unit), unit)
        await writer.append_events([event(said, [touch(key, unit, unit + 1, said)])])
        await writer.claim(right(key, unit, "me", unit + 1))
        answer = await one(store, scan(key, unit, unit))
        assert [t.digest for t in answer.touches] == [said]
        assert answer.claim_time == unit + 1


def right(key: int, unit: int, device: str, time: int) -> ClaimAttempt:
    """A try with the right PIN."""
    return ClaimAttempt(key, unit, mark(device), time, True)


def wrong(key: int, unit: int, device: str, time: int) -> ClaimAttempt:
    """A try with a wrong PIN."""
    return ClaimAttempt(key, unit, mark(device), time, False)


async def test_the_first_right_pin_claims_and_stays(store: Store, open_another: Open) -> None:
    key, again = fresh_key(), await open_another()
    assert await store.claim(right(key, 1, "me", 10)) == Claim(ClaimStatus.CLAIMED, 10, 5)
    assert await again.claim(right(key, 1, "me", 20)) == Claim(ClaimStatus.CLAIMED_BY_YOU, 10, 5)
    assert await again.claim(right(key, 1, "you", 30)) == Claim(ClaimStatus.CLAIMED_BEFORE, 10, 5)
    assert await store.claim(right(key, 2, "you", 40)) == Claim(ClaimStatus.CLAIMED, 40, 5)
    assert (await one(store, scan(key, 1, "a"))).claim_time == 10
    assert (await one(store, scan(key, 3, "a"))).claim_time is None


async def test_of_many_who_claim_at_once_one_has_it(store: Store, open_another: Open) -> None:
    stores, key = [store, await open_another()], fresh_key()
    claims = await asyncio.gather(
        *(stores[i % 2].claim(right(key, 1, f"device {i}", i)) for i in range(20))
    )
    (winner,) = [claim for claim in claims if claim.status is ClaimStatus.CLAIMED]
    others = [claim for claim in claims if claim is not winner]
    assert {(claim.status, claim.claim_time) for claim in others} == {
        (ClaimStatus.CLAIMED_BEFORE, winner.claim_time)
    }


async def test_wrong_pins_are_counted_also_where_two_stores_are_tried_at_once(
    store: Store, open_another: Open
) -> None:
    stores, key = [store, await open_another()], fresh_key()
    claims = await asyncio.gather(*(stores[i % 2].claim(wrong(key, 1, "me", i)) for i in range(12)))
    assert sorted(claim.tries_left for claim in claims) == [0] * 8 + [1, 2, 3, 4]
    assert [c.status for c in claims].count(ClaimStatus.WRONG_PIN) == MAX_TRIES
    assert (await store.claim(right(key, 1, "me", 20))).status is ClaimStatus.TOO_MANY_TRIES
    # Nobody else is locked out, nor the same device at another unit.
    assert (await store.claim(right(key, 2, "me", 20))).status is ClaimStatus.CLAIMED
    assert (await store.claim(right(key, 1, "you", 20))).status is ClaimStatus.CLAIMED


@dataclass
class NaiveClaims:
    """Claims of one unit in the plainest words."""

    owner: tuple[str, int] | None = None
    wrong: dict[str, list[int]] = field(default_factory=dict)

    def attempt(self, device: str, time: int, is_right: bool) -> Claim:
        tries = self.wrong.get(device, [])
        # The window begins with its first wrong PIN, not with any later one.
        if tries and time - tries[0] >= WINDOW:
            tries = []
        left = MAX_TRIES - len(tries)
        if left == 0:
            return Claim(ClaimStatus.TOO_MANY_TRIES, None, 0)
        if not is_right:
            self.wrong[device] = [*tries, time]
            return Claim(ClaimStatus.WRONG_PIN, None, left - 1)
        if self.owner is None:
            self.owner = device, time
            return Claim(ClaimStatus.CLAIMED, time, left)
        mine = self.owner[0] == device
        status = ClaimStatus.CLAIMED_BY_YOU if mine else ClaimStatus.CLAIMED_BEFORE
        return Claim(status, self.owner[1], left)


attempts: st.SearchStrategy[Sequence[tuple[str, int, bool]]] = st.lists(
    st.tuples(
        st.sampled_from(["me", "you"]),
        st.sampled_from([0, 1, WINDOW // 4, WINDOW - 1, WINDOW]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=25,
)


@one_store_for_all
@given(attempts=attempts)
async def test_any_tries_come_to_what_the_naive_model_says(
    store: Store, attempts: Sequence[tuple[str, int, bool]]
) -> None:
    key, model, now = fresh_key(), NaiveClaims(), 1000
    for device, later, is_right in attempts:
        now += later
        answer = await store.claim(ClaimAttempt(key, 1, mark(device), now, is_right))
        assert answer == model.attempt(device, now, is_right)
