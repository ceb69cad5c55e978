"""A whole store to a file and back, with nothing lost: from any backend to any other.

The file is gzip of JSON lines in UTF-8. The first is the head: {"format": "tracechain-store/v1",
"schema": 1, "tables": [{"name", "columns": [[name, kind], …], "rows"}, …]}. Then, for each table
of it in turn, its rows in the order of its primary key, one array a line, bytes as base64. The
last line is {"end": {table: {"rows", "sha256"}, …}}: SHA-256 over the table's lines with their
line feeds. One store gives one file, byte for byte, whichever backend it is in.

The hashes find damage and cuts; they are no signature. The file holds wrapped keys and hashes of
credentials: whoever has it and the key-encryption key can sign as every issuer.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from tracechain.app.archive import PAGE, Archive, Kind, Row, Snapshot, StoreRefused, Table
from tracechain.domain.errors import Unavailable

FORMAT = "tracechain-store/v1"
# No row is longer: the largest holds one event, or one document's list of events.
_LONGEST_LINE = 1 << 26
_TYPES: dict[Kind, type] = {Kind.INTEGER: int, Kind.TEXT: str, Kind.BYTES: str}
# Hears of each page: the table, how many rows of it are through, and how many there are.
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Sum:
    """What a table held: how many rows, and the hash over them."""

    rows: int
    sha256: str


async def export_store(archive: Archive, target: BinaryIO, told: Told) -> dict[str, Sum]:
    """Writes the store as it is at this moment to `target`; what each table held.

    Raises StoreRefused SCHEMA_TOO_OLD for a store that has to be migrated first, Unavailable.
    """
    await require_newest(archive)
    async with archive.snapshot() as snapshot:
        counts = {table.name: await snapshot.count(table) for table in archive.tables}
        sums = {}
        # No name and no time: the same store is the same file.
        with gzip.GzipFile("", "wb", 5, target, mtime=0) as packed:
            packed.write(_line(_head(archive.tables, archive.newest, counts)))
            for table in archive.tables:
                sums[table.name] = await _sum(
                    snapshot, table, packed.write, told, counts[table.name]
                )
            packed.write(_line({"end": {n: {"rows": s.rows, "sha256": s.sha256}
                                        for n, s in sums.items()}}))  # fmt: skip
    return sums


async def import_store(archive: Archive, source: BinaryIO, told: Told) -> dict[str, Sum]:
    """Fills an empty store from a file that export_store wrote, reads it back, and compares
    before it commits; what each table holds. Where it raises, the store is as empty as before.

    Raises StoreRefused STORE_NOT_EMPTY, ARCHIVE_UNKNOWN (no such file), ARCHIVE_TOO_OLD,
    ARCHIVE_CUT_OFF, ARCHIVE_ALTERED, VALUE_REFUSED, IMPORT_DIFFERS; Unavailable SCHEMA_TOO_NEW.
    """
    reader = _Reader(source)
    counts = _counts(reader.head(), archive)
    async with archive.loading() as loading:
        sums = {}
        for table in archive.tables:
            total, done, hashed = counts[table.name], 0, hashlib.sha256()
            while done < total:
                lines = [reader.line() for _ in range(min(PAGE, total - done))]
                for line in lines:
                    hashed.update(line)
                await loading.put(table, [_row(table, line) for line in lines])
                done += len(lines)
                told(f"reading {table.name}", done, total)
            sums[table.name] = Sum(done, hashed.hexdigest())
        reader.end(sums)
        for table in archive.tables:
            kept = await _sum(loading, table, None, told, counts[table.name])
            if kept != sums[table.name]:
                raise StoreRefused(
                    "IMPORT_DIFFERS",
                    f"{table.name} as read back is not what the file holds: {kept.rows} rows "
                    f"instead of {sums[table.name].rows}, or other content; nothing was kept",
                )
    return sums


async def require_newest(archive: Archive) -> None:
    """Raises StoreRefused STORE_MISSING and SCHEMA_TOO_OLD, and Unavailable SCHEMA_TOO_NEW, unless
    the store has this release's schema."""
    version = await archive.version()
    if version == 0:
        raise StoreRefused("STORE_MISSING", "there is no store here")
    if version < archive.newest:
        raise StoreRefused(
            "SCHEMA_TOO_OLD",
            f"the store has schema {version}, this release needs {archive.newest}",
        )
    _not_newer(version, archive.newest, "store")


