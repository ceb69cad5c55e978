"""Token buckets, and the rules that are made of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import HandClock
from tracechain.adapters.buckets import LocalBuckets
from tracechain.app.limits import Limits, Rates, client_of
from tracechain.domain.errors import ResourceExhausted, Unavailable
from tracechain.domain.rate import Rate

SECOND = 1_000_000


@dataclass
class Away(LocalBuckets):
    """Buckets whose other processes cannot be asked."""

    rate: Rate
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        super().__init__(self.rate, self.clock)

    async def take_exactly(self, name: str) -> float:
        raise Unavailable("LIMITS_UNAVAILABLE", "away")


def local(clock: HandClock, **rates: Rate) -> Limits:
    """Rules in one process."""
    return Limits(Rates(**rates), lambda _, rate: LocalBuckets(rate, clock))


def test_a_burst_then_the_rate() -> None:
    clock = HandClock()
    buckets = LocalBuckets(Rate(10, 5), clock)
    assert [buckets.take("a") for _ in range(5)] == [0.0] * 5
    wait = buckets.take("a")
    assert wait == pytest.approx(0.1)
    # What was refused cost nothing: the time that was told is the time.
    clock.now += int(wait * SECOND)
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0
    assert buckets.take("b") == 0.0


def test_a_bucket_keeps_no_more_than_its_burst() -> None:
    clock = HandClock()
    buckets = LocalBuckets(Rate(10, 3), clock)
    buckets.take("a")
    clock.now += 3600 * SECOND
    assert [buckets.take("a") > 0 for _ in range(5)] == [False] * 3 + [True] * 2


def test_who_has_one_left_may_take_a_batch_and_waits_for_it_afterwards() -> None:
    clock = HandClock()
    buckets = LocalBuckets(Rate(10, 10), clock)
    assert buckets.take("a", 1000) == 0.0
    # The debt is no deeper than a full bucket: 1 s to empty, and 0.1 s to the first token.
    assert buckets.take("a") == pytest.approx(1.1)


@given(st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(1, 4)), max_size=60))
def test_never_more_than_burst_and_rate(steps: list[tuple[int, int]]) -> None:
    clock, rate = HandClock(), Rate(5, 8)
    buckets, start, taken, most = LocalBuckets(rate, clock), clock.now, 0, 0
    for pause, cost in steps:
        clock.now += pause
        if not buckets.take("a", cost):
            taken, most = taken + cost, max(most, cost)
    assert taken <= rate.burst + rate.per_second * (clock.now - start) / SECOND + most


def test_a_question_takes_nothing_and_says_what_taking_would() -> None:
    clock = HandClock()
    buckets = LocalBuckets(Rate(10, 2), clock)
    assert [buckets.wait("a") for _ in range(5)] == [0.0] * 5
    assert not buckets._full_at
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 0.0]
    assert buckets.wait("a") == buckets.take("a") == pytest.approx(0.1)
    clock.now += SECOND // 10
    assert buckets.wait("a") == 0.0


def test_who_goes_on_asking_is_not_forgotten() -> None:
    clock = HandClock()
    buckets = LocalBuckets(Rate(0.001, 1), clock, most=100)
    buckets.take("busy")
    for number in range(1000):
        buckets.take(f"n{number}")
        assert buckets.wait("busy") > 0


def test_buckets_are_bounded_and_the_busy_are_not_forgotten() -> None:
    clock = HandClock()
    buckets = LocalBuckets(Rate(0.001, 1), clock, most=100)
    assert buckets.take("busy") == 0.0
    for number in range(1000):
        buckets.take(f"n{number}")
        assert buckets.take("busy") > 0
    assert len(buckets._full_at) <= 101


def test_full_buckets_are_forgotten() -> None:
    clock = HandClock()
    buckets = LocalBuckets(Rate(1000, 1), clock)
    for number in range(1000):
        clock.now += SECOND
        buckets.take(f"n{number}")
    assert len(buckets._full_at) <= 2


@pytest.mark.parametrize("bad", [(0, 1), (-1, 1), (1, 0)])
def test_a_rate_that_gives_nothing_is_none(bad: tuple[float, int]) -> None:
    with pytest.raises(ValueError, match="rate"):
        Rate(*bad)


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("ipv4:192.0.2.7:50123", "192.0.2.7"),
        ("192.0.2.7:50123", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2:3::9%5D:50123", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2:ffff::1]:7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::5", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::5]:443", "2001:db8:1:2::/64"),
        ("ipv6:[fe80::1%25eth0]:7", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", "unix"),
        ("", ""),
        ("x" * 500, "x" * 64),
    ],
)
def test_which_client_an_address_is(peer: str, client: str) -> None:
    assert client_of(peer) == client


def refused(error: ResourceExhausted) -> tuple[str, str]:
    return error.reason, error.metadata["limit"]


def test_what_is_refused_says_of_what_there_was_too_much_and_when_there_is_more() -> None:
    limits = local(HandClock(), client=Rate(2, 1), party=Rate(4, 1), looks=Rate(1, 1))
    limits.call("a")
    limits.call("b")
    with pytest.raises(ResourceExhausted) as error:
        limits.call("a")
    assert refused(error.value) == ("TOO_MANY_REQUESTS", "client")
    assert error.value.retry_after == pytest.approx(0.5)
    limits.party("6901234000023")
    with pytest.raises(ResourceExhausted) as error:
        limits.party("6901234000023")
    assert refused(error.value) == ("TOO_MANY_REQUESTS", "party")
    limits.look("a", "x")
    with pytest.raises(ResourceExhausted) as error:
        limits.look("a", "x")
    assert refused(error.value) == ("TOO_MANY_REQUESTS", "code")
    # One code as seen by others, and other codes, are not touched by it.
    limits.look("b", "x")
    limits.look("a", "y")


def test_a_code_as_long_as_a_message_is_not_kept() -> None:
    made: list[LocalBuckets] = []

    def make(_: str, rate: Rate) -> LocalBuckets:
        made.append(LocalBuckets(rate, HandClock()))
        return made[-1]

    Limits(Rates(looks=Rate(1, 1)), make).look("a", "x" * 1_000_000)
    assert [len(name) < 300 for name in made[0]._full_at] == [True]


def test_who_is_wrong_too_often_is_not_heard() -> None:
    clock = HandClock()
    limits = local(clock, logins=Rate(1, 3))
    looked = 0

    def wrong() -> None:
        nonlocal looked
        limits.login("a")
        looked += 1
        limits.wrong_login("a")

    for _ in range(3):
        wrong()
    for _ in range(7):
        with pytest.raises(ResourceExhausted) as error:
            wrong()
        assert refused(error.value) == ("TOO_MANY_REQUESTS", "login")
    assert looked == 3
    limits.login("b")
    clock.now += SECOND
    # Who is right pays nothing.
    for _ in range(10):
        limits.login("a")
    wrong()
    with pytest.raises(ResourceExhausted):
        limits.login("a")


async def test_a_rival_uses_up_the_tries_at_a_code_and_the_owner_has_one() -> None:
    limits = local(HandClock(), tries=Rate(1, 100), tries_at_code=Rate(0.01, 2))
    for rival in range(50):
        await limits.pin(f"rival {rival}", "code")
    for rival in range(2):
        await limits.pin(f"rival {rival}", "code")
    with pytest.raises(ResourceExhausted) as error:
        await limits.pin("rival 2", "code")
    assert refused(error.value) == ("TOO_MANY_REQUESTS", "code")
    await limits.pin("owner", "code")
    with pytest.raises(ResourceExhausted):
        await limits.pin("owner", "code")
    await limits.pin("owner", "another code")


async def test_without_the_others_counts_pins_are_shut_and_all_else_is_open() -> None:
    rate = Rate(1, 10)
    rates = Rates(rate, rate, rate, rate, rate, rate)
    limits = Limits(rates, lambda _, given: Away(given))
    with pytest.raises(Unavailable) as error:
        await limits.pin("a", "code")
    assert error.value.reason == "LIMITS_UNAVAILABLE"
    limits.call("a")
    limits.look("a", "code")
    limits.party("6901234000023")
    limits.report("a", "code")
    limits.login("a")


async def test_where_there_is_no_limit_nothing_is_refused() -> None:
    limits = local(HandClock())
    for _ in range(1000):
        limits.call("a", 1000)
        limits.look("a", "code")
        limits.party("6901234000023")
        limits.report("a", "code")
        await limits.pin("a", "code")
        await limits.paced("a")


async def test_a_stream_waits_for_its_turn() -> None:
    clock = HandClock()
    buckets = LocalBuckets(Rate(1000, 1), clock)
    limits = Limits(Rates(client=Rate(1000, 1)), lambda *_: buckets)
    await limits.paced("a")
    waiting = asyncio.create_task(limits.paced("a"))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    clock.now += SECOND
    await asyncio.wait_for(waiting, 30)
