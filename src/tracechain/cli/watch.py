"""`tracechain log watch` and `log fork`: is a log what it says, and was it ever?"""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from tracechain.cli.connection import AsJson
from tracechain.cli.failure import Stop
from tracechain.cli.output import done, print_json
from tracechain.cli.repeat import Interval, Once, Origin, PolicyFile, Url, policy_of, repeat

if TYPE_CHECKING:
    from tracechain.app.log.watching import Alarm, Look, Watch

# Apart from 1, a command that could not do its work, and 2, one that was called wrongly.
ALARM = 3


def watch(
    url: Url,
    policy: PolicyFile,
    state: Annotated[
        Path, typer.Option(help="Folder of what it knows, and of evidence; made where missing.")
    ],
    origin: Origin = "",
    once: Once = False,
    interval: Interval = 10.0,
    silence: Annotated[
        int,
        typer.Option(
            min=0,
            help="Seconds without a larger tree or a new cosignature that are too many; 0: never.",
        ),
    ] = 86_400,
    as_json: AsJson = False,
) -> None:
    """Watch a log, and shout on a fork, a rollback, silence, a false signature, no quorum.

    What is wrong goes to standard error, and with --json all of it as lines to standard output.
    The status is 3 where anything was wrong. A fork ends the watch; its evidence is kept, and
    `tracechain log fork` checks it without the log.
    """  # fmt: skip
    # Imported here: a command that only calls a server does not pay for these.
    from tracechain.adapters.log.client import HttpLog
    from tracechain.adapters.log.watch_folder import WatchFolder
    from tracechain.app.log.watching import Watch

    trusted = policy_of(policy, url, origin)
    folder = WatchFolder(state)
    voice = _Voice(once, as_json)

    async def run() -> None:
        async with HttpLog(url) as log:
            watching = Watch(log, folder, trusted, time.time, silence)
            await repeat(lambda: voice.tell(watching), interval)

    with folder.held():
        asyncio.run(run())
    if voice.shouted:
        raise typer.Exit(ALARM)


def fork(
    file: Annotated[Path, typer.Argument(help="Evidence that a watch or a mirror kept.")],
    policy: PolicyFile,
    as_json: AsJson = False,
) -> None:
    """Check evidence of a fork, offline: did the log sign two histories?

    Nothing but the log's key in the policy is believed. Status 1 where it is not proved.
    """
    from tracechain.domain.log.cosignature import verifier
    from tracechain.domain.log.fork import MAX_FORK_BYTES, Fork
    from tracechain.domain.log.policy import Policy

    logs = Policy.parse(policy.read_bytes()).logs
    with file.open("rb") as source:
        found = Fork.parse(source.read(MAX_FORK_BYTES + 1))
    smaller, larger = found.verify([verifier(log.key) for log in logs])
    if as_json:
        print_json({"origin": smaller.origin, "sizes": [smaller.size, larger.size], "fork": True})
        return
    done((smaller.origin, "bold"), " signed two histories:")
    for note in (found.smaller, found.larger):
        print()
        print(note.encode().decode(), end="")


class _Voice:
    """Says what looks find, each thing when it begins and when it is over."""

    def __init__(self, once: bool, as_json: bool) -> None:
        self.shouted = False
        self._once = once
        self._as_json = as_json
        self._unreachable = ""

    async def tell(self, watching: Watch) -> bool:
        """Looks, and says what was found; whether that was all. Raises Stop LOG_UNREACHABLE: one
        look was wanted, and it saw nothing."""
        found = await watching.look()
        if found.grown and found.checkpoint:
            self._say("checkpoint", size=found.checkpoint.size, root=found.checkpoint.root.hex())
            if not self._as_json:
                done((f"{found.checkpoint.size} entries", "bold"), ", in keeping with all before")
        self._reach(found)
        for kind in found.cleared:
            self._say("cleared", kind=kind)
            _complain(f"✓ {kind} is over", "green")
        for alarm in found.raised:
            self._shout(alarm)
        if self._once and found.unreachable and not found.raised:
            raise Stop("LOG_UNREACHABLE", found.unreachable, "Is it served there?")
        return self._once or any(alarm.kind == "FORK" for alarm in found.raised)

    def _reach(self, found: Look) -> None:
        if found.unreachable != self._unreachable:
            self._unreachable = found.unreachable
            self._say("unreachable" if found.unreachable else "reached", why=found.unreachable)
            _complain(found.unreachable or "the log answers again", "dim")

    def _shout(self, alarm: Alarm) -> None:
        self.shouted = True
        said = {"kind": alarm.kind, "message": alarm.message, "evidence": alarm.evidence}
        self._say("alarm", **said)
        _complain(f"✗ {alarm.kind}: {alarm.message}", "bold red")
        if alarm.evidence:
            _complain(f"  evidence: {alarm.evidence}", "")

    def _say(self, event: str, **said: Any) -> None:
        if self._as_json:
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            print(json.dumps({"time": now, "event": event, **said}), flush=True)


def _complain(text: str, style: str) -> None:
    Console(file=sys.stderr, highlight=False).print(Text(text, style=style), soft_wrap=True)
