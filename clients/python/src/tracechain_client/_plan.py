"""A method of the API as a plan that does no I/O itself, so that two clients can share it.

A plan is a generator: it yields what it wants done (an Effect) and is sent the outcome, or thrown
the TracechainError that it failed with. One shell performs effects by blocking, the other by
awaiting; retries, paging and resuming exist once, here between them. The descriptors `unary` and
`streaming` turn a plan into the method that fits the client it is called on, for type checkers
too.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Unary:
    """Call a method and give its answer."""

    method: Callable[..., Any]
    request: Any
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Open:
    """Open a stream in both directions and give it; it has `cancel()`."""

    method: Callable[..., Any]
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Write:
    """Send a message on an open stream; None says that there are no more.

    A stream that is broken takes it in silence: reading tells.
    """

    stream: Any
    message: Any


@dataclass(frozen=True, slots=True)
class Read:
    """Give the next message of a stream, or END."""

    stream: Any


@dataclass(frozen=True, slots=True)
class Pull:
    """Give the next item of the caller's own iterator, or END."""

    source: Any


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit(Generic[T_co]):
    """Hand items to the caller of a stream; goes on when the caller took them all."""

    items: Sequence[T_co]


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a plan, and what it gives."""

    value: Any


END: Final = object()

Effect = Unary | Open | Write | Read | Pull | Sleep
Plan = Generator[Effect, Any, R]
Flow = Generator[Effect | Emit[R], Any, None]
Steps = Generator[Effect | Emit[Any] | Done, Any, None]


def steps(plan: Generator[Any, Any, Any]) -> Steps:
    """The plan with its end as a last effect: StopIteration cannot leave a coroutine."""
    yield Done((yield from plan))


class Blocking:
    """A client whose methods return."""

    def _run(self, plan: Plan[R]) -> R:
        raise NotImplementedError

    def _stream(self, flow: Flow[R]) -> Generator[R, None, None]:
        raise NotImplementedError


class Awaiting:
    """A client whose methods are awaited."""

    async def _run(self, plan: Plan[R]) -> R:
        raise NotImplementedError

    def _stream(self, flow: Flow[R]) -> AsyncGenerator[R, None]:
        raise NotImplementedError


class unary(Generic[P, R]):
    """A method with one answer."""

    def __init__(self, plan: Callable[Concatenate[Any, P], Plan[R]]) -> None:
        self._plan = plan
        functools.update_wrapper(self, plan)  # type: ignore[arg-type]

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, client: Blocking, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, client: Awaiting, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        return _bind(self._plan, client, "_run")


class streaming(Generic[P, R]):
    """A method with any number of answers."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Flow[R]]) -> None:
        self._flow = flow
        functools.update_wrapper(self, flow)  # type: ignore[arg-type]

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, client: Blocking, owner: type) -> Callable[P, Generator[R, None, None]]: ...
    @overload
    def __get__(self, client: Awaiting, owner: type) -> Callable[P, AsyncGenerator[R, None]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        return _bind(self._flow, client, "_stream")


def _bind(plan: Callable[..., Any], client: Any, shell: str) -> Callable[..., Any]:
    if client is None:
        return plan

    @functools.wraps(plan)
    def method(*args: Any, **options: Any) -> Any:
        return getattr(client, shell)(plan(client, *args, **options))

    return method
