"""Every statement that this store can send, by name.

Promise: nothing reaches the server but what is registered here when the package is imported (and
the numbered migrations). So a test can hold all of it against the rules that keep the store fit
for a cluster: a statement that were put together at call time would escape it, and be found out
on the day that the tables are distributed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

EVERY: dict[str, Statement] = {}

# What the columns of rows that travel as arrays are; whatever is not named is a bigint.
_TYPES = {
    **dict.fromkeys(("event_id", "declaration", "record_id", "origin", "fact_id",
                    "entry", "salt", "hashes"), "bytea"),
    **dict.fromkeys(
        ("role", "type", "action", "step", "disposition", "recorder", "source", "destination",
         "read_point", "biz_location", "parent_uri", "body", "region", "first_region",
         "last_region", "devices", "party_gln", "credential_id", "method", "objects", "request_id",
         "outcome", "old_values", "new_values", "kind", "keys"),
        "text",
    ),
}  # fmt: skip
# Keys that one look-up names. The server sorts them again for each row that it looks for.
_KEYS = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; parameters are $1, $2, … `maintenance`: for work on a whole store, which no
    call of the API waits for, and which may therefore read every shard."""

    name: str
    sql: str
    maintenance: bool = False


def statement(name: str, sql: str, *, maintenance: bool = False) -> Statement:
    """Registers a statement, at import. Raises ValueError for a name that is taken."""
    if name in EVERY:
        raise ValueError(f"two statements are called {name}")
    EVERY[name] = made = Statement(name, " ".join(sql.split()), maintenance)
    return made


def rows(alias: str, columns: tuple[str, ...], first: int = 1) -> str:
    """A FROM item: rows that come as one array for each column, from parameter `first` on."""
    arrays = (f"${first + i}::{_TYPES.get(c, 'bigint')}[]" for i, c in enumerate(columns))
    return f"unnest({', '.join(arrays)}) AS {alias} ({', '.join(columns)})"


def columns(lines: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows as one array for each column."""
    return list(zip(*lines, strict=True))


def by_keys(lines: Iterable[Sequence[Any]]) -> list[list[Sequence[Any]]]:
    """Rows that begin with a batch key as the parameters of look-ups that name few keys each:
    for each look-up its keys, and then the rows' columns."""
    calls: list[tuple[list[int], list[Sequence[Any]]]] = []
    for key, some in groupby(sorted(lines, key=_first), _first):
        if not calls or len(calls[-1][0]) == _KEYS:
            calls.append(([], []))
        calls[-1][0].append(key)
        calls[-1][1].extend(some)
    return [[keys, *columns(some)] for keys, some in calls]


def _first(line: Sequence[Any]) -> int:
    key: int = line[0]
    return key
