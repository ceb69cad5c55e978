"""Ending a task of ours that goes on until it is told to end.

One cancellation is not enough: where what a task waits for is done at that very moment,
`asyncio.wait_for` of Python 3.11 forgets that it was cancelled, and libraries that we wait in
use it. Whoever then waited for the end of such a task would wait for ever.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

# Seconds that a task has for cleaning up before it is told once more.
_PATIENCE = 1.0


async def end(task: asyncio.Task[None]) -> None:
    """Returns once `task` has ended. Raises what it raised, but for its own cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PATIENCE)
    with suppress(asyncio.CancelledError):
        task.result()
