"""The BatchStore port, over every backend: lots, runs of indices, quantities and recalls.

An index that is given twice is two goods with one code, and an index beyond the authorised
quantity is a code that nobody answers for. So runs are checked against a naive model, and while
stores on the same data take them at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.conftest import Open
from tests.support.service import gtin_of
from tests.support.stores import batch, fresh_key, order, recall
from tracechain.app.ports import Store
from tracechain.domain.code import Profile
from tracechain.domain.product import Allocation, Batch
from tracechain.domain.recall import RecallKind

GTIN, OTHER = gtin_of(1), gtin_of(2)
one_store_for_all = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40
)


async def new_batch(store: Store, quantity: int = 100) -> Batch:
    """A batch that no test has seen."""
    return await store.put_batch(batch(GTIN, f"lot {fresh_key()}", quantity))


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.get_batch(1) is None
    assert await store.find_batch(GTIN, "L1") is None
    assert await store.list_batches(GTIN, 0, 10) == []
    assert await store.list_allocations(1) == []
    assert await store.list_refusals(1) == []
    assert await store.list_recalls(1) == []
    assert await store.lift_recall(1, "none", 1, "why") is None


@pytest.mark.parametrize("activation_required", [True, False])
async def test_a_batch_gets_a_number_and_comes_back_exactly(
    store: Store, open_another: Open, activation_required: bool
) -> None:
    wanted = batch(
        GTIN, "批/次 1", (1 << 32) - 1, expiration_date="2031-01-05", plant_gln="",
        activation_required=activation_required, issued_quantity=7, batch_number=99,
    )  # fmt: skip
    kept = await store.put_batch(wanted)
    # Number and issued quantity are the store's to say.
    assert kept == replace(wanted, batch_number=kept.batch_number, issued_quantity=0)
    assert kept.batch_number >= 1
    for at in (store, await open_another()):
        assert await at.get_batch(kept.batch_number) == kept
        assert await at.find_batch(GTIN, "批/次 1") == kept
    assert await store.find_batch(OTHER, "批/次 1") is None
    assert await store.find_batch(GTIN, "批/次") is None


async def test_one_lot_is_one_batch_whoever_registers_it_again(
    store: Store, open_another: Open
) -> None:
    stores = [store, await open_another()]
    kept = await asyncio.gather(
        *(stores[i % 2].put_batch(batch(GTIN, "L1", 100 + i)) for i in range(20))
    )
    assert len(set(kept)) == 1
    assert await store.list_batches(GTIN, 0, 10) == [kept[0]]
    others = await asyncio.gather(
        *(stores[i % 2].put_batch(batch(OTHER, f"L{i}")) for i in range(20))
    )
    assert len({one.batch_number for one in [*others, kept[0]]}) == 21


async def test_batches_of_a_product_are_listed_page_by_page(store: Store) -> None:
    made = [await store.put_batch(batch(GTIN, f"L{9 - i}")) for i in range(7)]
    await store.put_batch(batch(OTHER, "L1"))
    found: list[Batch] = []
    while page := await store.list_batches(GTIN, found[-1].batch_number if found else 0, 3):
        assert len(page) <= 3
        found += page
    assert found == sorted(made, key=lambda one: one.batch_number)


async def test_orders_take_neighbouring_runs(store: Store) -> None:
    lot = await new_batch(store)
    first = await store.allocate(
        order(lot.batch_number, "a", 30, first_index=77, profile=Profile.COMPACT, key_id=3)
    )
    second = await store.allocate(order(lot.batch_number, "b", 70, create_time=9))
    assert first.allocation == order(lot.batch_number, "a", 30, profile=Profile.COMPACT, key_id=3)
    assert first.batch == replace(lot, issued_quantity=30)
    assert second.allocation == order(lot.batch_number, "b", 70, first_index=30, create_time=9)
    assert second.batch == replace(lot, issued_quantity=100)
    assert await store.get_batch(lot.batch_number) == second.batch
    assert await store.list_allocations(lot.batch_number) == [first.allocation, second.allocation]
    assert await store.list_refusals(lot.batch_number) == []


async def test_the_same_request_takes_once_also_when_all_is_gone(store: Store) -> None:
    lot = await new_batch(store)
    taken = (await store.allocate(order(lot.batch_number, "a", 60))).allocation
    await store.allocate(order(lot.batch_number, "b", 40))
    again = await store.allocate(order(lot.batch_number, "a", 60, create_time=50, key_id=2))
    assert again.allocation == taken
    # Also where it asks for something else: what it took before is the answer.
    assert (await store.allocate(order(lot.batch_number, "a", 1))).allocation == taken
    assert (await store.get_batch(lot.batch_number)) == replace(lot, issued_quantity=100)
    assert len(await store.list_allocations(lot.batch_number)) == 2
    assert await store.list_refusals(lot.batch_number) == []


async def test_too_large_an_order_takes_nothing_and_is_on_record(store: Store) -> None:
    lot = await new_batch(store)
    await store.allocate(order(lot.batch_number, "a", 60))
    refused = await store.allocate(order(lot.batch_number, "b", 41, create_time=10))
    assert refused.allocation is None
    assert refused.batch == replace(lot, issued_quantity=60)
    # Each try is one; the same try that is told twice is one too.
    await store.allocate(order(lot.batch_number, "b", 41, create_time=10))
    await store.allocate(order(lot.batch_number, "c", 1000, create_time=5))
    await store.allocate(order(lot.batch_number, "b", 41, create_time=20))
    assert await store.list_refusals(lot.batch_number) == [
        (5, "c", 1000),
        (10, "b", 41),
        (20, "b", 41),
    ]
    # What is left can still be had, and by the request that was refused.
    taken = (await store.allocate(order(lot.batch_number, "b", 40))).allocation
    assert taken == order(lot.batch_number, "b", 40, first_index=60)


async def test_a_refused_order_goes_through_once_the_quantity_is_raised(store: Store) -> None:
    lot = await new_batch(store)
    wanted = order(lot.batch_number, "a", 150)
    assert (await store.allocate(wanted)).allocation is None
    await store.raise_quantity(lot.batch_number, 150, "more", "decider", "第二班", 5)
    assert (await store.allocate(wanted)).allocation == wanted
    assert len(await store.list_refusals(lot.batch_number)) == 1


async def test_a_quantity_is_raised_once_for_a_request(store: Store) -> None:
    lot = await new_batch(store)
    number = lot.batch_number

    async def raised(quantity: int, request_id: str) -> tuple[int, bool]:
        found, done = await store.raise_quantity(number, quantity, request_id, "me", "why", 5)
        assert found == await store.get_batch(number)
        return found.authorized_quantity, done

    assert await raised(100, "same") == (100, False)
    assert await raised(99, "less") == (100, False)
    assert await raised(200, "a") == (200, True)
    assert await raised(200, "a") == (200, True)
    assert await raised(300, "a") == (200, False)
    # What was refused stored nothing: its request id is still free.
    assert await raised(300, "less") == (300, True)
    assert await raised(200, "a") == (300, True)
    assert await raised(300, "b") == (300, False)


@dataclass
class NaiveBatch:
    """What the port promises of one batch, in the plainest words."""

    quantity: int
    taken: dict[str, tuple[int, int]] = field(default_factory=dict)
    refused: set[tuple[int, str, int]] = field(default_factory=set)
    raises: dict[str, int] = field(default_factory=dict)

    @property
    def issued(self) -> int:
        return sum(count for _, count in self.taken.values())

    def take(self, request_id: str, count: int, time: int) -> tuple[int, int] | None:
        if request_id not in self.taken:
            if self.issued + count > self.quantity:
                self.refused.add((time, request_id, count))
                return None
            self.taken[request_id] = (self.issued, count)
        return self.taken[request_id]

    def raise_to(self, quantity: int, request_id: str) -> bool:
        if request_id in self.raises:
            return self.raises[request_id] == quantity
        if quantity <= self.quantity:
            return False
        self.quantity = self.raises[request_id] = quantity
        return True


requests = st.sampled_from("abcdef")
steps = st.lists(
    st.tuples(st.just("take"), requests, st.integers(1, 60))
    | st.tuples(st.just("raise"), requests, st.integers(50, 250)),
    max_size=25,
)


@one_store_for_all
@given(quantity=st.integers(1, 120), steps=steps)
async def test_any_orders_and_raises_do_as_the_naive_model_says(
    store: Store, quantity: int, steps: list[tuple[str, str, int]]
) -> None:
    lot, model = await new_batch(store, quantity), NaiveBatch(quantity)
    number = lot.batch_number
    for time, (what, request_id, amount) in enumerate(steps):
        if what == "take":
            wanted = order(number, request_id, amount, create_time=time)
            answer = await store.allocate(wanted)
            got = answer.allocation and (answer.allocation.first_index, answer.allocation.count)
            assert got == model.take(request_id, amount, time)
            kept = answer.batch
        else:
            kept, done = await store.raise_quantity(number, amount, request_id, "me", "why", time)
            assert done == model.raise_to(amount, request_id)
        assert (kept.authorized_quantity, kept.issued_quantity) == (model.quantity, model.issued)
    runs = [(a.request_id, (a.first_index, a.count)) for a in await store.list_allocations(number)]
    assert runs == sorted(model.taken.items(), key=lambda entry: entry[1])
    assert await store.list_refusals(number) == sorted(model.refused)


@pytest_asyncio.fixture
async def three(open_another: Open) -> list[Store]:
    """Three stores on the same data."""
    return [await open_another() for _ in range(3)]


@settings(one_store_for_all, max_examples=10)
@given(counts=st.lists(st.integers(1, 40), min_size=10, max_size=30), data=st.data())
async def test_stores_that_take_at_once_never_take_the_same(
    three: list[Store], counts: list[int], data: st.DataObject
) -> None:
    quantity = data.draw(st.integers(1, sum(counts) + 20))
    number = (await new_batch(three[0], quantity)).batch_number
    # Every order is asked for twice, at different stores, as an impatient caller does.
    answers = await asyncio.gather(
        *(
            three[(i + again) % 3].allocate(order(number, f"r{i}", count, create_time=i))
            for i, count in enumerate(counts)
            for again in (0, 1)
        )
    )
    runs = await three[0].list_allocations(number)
    check_runs(runs, quantity)
    assert {answer.allocation for answer in answers} - {None} == set(runs)
    taken = {run.request_id: run.count for run in runs}
    refused = {name: count for _, name, count in await three[0].list_refusals(number)}
    # Each order was served or turned away on record, for what it asked.
    assert taken.keys().isdisjoint(refused)
    assert taken | refused == {f"r{i}": count for i, count in enumerate(counts)}
    kept = await three[1].get_batch(number)
    assert kept is not None
    assert kept.issued_quantity == sum(taken.values())


def check_runs(runs: list[Allocation], quantity: int) -> None:
    """Runs in the order of their indices lie side by side and end within the quantity."""
    reached = 0
    for run in runs:
        assert run.first_index == reached, "runs overlap or leave a gap"
        reached += run.count
    assert reached <= quantity


async def test_a_recall_is_kept_once_and_comes_back_exactly(
    store: Store, open_another: Open
) -> None:
    number = (await new_batch(store)).batch_number
    wanted = recall(number, "r1")
    assert await store.put_recall(wanted) == wanted
    other = recall(number, "r1", kind=RecallKind.RECALL, spans=(), create_time=99)
    assert await store.put_recall(other) == wanted
    for at in (store, await open_another()):
        assert await at.list_recalls(number) == [wanted]
    assert await store.list_recalls(number + 1) == []


async def test_recalls_are_listed_oldest_first_the_lifted_too(store: Store) -> None:
    number = (await new_batch(store)).batch_number
    made = [recall(number, f"r{9 - i}", create_time=i, spans=()) for i in range(4)]
    for one in reversed(made):
        await store.put_recall(one)
    await store.lift_recall(number, "r9", 50, "查明无误")
    assert await store.list_recalls(number) == [
        replace(made[0], lift_time=50, lift_reason="查明无误"),
        *made[1:],
    ]


async def test_a_recall_is_lifted_once_and_repeating_it_does_not_bring_it_back(
    store: Store,
) -> None:
    number = (await new_batch(store)).batch_number
    wanted = await store.put_recall(recall(number, "r1"))
    lifted = replace(wanted, lift_time=50, lift_reason="checked")
    assert await store.lift_recall(number, "r1", 50, "checked") == lifted
    assert await store.lift_recall(number, "r1", 60, "again") == lifted
    assert await store.put_recall(wanted) == lifted
    assert await store.list_recalls(number) == [lifted]
    assert await store.lift_recall(number, "r2", 50, "checked") is None
    assert await store.lift_recall(number + 1, "r1", 50, "checked") is None
