"""`tracechain mirror`: a copy of a log, for any file server."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracechain.cli.connection import AsJson
from tracechain.cli.failure import explain, report
from tracechain.cli.output import done, note, progress
from tracechain.cli.repeat import Interval, Once, Origin, PolicyFile, Url, policy_of, repeat
from tracechain.domain.errors import DataCorrupted, InvalidArgument, TracechainError, Unavailable

if TYPE_CHECKING:
    from tracechain.app.log.mirroring import Mirror, Mirrored

# What may be otherwise at the next time: a server that is away, or serves what is not the log's.
_PASSING = (Unavailable, InvalidArgument, DataCorrupted)
_FINAL = frozenset({"LOG_FORK", "STATE_DAMAGED", "UNSUPPORTED_ALGORITHM"})


def mirror(
    url: Url,
    policy: PolicyFile,
    to: Annotated[
        Path, typer.Option(help="The copy's folder, made where it is missing; serve it as it is.")
    ],
    origin: Origin = "",
    once: Once = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="At first check all that is kept, and fetch anew what is damaged."
        ),
    ] = False,
    interval: Interval = 5.0,
    as_json: AsJson = False,
) -> None:
    """Follow a log and keep all of it, each tile and entry proved before it is kept.

    Works with every log that is served as C2SP tlog-tiles. A fork ends it; what may pass is said
    once, and tried again.
    """
    # Imported here: a command that only calls a server does not pay for these.
    from tracechain.adapters.log.client import HttpLog
    from tracechain.adapters.log.mirror_folder import MirrorFolder
    from tracechain.app.log.mirroring import Mirror

    trusted = policy_of(policy, url, origin)
    folder = MirrorFolder(to)

    async def run() -> None:
        async with HttpLog(url) as log:
            following = _Following(Mirror(log, folder, trusted), once, verify, as_json)
            await repeat(following.advance, interval)

    with folder.held():
        asyncio.run(run())


class _Following:
    """What was said last, so that nothing is said twice."""

    def __init__(self, mirror: Mirror, once: bool, whole: bool, as_json: bool) -> None:
        self._mirror = mirror
        self._once = once
        self._whole = whole
        self._as_json = as_json
        self._failed = ""
        self._said = False

    async def advance(self) -> bool:
        """Brings the copy up to date, and says so; whether that was all."""
        try:
            with progress() as bar:
                task = bar.add_task("entries", total=None)
                found = await self._mirror.advance(
                    lambda some, of: bar.update(task, completed=some, total=of), whole=self._whole
                )
        except _PASSING as error:
            if self._once or error.reason in _FINAL:
                raise
            self._complain(error)
            return False
        self._whole = False
        if found.entries or not self._said or self._failed:
            self._tell(found)
        self._failed, self._said = "", True
        return self._once

    def _complain(self, error: TracechainError) -> None:
        failure = explain(error)
        if failure and self._failed != failure.message:
            report(failure, as_json=self._as_json)
            self._failed = failure.message

    def _tell(self, found: Mirrored) -> None:
        size, root = found.checkpoint.size, base64.b64encode(found.checkpoint.root).decode()
        if self._as_json:
            print(json.dumps({"size": size, "root": root, "new": found.entries}), flush=True)
            return
        done((f"{size} entries", "bold"), f", {found.entries} of them new; all proved")
        note(f"  root {root}")
