"""The rows of a snapshot by their columns, as the check of the log reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from tracechain.app.archive import Key, Snapshot, Table
from tracechain.app.archiving import Told
from tracechain.domain.batch_key import LOG_KEY

Row = Mapping[str, Any]


class LogRows:
    """A snapshot, its tables by name, and who hears how far it is read."""

    def __init__(self, snapshot: Snapshot, tables: Mapping[str, Table], told: Told) -> None:
        self._snapshot = snapshot
        self._tables = tables
        self._told = told

    async def count(self, name: str) -> int:
        """How many rows a table has."""
        return await self._snapshot.count(self._tables[name])

    async def pages(self, name: str) -> AsyncIterator[list[dict[str, Any]]]:
        """All rows of a table, in the order of its key, a page at a time."""
        table, names = self._tables[name], self._tables[name].names
        total, done = await self._snapshot.count(table), 0
        async for page in self._snapshot.pages(table):
            yield [dict(zip(names, row, strict=True)) for row in page]
            done += len(page)
            self._told(f"checking {name}", done, total)

    async def find(self, name: str, keys: Iterable[Key]) -> dict[Key, Row]:
        """The rows that have one of these keys, by them."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}
        table, names = self._tables[name], self._tables[name].names
        found = await self._snapshot.find(table, wanted)
        return {key: dict(zip(names, row, strict=True)) for key, row in found.items()}

    async def leaves(self, indices: Iterable[int]) -> dict[int, Row]:
        """The rows of leaves, by index."""
        found = await self.find("log_leaf", [(LOG_KEY, index) for index in indices])
        return {key[1]: row for key, row in found.items()}

    async def of_chains(self, keys: Iterable[int]) -> dict[int, list[Row]]:
        """The rows of the leaves that are in the chains of these keys, in their order."""
        chains = await self.find("log_chain", [(key,) for key in keys])
        wanted = [(key, n) for (key,), row in chains.items() for n in range(row["length"])]
        links = await self.find("log_link", wanted)
        leaves = await self.leaves(row["leaf_index"] for row in links.values())
        found: dict[int, list[Row]] = {}
        for key in wanted:
            if (link := links.get(key)) and (leaf := leaves.get(link["leaf_index"])):
                found.setdefault(key[0], []).append(leaf)
        return found
