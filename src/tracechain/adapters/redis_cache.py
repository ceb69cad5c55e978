"""Facts in Redis, shared by all nodes. Redis never holds truth.

Each batch key has a generation, a text that grows with each; an entry counts only under the
generation that is current when it is read, so setting a new one forgets everything under the key
at once, also what another node is about to write from an older read. A generation lower than one
that this node knows of is no generation: a Redis that failed over may have lost the last ones.
Entries are authenticated, bound to their key, their generation and their expiry: junk, swapped and
stale entries are misses. Where Redis is away every look-up misses and nothing is raised.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from tracechain.adapters.redis_lane import Command, Lane
from tracechain.adapters.redis_lanes import Lanes
from tracechain.app.ending import end
from tracechain.app.ports import CacheHit, Clock

_MAC_BYTES = 16
_CHANNEL = "tracechain:invalidate"
# How soon, in seconds, an invalidation is told again that Redis did not take, and how many at once:
# more would not fit into the time that one exchange has.
_PAY_EVERY = 0.05
_PAID_AT_ONCE = 250
# Keys whose latest generation is remembered; beyond it the longest known go first.
_KNOWN = 100_000
# How long, in seconds, nothing is heard before the channel is asked whether it is there, and how
# soon another server is tried.
_SILENCE = 1.0
_LISTEN_AGAIN = 0.1
_GENERATION_BYTES = 32


class Codec(Protocol):
    """Turns facts to bytes and back; `decode` raises ValueError for what it cannot read."""

    def encode(self, value: object) -> bytes: ...

    def decode(self, field: str, data: bytes) -> object: ...


@dataclass(eq=False, slots=True)
class _Debt:
    """An invalidation that Redis has not taken yet, and until when it can matter. `told`: the
    other nodes know, though the server that holds the key does not."""

    generation: bytes
    until: int
    told: bool = False


class RedisCache:
    """A Cache on the servers of one Redis.

    `lifetime` (microseconds) bounds how old an entry can be where an invalidation was lost. The
    `lanes` are closed with it.
    """

    def __init__(
        self,
        lanes: Lanes,
        codec: Codec,
        mac_key: bytes,
        clock: Clock,
        *,
        lifetime: int,
    ) -> None:
        self._lanes = lanes
        self._servers = lanes.servers
        self._codec = codec
        self._mac_key = mac_key
        self._clock = clock
        self._lifetime = lifetime
        self._listeners: list[tuple[Callable[[int], None], Callable[[], None]]] = []
        self._listening: asyncio.Task[None] | None = None
        self._me = secrets.token_hex(8)
        self._owed: dict[int, _Debt] = {}
        self._paying: asyncio.Task[None] | None = None
        # The latest generation that is known of keys that changed a short time ago.
        self._known: dict[int, tuple[bytes, int]] = {}

    async def lookup(self, batch_key: int, field: str) -> CacheHit:
        if batch_key in self._owed:
            return CacheHit(None, None)
        name = _generation_name(batch_key)
        lane = self._lanes.to(name) or await self._lanes.learned(name)
        if lane is None:
            return CacheHit(None, None)
        answers = await lane.ask(("MGET", name, _entry_name(batch_key, field)))
        if answers is None or not isinstance(answers[0], list):
            return CacheHit(None, None)
        generation, entry = answers[0]
        if generation is None:
            generation = await self._begin(lane, batch_key, name)
        if generation is None or generation < self._latest(batch_key):
            return CacheHit(None, None)
        if entry is not None:
            value = self._open(batch_key, field, generation, entry)
            if value is not None:
                return CacheHit(value, generation)
        return CacheHit(None, generation)

    async def _begin(self, lane: Lane, batch_key: int, name: str) -> bytes | None:
        """The generation of a key that had none."""
        fresh = self._latest(batch_key) or self._fresh()
        made = await lane.ask(
            ("SET", name, fresh, "NX", "PX", self._lifetime // 500), ("MGET", name)
        )
        if made is None or not isinstance(made[1], list):
            return None
        now: bytes | None = made[1][0]
        return now

    async def put(self, batch_key: int, field: str, value: object, token: object) -> None:
        if not isinstance(token, bytes):
            return
        name = _entry_name(batch_key, field)
        lane = self._lanes.to(name)
        if lane is None:
            return
        expires = (self._clock() + self._lifetime).to_bytes(8, "big")
        body = expires + self._codec.encode(value)
        entry = self._mac(batch_key, field, token, body) + body
        await lane.ask(("SET", name, entry, "PX", self._lifetime // 1000))

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

    def _fresh(self) -> bytes:
        # Clocks of nodes that differ by more than two changes lie apart cost hits, not truth.
        return b"%016x" % self._clock() + secrets.token_hex(8).encode()

    def _latest(self, batch_key: int) -> bytes:
        known = self._known.get(batch_key)
        return known[0] if known is not None and self._clock() < known[1] else b""

    def _note(self, batch_key: int, generation: bytes) -> None:
        """Keeps in mind a generation for as long as entries of the one before can live."""
        if generation < self._latest(batch_key):
            return
        self._known.pop(batch_key, None)
        self._known[batch_key] = (generation, self._clock() + self._lifetime)
        # In the order of their ends: at most two go for one that comes.
        for other in list(islice(self._known, 2)):
            if len(self._known) > _KNOWN or self._known[other][1] <= self._clock():
                del self._known[other]

    async def invalidate(self, batch_keys: Sequence[int]) -> None:
        """Sets new generations and tells the other nodes, whatever else waits for Redis.

        What Redis does not take now is owed: until it has taken it, this node asks it nothing
        about these keys, and goes on telling it for as long as older entries can live.
        """
        until = self._clock() + 2 * self._lifetime
        mine = {batch_key: _Debt(self._fresh(), until) for batch_key in dict.fromkeys(batch_keys)}
        self._owed.update(mine)
        for batch_key, debt in mine.items():
            self._note(batch_key, debt.generation)
        try:
            await self._pay(mine)
        finally:
            left = any(self._owed.get(batch_key) is debt for batch_key, debt in mine.items())
            if left and self._paying is None:
                self._paying = asyncio.create_task(self._pay_later())

    async def _pay(self, owed: Mapping[int, _Debt]) -> None:
        """Tells each server what it holds, all at once."""
        shares: dict[Lane, list[int]] = {}
        waited = False
        for batch_key in owed:
            name = _generation_name(batch_key)
            lane = self._lanes.to(name)
            if lane is None and not waited:
                lane, waited = await self._lanes.learned(name), True
            if lane is not None:
                shares.setdefault(lane, []).append(batch_key)
        await asyncio.gather(*(self._pay_to(lane, keys, owed) for lane, keys in shares.items()))
        # A server that is away keeps nobody from hearing it by another.
        untold = [
            batch_key
            for batch_key, debt in owed.items()
            if not debt.told and self._owed.get(batch_key) is debt
        ]
        if untold:
            await self._tell(untold, owed)

    async def _pay_to(self, lane: Lane, keys: list[int], owed: Mapping[int, _Debt]) -> None:
        for start in range(0, len(keys), _PAID_AT_ONCE):
            part = keys[start : start + _PAID_AT_ONCE]
            commands: list[Command] = []
            for key in part:
                fresh = owed[key].generation
                commands.append(("SET", _generation_name(key), fresh, "PX", self._lifetime // 500))
                commands.append(self._message(key, fresh))
            answers = await lane.tell(commands)
            if answers is None:
                return
            for key, taken, told in zip(part, answers[::2], answers[1::2], strict=True):
                owed[key].told = owed[key].told or isinstance(told, int)
                # Unless it was invalidated again meanwhile.
                if taken is True and isinstance(told, int) and self._owed.get(key) is owed[key]:
                    del self._owed[key]

    async def _tell(self, keys: list[int], owed: Mapping[int, _Debt]) -> None:
        """Tells the other nodes alone, by the first server that passes it on."""
        holders = {self._servers.holder(_generation_name(key)) for key in keys}
        others = [server for server in self._servers.everyone() if server not in holders]
        for server in others[:2]:
            commands = [self._message(key, owed[key].generation) for key in keys]
            if await self._lanes.to_server(server).tell(commands) is not None:
                for key in keys:
                    owed[key].told = True
                return

    def _message(self, batch_key: int, generation: bytes) -> Command:
        return ("PUBLISH", _CHANNEL, f"{self._me} {batch_key} ".encode() + generation)

    async def _pay_later(self) -> None:
        try:
            while self._owed:
                await asyncio.sleep(_PAY_EVERY)
                now = self._clock()
                self._owed = {k: debt for k, debt in self._owed.items() if now < debt.until}
                await self._pay(dict(self._owed))
        finally:
            self._paying = None

    def on_invalidate(self, listener: Callable[[int], None], on_gap: Callable[[], None]) -> None:
        self._listeners.append((listener, on_gap))
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            with suppress(RedisError, OSError, TimeoutError):
                # Whichever comes first: at the next turn it may be another.
                for server in self._servers.everyone()[:1]:
                    async with server.pubsub() as channel:
                        await self._hear_all(channel)
            self._lanes.learn()
            await asyncio.sleep(_LISTEN_AGAIN)

    async def _hear_all(self, channel: PubSub) -> None:
        """Listens until the channel is lost. Raises RedisError, OSError, TimeoutError."""
        await channel.subscribe(_CHANNEL)
        silent = 0
        while silent < 2:
            message = await channel.get_message(timeout=_SILENCE)
            if message is None:
                # Nothing is said, or nobody is there: a connection that was cut says neither.
                silent += 1
                await channel.ping()
                continue
            silent = 0
            if message["type"] == "message":
                self._hear(message["data"])
            elif message["type"] == "subscribe":
                # At the first time, and again where the driver has connected anew: what was said
                # meanwhile is lost.
                for _, on_gap in self._listeners:
                    on_gap()

    def _hear(self, data: bytes) -> None:
        sender, _, rest = data.partition(b" ")
        number, _, generation = rest.partition(b" ")
        # Junk on the channel can only make us forget, which is always allowed.
        if sender == self._me.encode() or not number.isdigit() or len(number) >= 20:
            return
        if len(generation) == _GENERATION_BYTES:
            self._note(int(number), generation)
        for listener, _ in self._listeners:
            listener(int(number))

    async def close(self) -> None:
        for task in (self._listening, self._paying):
            if task is not None:
                await end(task)
        await self._lanes.close()


def _generation_name(batch_key: int) -> str:
    return f"tc:g:{{{batch_key}}}"


def _entry_name(batch_key: int, field: str) -> str:
    return f"tc:f:{{{batch_key}}}:{field}"
