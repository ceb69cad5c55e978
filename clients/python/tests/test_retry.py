"""The arithmetic of trying again."""

from __future__ import annotations

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain_client import RetryPolicy, Unavailable, full_jitter
from tracechain_client._retry import Patience


def unavailable(retry_after: float | None = None) -> Unavailable:
    return Unavailable(grpc.StatusCode.UNAVAILABLE, retry_after=retry_after)


@given(failures=st.integers(1, 10_000), hint=st.none() | st.floats(0, 60))
def test_a_wait_lies_between_the_hint_and_the_cap(failures: int, hint: float | None) -> None:
    policy = RetryPolicy()
    wait = policy.delay(failures, hint)
    floor = hint or 0.0
    assert floor <= wait <= floor + min(policy.cap, policy.base * 2 ** min(failures - 1, 64))


def test_ceilings_double_up_to_the_cap() -> None:
    policy = RetryPolicy(base=1, cap=5, jitter=lambda ceiling: ceiling)
    assert [policy.delay(n, None) for n in (1, 2, 3, 4, 5, 2000)] == [1, 2, 4, 5, 5, 5]


def test_jitter_is_full() -> None:
    drawn = [full_jitter(1.0) for _ in range(2000)]
    assert min(drawn) < 0.05
    assert max(drawn) > 0.95


def test_patience_ends_with_the_tries_and_progress_renews_it() -> None:
    patience = Patience(RetryPolicy(attempts=3, jitter=lambda _: 0.0), None, lambda: 0.0)
    for _ in range(3):
        assert [patience.wait_after(unavailable()) for _ in range(2)] == [0.0, 0.0]
        patience.progressed()
    patience.wait_after(unavailable())
    patience.wait_after(unavailable())
    last = unavailable()
    with pytest.raises(Unavailable) as raised:
        patience.wait_after(last)
    assert raised.value is last
    assert patience.remaining() is None


def test_no_wait_reaches_beyond_the_deadline() -> None:
    now = 100.0
    policy = RetryPolicy(attempts=99, jitter=lambda _: 0.0)
    patience = Patience(policy, 10.0, lambda: now)
    assert patience.remaining() == 10.0
    assert patience.wait_after(unavailable(9.9)) == 9.9
    now = 105.0
    assert patience.remaining() == 5.0
    with pytest.raises(Unavailable):
        patience.wait_after(unavailable(5.0))
    now = 120.0
    assert patience.remaining() == 0.0


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"base": -1}, {"cap": -1}, {"longest_hint": -1}]
)
def test_a_policy_that_is_none_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]
