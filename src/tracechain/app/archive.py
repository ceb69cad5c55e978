"""The port through which a whole store is read and filled: for export, import and checks.

A snapshot is of one moment, however long it is read and whatever is written meanwhile. A loading
is one transaction: where it fails, nothing of it is there. Both give and take pages of rows, so
that no store is too large for them. Errors are those of `ports`, and StoreRefused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tracechain.domain.errors import FailedPrecondition

Row = tuple[Any, ...]
Key = tuple[Any, ...]
# Rows of one page.
PAGE = 500


class StoreRefused(FailedPrecondition):
    """Work on a whole store that cannot be done. Its reasons are those of the command line; no
    method of the API raises them."""


class Kind(StrEnum):
    """What a column holds: int, str or bytes."""

    INTEGER = "integer"
    TEXT = "text"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of every backend; `optional` ones may hold None."""

    name: str
    kind: Kind
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of every backend. `key` is its primary key; integers compare as such, texts and
    bytes by their bytes. `of_goods`: it lies by batch_key, not on every machine."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    of_goods: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def key_places(self) -> tuple[int, ...]:
        """Where in a row the parts of its key are."""
        return tuple(self.names.index(name) for name in self.key)


class Snapshot(Protocol):
    """A store as it is at one moment."""

    async def count(self, table: Table) -> int:
        """How many rows it has."""

    def pages(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        """All rows, in the order of the primary key, a page at a time."""

    async def find(self, table: Table, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """The rows that have one of these primary keys, by them."""

    async def damage(self) -> list[str]:
        """What the database itself finds wrong with its files; at most a few."""

    async def warnings(self) -> list[str]:
        """Stable reasons of what weakens the store and damages nothing."""


class Loading(Snapshot, Protocol):
    """A store that is being filled; it reads what was put."""

    async def put(self, table: Table, rows: Sequence[Row]) -> None:
        """Adds rows. Raises StoreRefused VALUE_REFUSED for what this backend cannot hold."""


class Archive(Protocol):
    """One store, as a whole."""

    @property
    def tables(self) -> Sequence[Table]:
        """All that it has."""

    @property
    def newest(self) -> int:
        """The schema that this release knows."""

    async def version(self) -> int:
        """The schema that the store has; 0 where there is none. Changes nothing."""

    async def migrate(self) -> tuple[int, int]:
        """Brings the schema up to date; the version before and after. Raises Unavailable
        SCHEMA_TOO_NEW."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """The store at this moment. Raises StoreRefused STORE_MISSING where there is none."""

    def loading(self) -> AbstractAsyncContextManager[Loading]:
        """Migrates an empty store, and fills it in one transaction that ends with the block.
        Raises StoreRefused STORE_NOT_EMPTY where it has any row."""
