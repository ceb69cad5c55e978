"""Grouped work: nobody's item is lost, done twice or answered with another's, whoever leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.adapters.grouping import Grouper, joined
from tracechain.domain.errors import InvalidArgument, ResourceExhausted, Unavailable


@dataclass
class Work:
    """Work that shows its groups, and that a test can hold up and make fail.

    While `gate` is shut a group that has begun does not end. An item in `bad` fails its group;
    while `away` is set every group fails as a store does that is away.
    """

    groups: list[list[int]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    away: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    at_work: int = 0
    most_at_work: int = 0

    async def __call__(self, items: list[int]) -> list[str]:
        self.groups.append(list(items))
        self.times.append(asyncio.get_running_loop().time())
        self.begun.set()
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await self.gate.wait()
        finally:
            self.at_work -= 1
        if self.away:
            raise Unavailable("STORE_BUSY", "held", retry_after=7)
        if wrong := self.bad.intersection(items):
            raise InvalidArgument.of("item", "BAD", f"{wrong}")
        return [answer(item) for item in items]

    @property
    def done(self) -> list[int]:
        """Every item that was worked on, in order."""
        return [item for group in self.groups for item in group]


def answer(item: int) -> str:
    """What work makes of an item."""
    return f"done {item}"


async def held(
    *, capacity: int = 1000, width: int = 1000, pauses: Sequence[float] = ()
) -> tuple[Work, Grouper[int, str], asyncio.Future[str]]:
    """A group in which item -1 is being worked on and does not end: all others wait behind it.
    `pauses` are for the groups after it, the last for all that follow."""
    work = Work()
    left = [0.0, *(pauses or [0.0])]
    group: Grouper[int, str] = Grouper(
        work,
        capacity=capacity,
        width=width,
        linger=lambda: left.pop(0) if len(left) > 1 else left[0],
    )
    first = group.submit(-1)
    await work.begun.wait()
    return work, group, first


async def all_of(futures: Sequence[asyncio.Future[str]]) -> list[str | BaseException]:
    """Answers and errors, of all, within a time that only a stall exceeds."""
    return await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 10)


async def test_one_item_alone_is_done_alone_and_at_once() -> None:
    work, _, first = await held()
    assert work.groups == [[-1]]
    work.gate.set()
    assert await first == answer(-1)


async def test_what_arrives_while_work_is_under_way_is_done_together_in_its_order() -> None:
    work, group, first = await held()
    futures = [group.submit(n) for n in range(50)]
    assert work.groups == [[-1]]
    work.gate.set()
    assert await all_of(futures) == [answer(n) for n in range(50)]
    assert work.groups == [[-1], list(range(50))]
    assert await first == answer(-1)


async def test_a_group_is_no_wider_than_it_may_be() -> None:
    work, group, _ = await held(width=20)
    futures = [group.submit(n) for n in range(50)]
    work.gate.set()
    assert await all_of(futures) == [answer(n) for n in range(50)]
    assert [len(each) for each in work.groups] == [1, 20, 20, 10]
    assert work.done == [-1, *range(50)]


async def test_beyond_the_capacity_an_item_is_refused_before_anything_is_done() -> None:
    work, group, first = await held(capacity=3)
    futures = [group.submit(n) for n in range(3)]
    for n in range(3, 6):
        with pytest.raises(ResourceExhausted) as refused:
            group.submit(n)
        assert refused.value.reason == "QUEUE_FULL"
        assert refused.value.retry_after > 0
    work.gate.set()
    assert await all_of([first, *futures]) == [answer(n) for n in (-1, 0, 1, 2)]
    assert work.done == [-1, 0, 1, 2]
    # There is room again, also for the one who was refused.
    assert await group.submit(3) == answer(3)


async def test_whoever_leaves_the_queue_leaves_room_for_another() -> None:
    work, group, first = await held(capacity=3)
    futures = [group.submit(n) for n in range(3)]
    futures[1].cancel()
    late = group.submit(7)
    with pytest.raises(ResourceExhausted):
        group.submit(8)
    work.gate.set()
    assert await all_of([first, futures[0], futures[2], late]) == [answer(n) for n in (-1, 0, 2, 7)]
    assert work.done == [-1, 0, 2, 7]


async def test_a_bad_item_fails_alone() -> None:
    work, group, _ = await held()
    work.bad = {3, 5}
    futures = [group.submit(n) for n in range(8)]
    work.gate.set()
    found = await all_of(futures)
    for n, each in enumerate(found):
        if n in work.bad:
            assert isinstance(each, InvalidArgument)
            assert each.message == f"item: {{{n}}}"
        else:
            assert each == answer(n)


async def test_a_bad_group_is_no_trouble_of_the_next_one() -> None:
    work, group, first = await held(width=2)
    work.bad = {0, 1}
    futures = [group.submit(n) for n in range(6)]
    work.gate.set()
    found = await all_of(futures)
    assert [isinstance(each, InvalidArgument) for each in found] == [True, True] + [False] * 4
    assert found[2:] == [answer(n) for n in range(2, 6)]
    assert await first == answer(-1)


async def test_a_store_that_is_away_is_asked_once_for_all_and_each_is_told() -> None:
    work, group, first = await held()
    futures = [group.submit(n) for n in range(5)]
    work.away = True
    work.gate.set()
    found = await all_of([first, *futures])
    assert all(isinstance(each, Unavailable) for each in found)
    assert {(e.reason, e.retry_after) for e in found if isinstance(e, Unavailable)} == {
        ("STORE_BUSY", 7)
    }
    # An error of one's own: whoever raises it adds to its traceback.
    assert len({id(each) for each in found}) == 6
    assert work.groups == [[-1], [0, 1, 2, 3, 4]]
    work.away = False
    assert await group.submit(9) == answer(9)


async def test_errors_that_nobody_waits_for_are_not_reported() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    work, group, first = await held()
    work.away = True
    for n in range(3):
        group.submit(n)
    del first
    work.gate.set()
    await group.close()
    await asyncio.sleep(0)
    assert reported == []


async def test_a_future_that_is_awaited_late_or_never_is_done_all_the_same() -> None:
    work, group, first = await held()
    late = group.submit(1)
    group.submit(2)
    work.gate.set()
    await group.close()
    assert work.done == [-1, 1, 2]
    assert await late == answer(1)
    assert await first == answer(-1)


async def test_whoever_leaves_while_work_is_under_way_loses_the_answer_and_not_the_work() -> None:
    work, group, first = await held()
    others = [group.submit(n) for n in range(3)]
    first.cancel()
    work.gate.set()
    assert await all_of(others) == [answer(n) for n in range(3)]
    assert work.done == [-1, 0, 1, 2]


async def test_a_queue_that_everybody_left_is_not_worked_on() -> None:
    work, group, first = await held()
    for future in [group.submit(n) for n in range(3)]:
        future.cancel()
    work.gate.set()
    await first
    await group.close()
    assert work.groups == [[-1]]
    assert await group.submit(4) == answer(4)


async def test_close_finishes_what_was_taken() -> None:
    work, group, first = await held(width=2, pauses=[0.001])
    futures = [group.submit(n) for n in range(7)]
    closing = asyncio.create_task(group.close())
    await asyncio.sleep(0)
    assert not closing.done()
    work.gate.set()
    await asyncio.wait_for(closing, 10)
    assert all(future.done() for future in [first, *futures])
    assert await all_of(futures) == [answer(n) for n in range(7)]


async def test_closing_what_never_worked_or_is_at_rest_returns_at_once() -> None:
    work = Work()
    work.gate.set()
    group: Grouper[int, str] = Grouper(work, capacity=1, width=1)
    await group.close()
    assert await group.submit(1) == answer(1)
    await group.close()
    await group.close()


async def test_a_group_waits_for_company_as_long_as_it_is_told() -> None:
    pause = 0.2
    work, group, first = await held(pauses=[pause, 0.0])
    loop = asyncio.get_running_loop()
    one = group.submit(1)
    work.gate.set()
    await first
    # It waits for company, and company comes.
    two = group.submit(2)
    assert await all_of([one, two]) == [answer(1), answer(2)]
    assert work.groups == [[-1], [1, 2]]
    assert work.times[1] - work.times[0] >= pause * 0.9
    await asyncio.sleep(0)
    asked = loop.time()
    assert await group.submit(3) == answer(3)
    assert work.times[2] - asked < pause / 2


async def test_a_full_group_does_not_linger() -> None:
    work, group, _ = await held(width=2, pauses=[30.0])
    futures = [group.submit(n) for n in range(4)]
    work.gate.set()
    assert await all_of(futures) == [answer(n) for n in range(4)]


async def of_many() -> tuple[Work, Grouper[Sequence[int], list[str]]]:
    """A group of items of many, in which one is being worked on and does not end."""
    work = Work()
    group: Grouper[Sequence[int], list[str]] = Grouper(
        joined(work), capacity=10, width=6, weigh=len
    )
    group.submit([-1])
    await work.begun.wait()
    return work, group


async def test_items_of_many_count_as_many_and_each_gets_all_its_own() -> None:
    work, group = await of_many()
    items = [[20 + n] * n for n in (4, 2, 0, 3)]
    futures = [group.submit(item) for item in items]
    with pytest.raises(ResourceExhausted):
        group.submit([30, 31])
    items.append([30])
    futures.append(group.submit(items[-1]))
    work.gate.set()
    found = await asyncio.wait_for(asyncio.gather(*futures), 10)
    assert found == [[answer(n) for n in item] for item in items]
    assert work.groups == [[-1], [24] * 4 + [22] * 2, [23] * 3 + [30]]


async def test_what_is_wider_than_all_room_is_taken_where_nothing_waits() -> None:
    work, group = await of_many()
    wide = group.submit(range(20))
    with pytest.raises(ResourceExhausted):
        group.submit([30])
    work.gate.set()
    assert await asyncio.wait_for(wide, 10) == [answer(n) for n in range(20)]
    assert work.groups == [[-1], list(range(20))]
    assert await group.submit([30]) == [answer(30)]


async def test_full_groups_begin_beside_those_at_work_and_others_wait() -> None:
    work = Work()
    group: Grouper[int, str] = Grouper(work, capacity=100, width=2, abreast=1, full=3)
    futures = [group.submit(0)]
    await work.begun.wait()
    futures += [group.submit(item) for item in (1, 2)]
    await asyncio.sleep(0)
    assert work.groups == [[0], [1, 2]]
    futures.append(group.submit(3))
    await asyncio.sleep(0)
    assert work.groups == [[0], [1, 2]]
    futures += [group.submit(item) for item in (4, 5, 6, 7)]
    await asyncio.sleep(0)
    assert work.groups == [[0], [1, 2], [3, 4]]
    work.gate.set()
    assert await all_of(futures) == [answer(item) for item in range(8)]
    assert work.most_at_work == 3


# What may happen, in any order: an item comes, a caller leaves, time passes, the work goes on.
happenings = st.lists(
    st.sampled_from(["come", "come", "come", "leave", "pass", "open", "shut"]) | st.integers(0, 30),
    max_size=60,
)


@given(
    happenings=happenings,
    width=st.integers(1, 5),
    capacity=st.integers(1, 12),
    linger=st.sampled_from([0.0, 0.0, 0.0001]),
    abreast=st.integers(1, 3),
    full=st.integers(0, 5),
    bad=st.sets(st.integers(0, 40), max_size=4),
)
def test_whatever_happens_each_gets_its_own_answer_and_nothing_is_lost_or_done_twice(
    happenings: list[str | int],
    width: int,
    capacity: int,
    linger: float,
    abreast: int,
    full: int,
    bad: set[int],
) -> None:
    async def story() -> None:
        work = Work(bad=bad)
        work.gate.set()
        group: Grouper[int, str] = Grouper(
            work, capacity=capacity, width=width, linger=lambda: linger, abreast=abreast, full=full
        )
        futures: list[asyncio.Future[str]] = []
        left_early: set[int] = set()
        for what in happenings:
            if what == "come":
                try:
                    futures.append(group.submit(len(futures)))
                except ResourceExhausted:
                    # Only where so many wait; who left may keep his place until a group is taken.
                    waiting = [not each.done() or i in left_early for i, each in enumerate(futures)]
                    assert sum(waiting) >= capacity
            elif what == "pass":
                await asyncio.sleep(0)
            elif what == "open":
                work.gate.set()
            elif what == "shut":
                work.gate.clear()
            elif futures:
                item = what % len(futures) if isinstance(what, int) else len(futures) - 1
                if futures[item].cancel() and item not in work.done:
                    left_early.add(item)
        work.gate.set()
        found = await all_of(futures)
        await asyncio.wait_for(group.close(), 10)
        for item, each in enumerate(found):
            if isinstance(each, asyncio.CancelledError):
                continue
            if item in bad:
                assert isinstance(each, InvalidArgument)
            else:
                assert each == answer(item)
        # All that was taken was worked on, unless its caller left before; and in its order.
        assert set(work.done) >= set(range(len(futures))) - left_early
        assert set(work.done).isdisjoint(left_early)
        firsts = list(dict.fromkeys(work.done))
        assert max(abreast, full) > 1 or firsts == sorted(firsts)
        assert work.most_at_work <= max(abreast, full)
        assert max(map(len, work.groups), default=0) <= width
        # Twice only where its group had a bad item: then nothing had been done of it.
        again = [item for item in set(work.done) if work.done.count(item) > 1]
        failed = {item for each in work.groups if bad.intersection(each) for item in each}
        assert failed.issuperset(again)

    asyncio.run(story())