async def _sum(
    snapshot: Snapshot,
    table: Table,
    write: Callable[[bytes], object] | None,
    told: Told,
    total: int,
) -> Sum:
    """Reads a table; what it held. `write` gets its lines."""
    hashed, done = hashlib.sha256(), 0
    places = [n for n, column in enumerate(table.columns) if column.kind is Kind.BYTES]
    async for page in snapshot.pages(table):
        lines = b"".join(_line(_values(row, places)) for row in page)
        hashed.update(lines)
        if write is not None:
            write(lines)
        done += len(page)
        told(f"{'writing' if write else 'comparing'} {table.name}", done, total)
    return Sum(done, hashed.hexdigest())


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _values(row: Row, places: Sequence[int]) -> list[Any]:
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = base64.b64encode(values[place]).decode()
    return values


def _row(table: Table, line: bytes) -> Row:
    values = _json(line)
    if not isinstance(values, list) or len(values) != len(table.columns):
        raise _altered(f"a row of {table.name} has other columns")
    for place, (column, value) in enumerate(zip(table.columns, values, strict=True)):
        if value is None and column.optional:
            continue
        if type(value) is not _TYPES[column.kind]:
            raise _altered(f"{table.name}.{column.name} is no {column.kind}")
        if column.kind is Kind.TEXT and "\x00" in str(value):
            # PostgreSQL cannot hold it, so no store may, or it could not be moved any more.
            raise StoreRefused("VALUE_REFUSED", f"{table.name}.{column.name} holds U+0000")
        if column.kind is Kind.BYTES:
            try:
                values[place] = base64.b64decode(str(value), validate=True)
            except binascii.Error:
                raise _altered(f"{table.name}.{column.name} is no base64") from None
    return tuple(values)


def _head(tables: Sequence[Table], schema: int, counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "schema": schema,
        "tables": [
            {
                "name": table.name,
                "columns": [[column.name, column.kind.value] for column in table.columns],
                "rows": counts[table.name],
            }
            for table in tables
        ],
    }


def _counts(head: Any, archive: Archive) -> dict[str, int]:
    """How many rows of each table a file announces, once it is known to fit."""
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise StoreRefused("ARCHIVE_UNKNOWN", f"this is no file of the format {FORMAT}")
    schema = head.get("schema")
    if type(schema) is not int:
        raise _altered("it names no schema")
    _not_newer(schema, archive.newest, "file")
    if schema < archive.newest:
        raise StoreRefused(
            "ARCHIVE_TOO_OLD", f"the file has schema {schema}, this release needs {archive.newest}"
        )
    try:
        counts = {str(table["name"]): int(table["rows"]) for table in head["tables"]}
        fits = head == _head(archive.tables, schema, counts)
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise _altered("its tables are not those of its schema")
    return counts


def _not_newer(version: int, newest: int, what: str) -> None:
    if version > newest:
        raise Unavailable(
            "SCHEMA_TOO_NEW", f"the {what} has schema {version}, this release knows {newest}"
        )


class _Reader:
    """The lines of a file that may be cut off, altered, or something else altogether."""

    def __init__(self, source: BinaryIO) -> None:
        self._packed = gzip.GzipFile(fileobj=source, mode="rb")

    def head(self) -> Any:
        try:
            return _json(self.line())
        except StoreRefused as error:
            if error.reason == "ARCHIVE_CUT_OFF":
                raise
            raise StoreRefused(
                "ARCHIVE_UNKNOWN", f"this is no file of the format {FORMAT}"
            ) from error

    def line(self) -> bytes:
        line = self._read(lambda: self._packed.readline(_LONGEST_LINE))
        if len(line) == _LONGEST_LINE:
            raise _altered("a line has no end")
        if not line.endswith(b"\n"):
            raise StoreRefused("ARCHIVE_CUT_OFF", "the file ends before its end: it was cut off")
        return line

    def end(self, sums: Mapping[str, Sum]) -> None:
        """Raises StoreRefused where the last line does not say `sums`, or is not the last."""
        said = _json(self.line())
        told = said.get("end") if isinstance(said, dict) else None
        if not isinstance(told, dict):
            raise _altered("it holds more rows than it announces")
        for name, found in sums.items():
            if told.get(name) != {"rows": found.rows, "sha256": found.sha256}:
                raise _altered(f"the rows of {name} are not those that were written")
        # Reading on to the end also checks the checksum of gzip.
        if self._read(lambda: self._packed.read(1)):
            raise _altered("something stands behind its end")

    def _read(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except EOFError:
            raise StoreRefused(
                "ARCHIVE_CUT_OFF", "the file ends before its end: it was cut off"
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise _altered(str(error)) from error


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise _altered("a line is no JSON") from None


def _altered(how: str) -> StoreRefused:
    return StoreRefused("ARCHIVE_ALTERED", f"the file was altered or damaged: {how}")
