"""Facts in Redis, shared by all nodes. Redis never holds truth.

Each batch key has a generation, a random text; an entry counts only under the generation that is
current when it is read, so setting a new one forgets everything under the key at once, also what
another node is about to write from an older read. Entries are authenticated, bound to their key,
their generation and their expiry: junk, swapped and stale entries are misses. Where Redis is
away every look-up misses and nothing is raised; a breaker keeps requests from queueing on it.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tracechain.app.ports import CacheHit, Clock

T = TypeVar("T")
_MAC_BYTES = 16
_CHANNEL = "tracechain:invalidate"
# How long a failing Redis is left alone before it is tried again, in microseconds.
_PAUSE = 500_000
# How soon, in seconds, an invalidation is told again that Redis did not take, and how many at once:
# more would not fit into the time that one exchange has.
_PAY_EVERY = 0.05
_PAID_AT_ONCE = 250
_LOG = structlog.get_logger(__name__)


class Codec(Protocol):
    """Turns facts to bytes and back; `decode` raises ValueError for what it cannot read."""

    def encode(self, value: object) -> bytes: ...

    def decode(self, field: str, data: bytes) -> object: ...


@dataclass(frozen=True, eq=False, slots=True)
class _Debt:
    """An invalidation that Redis has not taken yet, and until when it can matter."""

    until: int


class RedisCache:
    """A Cache on one Redis server.

    `lifetime` (microseconds) bounds how old an entry can be where an invalidation was lost.
    `in_flight` bounds the commands that wait for Redis; beyond it look-ups miss at once.
    """

    def __init__(
        self,
        client: Redis,
        codec: Codec,
        mac_key: bytes,
        clock: Clock,
        *,
        lifetime: int,
        in_flight: int,
        timeout: float,
    ) -> None:
        self._client = client
        self._codec = codec
        self._mac_key = mac_key
        self._clock = clock
        self._lifetime = lifetime
        self._in_flight = in_flight
        self._timeout = timeout
        self._waiting = 0
        self._closed_until = 0
        self._listeners: list[Callable[[int], None]] = []
        self._listening: asyncio.Task[None] | None = None
        self._me = secrets.token_hex(8)
        self._owed: dict[int, _Debt] = {}
        self._paying: asyncio.Task[None] | None = None

    async def lookup(self, batch_key: int, field: str) -> CacheHit:
        if batch_key in self._owed:
            return CacheHit(None, None)
        names = [_generation_name(batch_key), _entry_name(batch_key, field)]
        found = await self._ask(lambda: self._get(names))
        if found is None:
            return CacheHit(None, None)
        generation, entry = found
        if generation is None:
            fresh = secrets.token_hex(8).encode()
            await self._ask(
                lambda: self._client.set(names[0], fresh, nx=True, px=self._lifetime // 500)
            )
            now = await self._ask(lambda: self._get(names[:1]))
            return CacheHit(None, now[0] if now else None)
        if entry is not None:
            value = self._open(batch_key, field, generation, entry)
            if value is not None:
                return CacheHit(value, generation)
        return CacheHit(None, generation)

    async def put(self, batch_key: int, field: str, value: object, token: object) -> None:
        if not isinstance(token, bytes):
            return
        expires = (self._clock() + self._lifetime).to_bytes(8, "big")
        body = expires + self._codec.encode(value)
        entry = self._mac(batch_key, field, token, body) + body
        name = _entry_name(batch_key, field)
        await self._ask(lambda: self._client.set(name, entry, px=self._lifetime // 1000))

    def _open(self, batch_key: int, field: str, generation: bytes, entry: bytes) -> object | None:
        mac, body = entry[:_MAC_BYTES], entry[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(batch_key, field, generation, body)):
            return None
        if int.from_bytes(body[:8], "big") <= self._clock():
            return None
        try:
            return self._codec.decode(field, body[8:])
        except ValueError:
            # Authentic, but of another release: a miss.
            return None

    def _mac(self, batch_key: int, field: str, generation: bytes, body: bytes) -> bytes:
        head = f"{batch_key}/{field}/".encode() + generation + b"/"
        return hmac.digest(self._mac_key, head + body, "sha256")[:_MAC_BYTES]

    async def invalidate(self, batch_keys: Sequence[int]) -> None:
        """Sets new generations and tells the other nodes, whatever else waits for Redis.

        What Redis does not take now is owed: until it has taken it, this node asks it nothing
        about these keys, and goes on telling it for as long as older entries can live.
        """
        debt = _Debt(self._clock() + 2 * self._lifetime)
        mine = dict.fromkeys(batch_keys, debt)
        self._owed.update(mine)
        try:
            await self._pay(mine)
        finally:
            left = any(self._owed.get(batch_key) is debt for batch_key in mine)
            if left and self._paying is None:
                self._paying = asyncio.create_task(self._pay_later())

    async def _pay(self, owed: Mapping[int, _Debt]) -> None:
        every = list(owed)
        for start in range(0, len(every), _PAID_AT_ONCE):
            batch_keys = every[start : start + _PAID_AT_ONCE]
            if await self._try(partial(self._send, batch_keys)) is None:
                return
            for batch_key in batch_keys:
                # Unless it was invalidated again meanwhile.
                if self._owed.get(batch_key) is owed[batch_key]:
                    del self._owed[batch_key]

    def _send(self, batch_keys: Sequence[int]) -> Awaitable[list[Any]]:
        pipe = self._client.pipeline(transaction=False)
        for batch_key in batch_keys:
            fresh = secrets.token_hex(8)
            pipe.set(_generation_name(batch_key), fresh, px=self._lifetime // 500)
            pipe.publish(_CHANNEL, f"{self._me} {batch_key}")
        return pipe.execute()

    async def _pay_later(self) -> None:
        try:
            while self._owed:
                await asyncio.sleep(_PAY_EVERY)
                now = self._clock()
                self._owed = {k: debt for k, debt in self._owed.items() if now < debt.until}
                await self._pay(dict(self._owed))
        finally:
            self._paying = None

    async def _get(self, names: list[str]) -> list[bytes | None]:
        return cast("list[bytes | None]", await self._client.mget(names))

    async def _ask(self, command: Callable[[], Awaitable[T]]) -> T | None:
        if self._clock() < self._closed_until or self._waiting >= self._in_flight:
            return None
        return await self._try(command)

    async def _try(self, command: Callable[[], Awaitable[T]]) -> T | None:
        self._waiting += 1
        # A task of its own: a client that misses its cancellation (asyncio.wait_for does, before
        # Python 3.12) holds up itself and not the caller.
        task = asyncio.ensure_future(command())
        task.add_done_callback(self._arrived)
        try:
            await asyncio.wait([task], timeout=self._timeout)
            if not task.done():
                raise TimeoutError
            return task.result()
        except (RedisError, OSError, TimeoutError) as error:
            if self._closed_until == 0 or self._clock() >= self._closed_until:
                _LOG.warning("redis_away", error=type(error).__name__)
            self._closed_until = self._clock() + _PAUSE
            return None
        finally:
            task.cancel()

    def _arrived(self, task: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not task.cancelled():
            task.exception()

    def on_invalidate(self, listener: Callable[[int], None]) -> None:
        self._listeners.append(listener)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            with suppress(RedisError, OSError, TimeoutError):
                async with self._client.pubsub() as channel:
                    await channel.subscribe(_CHANNEL)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            self._hear(message["data"])
            await asyncio.sleep(_PAUSE / 1e6)

    def _hear(self, data: bytes) -> None:
        sender, _, number = data.partition(b" ")
        # Junk on the channel can only make us forget, which is always allowed.
        if sender != self._me.encode() and number.isdigit() and len(number) < 20:
            for listener in self._listeners:
                listener(int(number))

    async def close(self) -> None:
        for task in (self._listening, self._paying):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        with suppress(RedisError, OSError):
            await self._client.aclose()


def _generation_name(batch_key: int) -> str:
    return f"tc:g:{{{batch_key}}}"


def _entry_name(batch_key: int, field: str) -> str:
    return f"tc:f:{{{batch_key}}}:{field}"
