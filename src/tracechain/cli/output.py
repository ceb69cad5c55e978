"""How answers are printed: JSON for programs; words, tables and progress for people."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from tracechain.app.archiving import Told

console = Console(highlight=False)


def plain(message: Message) -> dict[str, Any]:
    """A message as JSON values, also those that are at their default."""
    found: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return found


def print_json(value: Any) -> None:
    """One JSON document on standard output; a message is turned into one."""
    if isinstance(value, Message):
        value = plain(value)
    print(json.dumps(value, ensure_ascii=False, indent=2))


def done(*words: str | tuple[str, str]) -> None:
    """A line that says that something was done."""
    console.print(Text.assemble(("✓ ", "bold green"), *words), soft_wrap=True)


def note(text: str) -> None:
    """A line beside the matter."""
    console.print(Text(text, style="dim"), soft_wrap=True)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """A table; numbers in the columns of `right` line up at their end."""
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=False
        )
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console.print(made)


def when(stamp: Timestamp) -> str:
    """A time for people, in their own time zone."""
    return stamp.ToDatetime(datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short(name: str, prefix: str) -> str:
    """The name of an enum's value without what all of them begin with, in small letters."""
    return name.removeprefix(prefix).replace("_", " ").lower()


def progress(*, on_stderr: bool = True) -> Progress:
    """A bar for long work; silent where nobody watches."""
    to = Console(stderr=on_stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=to,
        transient=True,
        disable=not to.is_terminal,
    )


@contextmanager
def table_progress() -> Iterator[Told]:
    """A bar with a line for each table of a store that is read."""
    with progress() as bar:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield told
