"""`tracechain store statements`: what one verification or one trace asks of PostgreSQL.

Nothing here is a list kept by hand: the calls are made, over the wire, to a service whose store
notes what it is sent.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.text import Text

from tracechain.cli import trial
from tracechain.cli.connection import AsJson
from tracechain.cli.failure import Stop
from tracechain.cli.output import console, note, print_json
from tracechain.v1 import verification_pb2

if TYPE_CHECKING:
    from tracechain import bootstrap
    from tracechain.adapters.postgres.recording import Sent
    from tracechain.settings import Settings

_T = TypeVar("_T")


class Call(StrEnum):
    """The calls that can be looked at."""

    VERIFY = "verify"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class _Run:
    title: str
    sent: list[Sent]


def statements(
    call: Annotated[Call, typer.Argument(help="The call to look at.")],
    shards: Annotated[
        int, typer.Option(min=1, max=64000, help="Shards over which the keys are counted.")
    ] = 32,
    as_json: AsJson = False,
) -> None:
    """Show the statements that one verification or one trace sends to PostgreSQL.

    The call is made on goods of its own, in a schema of its own in the configured database, which
    is dropped afterwards. For each statement: how often it was sent, with which batch keys, and
    on which shards those lie in a cluster.
    """
    from tracechain.settings import Settings

    runs, places = asyncio.run(_look(call, Settings(), shards))
    if as_json:
        print_json(
            {"call": call.value, "shards": shards, "runs": [_plain(r, places) for r in runs]}
        )
        return
    for run in runs:
        _show(run, places)
    note("\nKeys of batches are their numbers; those beyond 2^62 are of containers and events.")


async def _look(call: Call, settings: Settings, shards: int) -> tuple[list[_Run], dict[int, int]]:
    async with trial.place(settings) as place:
        goods, key = await _prepare(place)
        runs = await (_verifications(place, goods) if call is Call.VERIFY else
                      _traces(place, goods, key))  # fmt: skip
        keys = {key for run in runs for sent in run.sent for key in sent.keys}
        return runs, await place.shards_of(keys, shards)


async def _prepare(place: trial.Place) -> tuple[trial.Goods, str]:
    async def work(app: bootstrap.App, server: str) -> tuple[trial.Goods, str]:
        await app.parties.register(trial.ISSUER)
        _, key = await app.credentials.create(trial.ISSUER.gln, trial.ROLE, "", "trial", "trial")
        return await asyncio.to_thread(trial.make_goods, server, key), key

    return await _served(place, work)


async def _verifications(place: trial.Place, goods: trial.Goods) -> list[_Run]:
    async def work(_: bootstrap.App, server: str) -> list[_Run]:
        runs = []
        for title, code, history in (
            ("a first scan, nothing remembered", goods.loose, verification_pb2.HISTORY_FIRST_SCAN),
            ("the same unit again", goods.loose, verification_pb2.HISTORY_SAME_DEVICE),
            ("a unit in a case on a pallet", goods.packed, verification_pb2.HISTORY_FIRST_SCAN),
        ):
            place.recorder.sent.clear()
            verdict = await asyncio.to_thread(trial.verify, server, code)
            if (verdict.outcome, verdict.history) != (verification_pb2.OUTCOME_GENUINE, history):
                raise Stop("TRIAL_WENT_WRONG", f"not the answer it has to be: {verdict}")
            runs.append(_Run(title, list(place.recorder.sent)))
        return runs

    return await _served(place, work)


async def _traces(place: trial.Place, goods: trial.Goods, key: str) -> list[_Run]:
    async def work(_: bootstrap.App, server: str) -> list[_Run]:
        runs = []
        for title, code, steps in (
            ("a trace of a unit that stands alone", goods.loose, 1),
            ("a trace of a unit in a case on a pallet", goods.packed, 4),
        ):
            place.recorder.sent.clear()
            found = await asyncio.to_thread(trial.trace, server, key, code)
            if len(found.steps) != steps:
                raise Stop("TRIAL_WENT_WRONG", f"not the answer it has to be: {found}")
            runs.append(_Run(title, list(place.recorder.sent)))
        return runs

    return await _served(place, work)


async def _served(place: trial.Place, work: Callable[[bootstrap.App, str], Awaitable[_T]]) -> _T:
    """Runs `work` against a service that was started for it."""
    from tracechain import bootstrap

    app = await place.build()
    try:
        server = await bootstrap.serve(app)
        try:
            return await work(app, f"127.0.0.1:{server.port}")
        finally:
            await server.stop(1.0)
    finally:
        await app.close()


def _counted(run: _Run) -> dict[str, list[Sent]]:
    found: dict[str, list[Sent]] = defaultdict(list)
    for sent in run.sent:
        found[sent.statement.name].append(sent)
    return found


def _keys(sent: list[Sent]) -> list[int]:
    return sorted({key for each in sent for key in each.keys})


def _plain(run: _Run, places: dict[int, int]) -> dict[str, Any]:
    return {
        "of": run.title,
        "batch_keys": _keys(run.sent),
        "statements": [
            {
                "name": name,
                "sql": sent[0].statement.sql,
                "table": sent[0].table,
                "times": len(sent),
                "batch_keys": _keys(sent),
                "shards": sorted({places[key] for key in _keys(sent)}),
            }
            for name, sent in _counted(run).items()
        ],
    }


def _show(run: _Run, places: dict[int, int]) -> None:
    keys = _keys(run.sent)
    console.print(Text(f"\n{run.title}", style="bold"))
    shards = len({places[key] for key in keys})
    console.print(f"{len(run.sent)} statements, {len(keys)} batch keys, {shards} shards")
    for name, sent in _counted(run).items():
        named = _keys(sent)
        where = (
            ", ".join(f"{key} (shard {places[key]})" for key in named)
            if named
            else "on every machine"
        )
        line = Text.assemble((f"  {len(sent)} × {name}", "bold"), f"  {sent[0].table}: {where}")
        console.print(line, soft_wrap=True)
        console.print(Text(f"      {sent[0].statement.sql}", style="dim"), soft_wrap=True)
