"""Codes that arrive together are proved together, in a process of their own.

Checking a signature costs as much as all else in a scan. In a thread it would give Python's lock
away and ask for it again at every code, and the event loop would wait its turn each time. A code
that comes alone is proved where it is: the way to a process and back costs more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain, pairwise

from tracechain.adapters.crypto_pool import CryptoPool
from tracechain.adapters.grouping import Grouper, joined
from tracechain.app.proving import Claimed, Finding, Prover

# Narrow: while one group is being proved, the one before it is being recorded. Two at once for
# each process of the pool: it has its next work when it ends one. More where they are full, as
# those of a batch are: an event loop that answers one batch is away for longer than two take.
_WIDTH = 64
_ABREAST = 2
_FULL = 16
# So many at once are proved where they are: the way to a process and back costs more than these.
# A loop with time to spare has it for some more.
_ALONE = 2
_FEW = 16


class GroupedProofs:
    """The Prove port over a Prover."""

    def __init__(
        self, prover: Prover, pool: CryptoPool, *, capacity: int, linger: Callable[[], float]
    ) -> None:
        self._prover = prover
        self._pool = pool
        self._linger = linger
        self._group: Grouper[Sequence[str], list[Finding]] = Grouper(
            joined(self._work),
            capacity=capacity,
            width=_WIDTH,
            linger=linger,
            abreast=_ABREAST * pool.processes,
            full=_FULL * pool.processes,
            weigh=len,
        )

    async def prove(self, texts: Sequence[str]) -> Sequence[Finding]:
        """See Prove."""
        count = len(texts) // _WIDTH
        if count <= 1:
            return await self._group.submit(texts)
        # Each part is a full group: a rest that is none would wait until all others are done.
        ends = [len(texts) * i // count for i in range(count + 1)]
        parts = [texts[first:beyond] for first, beyond in pairwise(ends)]
        found = await asyncio.gather(*[self._group.submit(part) for part in parts])
        return list(chain.from_iterable(found))

    async def _work(self, texts: list[str]) -> list[Finding]:
        read = [self._prover.read(text) for text in texts]
        claimed = [item for item in read if isinstance(item, Claimed)]
        positions = None
        if len(claimed) > (_ALONE if self._linger() else _FEW):
            positions = await self._pool.run(
                "positions",
                {item.key.record.key_id: item.key.record for item in claimed}.values(),
                resolver=self._prover.resolver,
                texts=[item.text for item in claimed],
            )
        if positions is None:
            positions = [item.key.position(item.code) for item in claimed]
        found = iter(positions)
        return [
            self._prover.judge(item, next(found)) if isinstance(item, Claimed) else item
            for item in read
        ]

    async def close(self) -> None:
        """Waits until everything that was taken is done."""
        await self._group.close()
        await self._pool.close()
