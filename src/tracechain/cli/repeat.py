"""Commands that go on until they are stopped, and what those that follow a log have in common."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from tracechain.app.log.following import of_one_log
from tracechain.domain.log.policy import Policy

Url = Annotated[
    str, typer.Argument(help="The log's URL prefix: https://…, or http:// on this machine.")
]
PolicyFile = Annotated[
    Path,
    typer.Option(
        "--policy", help="Whom to believe: the log's key and its witnesses (C2SP tlog-policy)."
    ),
]
Origin = Annotated[
    str, typer.Option(help="The log's origin, where the policy has several logs without this URL.")
]
Once = Annotated[bool, typer.Option("--once", help="End after one time.")]
Interval = Annotated[float, typer.Option(min=0.1, help="Seconds from one time to the next.")]


def policy_of(file: Path, url: str, origin: str) -> Policy:
    """The part of a policy file that is about one log. Raises OSError; InvalidArgument as
    Policy.parse and `of_one_log` do."""
    return of_one_log(Policy.parse(file.read_bytes()), url, origin)


async def repeat(work: Callable[[], Awaitable[bool]], interval: float) -> None:
    """Does some work again and again, until it says that it is done, or until SIGTERM or Ctrl-C:
    those cut it off, so it must be able to bear that."""
    task = asyncio.ensure_future(_for_ever(work, interval))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _for_ever(work: Callable[[], Awaitable[bool]], interval: float) -> None:
    while True:
        if await work():
            return
        await asyncio.sleep(interval)
