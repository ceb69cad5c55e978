"""A whole store on its way: to a file, into another backend and back, and checked on the spot.

What must never happen: a row is lost or changed on the way and nobody says so, a file that is not
whole gets in, or an import that failed leaves something behind.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import itertools
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import postgres_server
from tests.support.service import gln_of, gtin_of
from tests.support.stores import (
    RULES,
    approval,
    audit_record,
    batch,
    credential,
    digest,
    event,
    event_id,
    issuer_key,
    mark,
    order,
    party,
    product,
    recall,
    scan,
    thing,
    touch,
)
from tracechain.adapters.postgres import open_store as open_postgres
from tracechain.adapters.postgres.archive import PostgresArchive
from tracechain.adapters.postgres.tenancy import SERVICE_SETTINGS
from tracechain.adapters.sqlite import open_store as open_sqlite
from tracechain.adapters.sqlite.archive import SqliteArchive
from tracechain.adapters.tables import BY_NAME, TABLES
from tracechain.app.archive import Archive, Kind, Row, StoreRefused, Table
from tracechain.app.archiving import Sum, export_store, import_store
from tracechain.app.checking import check_store
from tracechain.app.ports import Store, StoredDocument, StoredSecret
from tracechain.domain.approval import ApprovalState
from tracechain.domain.batch_key import derived
from tracechain.domain.claim import ClaimAttempt
from tracechain.domain.errors import TracechainError, Unavailable
from tracechain.domain.keys import JudgeEarlier
from tracechain.domain.link_set import Link, LinkSet
from tracechain.domain.party import CredentialKind
from tracechain.domain.report import Report, ReportKind
from tracechain.domain.text import LocalizedText

BIG = (1 << 63) - 1


@dataclass(frozen=True)
class Place:
    """Where one store is, and ways to it: as a whole, as a service, and behind its back."""

    archive: Archive
    open: Callable[[], Awaitable[Store]]
    run: Callable[[str], Awaitable[list[tuple[Any, ...]]]]

    async def exported(self) -> bytes:
        """The store as a file."""
        target = io.BytesIO()
        await export_store(self.archive, target, quiet)
        return target.getvalue()

    async def imported(self, file: bytes) -> dict[str, Sum]:
        """Fills the store from a file."""
        return await import_store(self.archive, io.BytesIO(file), quiet)

    async def rows(self) -> dict[str, int]:
        """How many rows each table has; counters that were used."""
        async with self.archive.snapshot() as snapshot:
            counts = {table.name: await snapshot.count(table) for table in TABLES}
        used = await self.run("SELECT 1 FROM counter WHERE value <> 0")
        return {**counts, "counter": len(used)}


def quiet(what: str, done: int, total: int) -> None:
    """Hears of progress."""
    assert what
    assert 0 < done <= total


def unrandom() -> Callable[[int], bytes]:
    """Bytes for salts, other ones at each call, the same for each store."""
    numbers = itertools.count(1)
    return lambda count: next(numbers).to_bytes(count)


def sqlite_at(path: Path) -> Place:
    """A store in a file."""

    async def run(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(sql).fetchall()

    return Place(
        SqliteArchive(path), lambda: open_sqlite(path, RULES, random_bytes=unrandom()), run
    )


def postgres_at(url: str) -> Place:
    """A store in a database."""

    async def run(sql: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url, server_settings=SERVICE_SETTINGS)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return Place(
        PostgresArchive(url),
        lambda: open_postgres(url, RULES, connections=4, random_bytes=unrandom()),
        run,
    )


async def fill(store: Store) -> None:
    """Puts something into every table, with values at their edges."""
    issuer = await store.put_party(party(1))
    await store.put_party(party(2, display_name=LocalizedText("", ""), region="659012"))
    await store.put_credential(credential(1, issuer.gln))
    await store.put_credential(credential(2, issuer.gln, region="", label="", expire_time=BIG))
    await store.put_credential(
        credential(3, issuer.gln, kind=CredentialKind.CERTIFICATE, scopes=("AdminService", "read"))
    )
    await store.note_uses([credential(3, issuer.gln).credential_id], BIG)
    await store.revoke_credential(credential(2, issuer.gln).credential_id, BIG)
    for name in ("k1", "k2"):
        key_id = await store.reserve_key_id()
        await store.put_key(issuer_key(key_id, issuer.gln, name, activate_time=key_id))
    for name in ("a1", "a2"):
        await store.put_approval(approval(name, issuer.gln))
    await store.decide_approval("a2", ApprovalState.APPROVED, issuer.gln, "c", BIG)
    await store.put_secret(StoredSecret("service", bytes(range(256)), b"", BIG))
    await store.retire_key(2, BIG, 4)
    await store.revoke_key(2, 5, JudgeEarlier.REFUSE, "泄露", 6)
    await store.put_product(product(1, issuer.gln))
    lot = await store.put_batch(batch(gtin_of(1), "批-1"))
    other = await store.put_batch(batch(gtin_of(1), "L’2", quantity=1 << 32))
    await store.raise_quantity(lot.batch_number, 120, "raise", issuer.gln, "加产", 7)
    await store.allocate(order(lot.batch_number, "o1", 30))
    await store.allocate(order(lot.batch_number, "o2", 12, key_id=2))
    await store.allocate(order(lot.batch_number, "much", 10_000))
    await store.allocate(order(other.batch_number, "all", 1 << 32))
    await store.put_recall(recall(lot.batch_number, "r1"))
    await store.put_recall(recall(lot.batch_number, "r2"))
    await store.lift_recall(lot.batch_number, "r2", BIG, "")
    case = derived("https://id.gs1.org/00/069012345000000028")
    packed, moved = digest("packed", 3), digest("moved", BIG - 5)
    in_case = replace(
        touch(lot.batch_number, 0, 20, packed), parent=replace(thing(case, 0), uri="urn:case")
    )
    fixed = replace(digest("moved", 5), declaration=mark("declaration"))
    everywhere = touch(other.batch_number, 0, 1 << 32, moved, is_class=True)
    await store.append_events(
        [
            event(packed, [touch(case, 0, 1, packed), in_case], '{"n":"🍶\\u0000 \\\\ \'"}'),
            event(moved, [touch(case, 0, 1, moved), everywhere]),
            event(fixed, [touch(case, 0, 1, fixed)]),
        ]
    )
    await store.put_document(
        StoredDocument("d", issuer.gln, "", ((event_id("packed"), b""), "REFUSED"), 9)
    )
    await store.record_scans([scan(lot.batch_number, n % 7, n, n * 40_000_000) for n in range(40)])
    await store.record_scans([scan(other.batch_number, (1 << 32) - 1, "last", BIG - 1, region="")])
    await store.claim(ClaimAttempt(lot.batch_number, 0, mark("a"), 10, pin_is_right=True))
    await store.claim(ClaimAttempt(lot.batch_number, 1, mark("a"), 10, pin_is_right=False))
    link = Link("gs1:pip", "https://brand.example/酒"[:22], "网站", "zh", "", "text/html")
    await store.put_links(lot.batch_number, LinkSet((link, replace(link, title="'")), BIG))
    await store.put_links(derived(f"https://id.gs1.org/01/{gtin_of(1)}"), LinkSet((), 0))
    said = Report("0" * 32, "210102", ReportKind.OTHER, "标签\\", "x", "", "", BIG)
    await store.put_report(derived("urn:tracechain:reports:21"), said, bytes(range(256)))
    await store.put_report(derived("urn:tracechain:reports:22"), said, None)
    await store.append_audit([audit_record(1), audit_record(2, time=BIG, role="", calls=BIG)])
    fence = await store.take_log_lease("node", 1, BIG)
    assert fence is not None
    waiting = (await store.pending_facts())[0]
    head = await store.sequence(fence, waiting - 1)
    assert head is not None
    assert await store.put_checkpoint(fence, head.size, "note — 注".encode())


async def filled_at(place: Place) -> None:
    store = await place.open()
    try:
        await fill(store)
    finally:
        await store.close()


@pytest.fixture(scope="module")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full SQLite store that nobody has open: to be copied."""
    path = tmp_path_factory.mktemp("archive") / "store.sqlite3"
    asyncio.run(filled_at(sqlite_at(path)))
    return path


@pytest.fixture(scope="module")
def filled_database() -> Iterator[str]:
    """The name of a full PostgreSQL store that nobody has open: a template."""
    server = postgres_server.shared()
    url = asyncio.run(server.database("archive, filled"))
    asyncio.run(filled_at(postgres_at(url)))
    yield url.rpartition("/")[2]
    asyncio.run(server.drop("archive, filled"))


@pytest.fixture
async def empty_database(tmp_path: Path) -> AsyncIterator[Place]:
    """A database with nothing in it."""
    server = postgres_server.shared()
    yield postgres_at(await server.database((tmp_path, "empty")))
    await server.drop((tmp_path, "empty"))


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Place) -> Place:
    """A place without a store, of each backend."""
    return sqlite_at(tmp_path / "new" / "x") if request.param == "sqlite" else empty_database


@pytest.fixture(params=["sqlite", "postgres"])
async def full(
    request: pytest.FixtureRequest, tmp_path: Path, filled_file: Path, filled_database: str
) -> AsyncIterator[Place]:
    """A store of each backend that holds something in every table."""
    if request.param == "sqlite":
        shutil.copy(filled_file, tmp_path / "full")
        yield sqlite_at(tmp_path / "full")
        return
    server = postgres_server.shared()
    yield postgres_at(await server.database((tmp_path, "full"), filled_database))
    await server.drop((tmp_path, "full"))


@pytest.fixture(scope="module")
def good(filled_file: Path) -> bytes:
    """A file of a full store."""
    return asyncio.run(sqlite_at(filled_file).exported())


def lines_of(file: bytes) -> list[Any]:
    """A file's lines as values."""
    return [json.loads(line) for line in gzip.decompress(file).splitlines()]


def packed(lines: list[Any]) -> bytes:
    """A file of such lines."""
    said = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
    return gzip.compress("".join(f"{line}\n" for line in said).encode(errors="surrogatepass"))


async def test_a_store_moves_to_the_other_backend_and_back_to_the_byte(
    tmp_path: Path, filled_file: Path, good: bytes, empty_database: Place
) -> None:
    counts = await sqlite_at(filled_file).rows()
    assert min(counts.values()) > 0, counts
    there = await empty_database.imported(good)
    assert {name: found.rows for name, found in there.items()} == counts
    moved = await empty_database.exported()
    assert moved == good
    back = sqlite_at(tmp_path / "back.sqlite3")
    assert await back.imported(moved) == there
    assert await back.exported() == good
    for place in (empty_database, back):
        assert not (await check_store(place.archive, quiet)).counts
        store = await place.open()
        # It goes on where it was: numbers are not given twice, a repeated scan is known.
        assert await store.reserve_key_id() == 3
        assert (await store.put_batch(batch(gtin_of(1), "new"))).batch_number == 3
        (again,) = await store.record_scans([scan(1, 0, 99, 10**12)])
        assert again.history.before is not None
        assert again.claim_time == 10
        await store.close()


async def test_each_backend_writes_the_same_file(full: Place, good: bytes) -> None:
    # Keys that this fill made are those of the other one; so is all else.
    assert await full.exported() == good


async def test_an_empty_store_moves_too(empty: Place, tmp_path: Path) -> None:
    assert await empty.archive.migrate() == (0, empty.archive.newest)
    assert await empty.archive.migrate() == (empty.archive.newest,) * 2
    file = await empty.exported()
    other = sqlite_at(tmp_path / "other")
    await other.imported(file)
    assert await other.exported() == file


async def test_where_there_is_no_store_nothing_is_made(empty: Place, tmp_path: Path) -> None:
    for work in (empty.exported(), check_store(empty.archive, quiet)):
        with pytest.raises(StoreRefused) as refused:
            await work
        assert refused.value.reason == "STORE_MISSING"
    assert await empty.archive.version() == 0
    assert not (tmp_path / "new").exists()


async def test_a_store_that_holds_anything_is_not_filled(full: Place, good: bytes) -> None:
    with pytest.raises(StoreRefused) as refused:
        await full.imported(good)
    assert refused.value.reason == "STORE_NOT_EMPTY"
    assert await full.exported() == good


async def test_a_used_counter_is_something(empty: Place, good: bytes) -> None:
    store = await empty.open()
    await store.reserve_key_id()
    await store.close()
    with pytest.raises(StoreRefused) as refused:
        await empty.imported(good)
    assert refused.value.reason == "STORE_NOT_EMPTY"


def _edited(lines: list[Any], edit: Callable[[list[Any]], object]) -> bytes:
    copy = json.loads(json.dumps(lines))
    edit(copy)
    return packed(copy)


def _first(lines: list[Any], table: str) -> int:
    place = 1
    for told in lines[0]["tables"]:
        if told["name"] == table:
            return place
        place += int(told["rows"])
    raise AssertionError(table)


def _set(table: str, column: str, value: object) -> Callable[[list[Any]], object]:
    def edit(lines: list[Any]) -> None:
        lines[_first(lines, table)][BY_NAME[table].names.index(column)] = value

    return edit


def _head(**values: object) -> Callable[[list[Any]], object]:
    return lambda lines: lines[0].update(values)


BAD: dict[str, tuple[Callable[[list[Any]], object], str]] = {
    "another format": (_head(format="tracechain-store/v2"), "ARCHIVE_UNKNOWN"),
    "no head": (lambda lines: lines.__setitem__(0, [1]), "ARCHIVE_UNKNOWN"),
    "of a newer release": (_head(schema=999), "SCHEMA_TOO_NEW"),
    "of an older release": (_head(schema=0), "ARCHIVE_TOO_OLD"),
    "no schema": (_head(schema="1"), "ARCHIVE_ALTERED"),
    "schema is true": (_head(schema=True), "ARCHIVE_ALTERED"),
    "a table less": (lambda lines: lines[0]["tables"].pop(), "ARCHIVE_ALTERED"),
    "no tables": (_head(tables=7), "ARCHIVE_ALTERED"),
    "a column less": (lambda lines: lines[0]["tables"][0]["columns"].pop(), "ARCHIVE_ALTERED"),
    "rows below zero": (lambda lines: lines[0]["tables"][0].update(rows=-1), "ARCHIVE_ALTERED"),
    "a row less": (lambda lines: lines.pop(_first(lines, "scan")), "ARCHIVE_ALTERED"),
    "a row twice": (lambda lines: lines.insert(1, lines[1]), "VALUE_REFUSED"),
    "rows swapped": (lambda lines: lines.__setitem__(slice(1, 3), [lines[2], lines[1]]),
                     "ARCHIVE_ALTERED"),
    "a row too short": (lambda lines: lines[1].pop(), "ARCHIVE_ALTERED"),
    "a row that is none": (lambda lines: lines.__setitem__(1, {}), "ARCHIVE_ALTERED"),
    "another number": (_set("batch", "issued_quantity", 41), "ARCHIVE_ALTERED"),
    "a fraction": (_set("batch", "issued_quantity", 41.0), "ARCHIVE_ALTERED"),
    "true for a number": (_set("batch", "issued_quantity", True), "ARCHIVE_ALTERED"),
    "null where none may be": (_set("batch", "lot", None), "ARCHIVE_ALTERED"),
    "no base64": (_set("issuer_key", "public_key", "%"), "ARCHIVE_ALTERED"),
    "U+0000": (_set("party", "body", "a\x00b"), "VALUE_REFUSED"),
    "half a character": (_set("party", "body", "\ud800"), "VALUE_REFUSED"),
    "a number too large": (_set("batch", "create_time", BIG + 1), "VALUE_REFUSED"),
    "one key for two": (lambda lines: lines.__setitem__(2, lines[1]), "VALUE_REFUSED"),
    "another hash": (lambda lines: lines[-1]["end"]["scan"].update(sha256="00"),
                     "ARCHIVE_ALTERED"),
    "no hash": (lambda lines: lines[-1]["end"].pop("scan"), "ARCHIVE_ALTERED"),
    "no end": (lambda lines: lines.pop(), "ARCHIVE_CUT_OFF"),
    "something behind": (lambda lines: lines.append("more"), "ARCHIVE_ALTERED"),
}  # fmt: skip


async def test_a_file_that_is_not_whole_and_right_leaves_nothing(empty: Place, good: bytes) -> None:
    lines = lines_of(good)
    assert packed(lines) != good  # another time and level; what is in it is the same
    for what, (edit, reason) in BAD.items():
        with pytest.raises(TracechainError) as refused:
            await empty.imported(_edited(lines, edit))
        assert refused.value.reason == reason, what
        if await empty.archive.version():
            assert sum((await empty.rows()).values()) == 0, what
    await empty.imported(good)
    assert await empty.exported() == good


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "ARCHIVE_CUT_OFF"),
        (b"EPCIS,2.0\n", "ARCHIVE_UNKNOWN"),
        (gzip.compress(b"\x00" * 100 + b"\n", mtime=0), "ARCHIVE_UNKNOWN"),
        (gzip.compress(b"[" * 100_000 + b"\n", mtime=0), "ARCHIVE_UNKNOWN"),
        (gzip.compress(b"no line feed", mtime=0), "ARCHIVE_CUT_OFF"),
        (gzip.compress(bytes(1 << 27), mtime=0), "ARCHIVE_UNKNOWN"),
    ],
    ids=["empty", "text", "binary", "deep", "cut", "endless"],
)
async def test_other_files_are_told_apart(tmp_path: Path, file: bytes, reason: str) -> None:
    with pytest.raises(StoreRefused) as refused:
        await sqlite_at(tmp_path / "x").imported(file)
    assert refused.value.reason == reason


async def test_a_file_cut_anywhere_is_said_to_be_cut(tmp_path: Path, good: bytes) -> None:
    place = sqlite_at(tmp_path / "x")
    for length in range(10, len(good), len(good) // 40):
        with pytest.raises(StoreRefused) as refused:
            await place.imported(good[:length])
        assert refused.value.reason == "ARCHIVE_CUT_OFF", length
    with pytest.raises(StoreRefused):
        await place.imported(good + good)
    await place.imported(good)


async def test_a_file_with_any_byte_changed_gives_the_same_store_or_none(
    tmp_path: Path, good: bytes
) -> None:
    refused = 0
    for at in range(0, len(good), max(1, len(good) // 60)):
        place = sqlite_at(tmp_path / f"{at}")
        changed = good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :]
        try:
            await place.imported(changed)
        except StoreRefused:
            refused += 1
        else:
            # The head of gzip has bytes that say nothing of what is in it.
            assert at < 10
            assert await place.exported() == good
    assert refused > 50


async def test_what_is_read_back_otherwise_is_not_kept(
    empty: Place, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with empty.archive.loading() as loading:
        kind = type(loading)
    put = kind.put

    async def forgetful(self: Any, table: Table, rows: list[Row]) -> None:
        await put(self, table, rows[1:] if table.name == "scan" else rows)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "put", forgetful)
        with pytest.raises(StoreRefused) as refused:
            await empty.imported(good)
    assert refused.value.reason == "IMPORT_DIFFERS"
    assert sum((await empty.rows()).values()) == 0


VALUES = {
    Kind.INTEGER: st.integers(-(1 << 63), BIG),
    Kind.TEXT: st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    Kind.BYTES: st.binary(),
}


def some_rows(table: Table) -> st.SearchStrategy[list[Row]]:
    """Rows of any values that a table can hold, no two with one key."""
    row = st.tuples(
        *(
            st.none() | VALUES[column.kind] if column.optional else VALUES[column.kind]
            for column in table.columns
        )
    )
    places = table.key_places
    return st.lists(row, unique_by=lambda r: tuple(r[p] for p in places), max_size=8)


class Enough(Exception):
    """Leaves a loading, so that nothing of it is kept."""


@pytest.mark.parametrize("name", ["recall", "event", "claim_try", "scan", "touch"])
async def test_both_backends_hold_and_order_all_values_alike(
    name: str, tmp_path: Path, empty_database: Place
) -> None:
    table = BY_NAME[name]
    places = (sqlite_at(tmp_path / "x"), empty_database)
    for place in places:
        await place.archive.migrate()
    loop = asyncio.get_running_loop()

    async def kept(place: Place, rows: list[Row]) -> list[Row]:
        found: list[Row] = []
        try:
            async with place.archive.loading() as loading:
                if rows:
                    await loading.put(table, rows)
                async for page in loading.pages(table):
                    found += page
                keys = [tuple(row[p] for p in table.key_places) for row in rows]
                assert len(await loading.find(table, keys)) == len(rows)
                raise Enough
        except Enough:
            return [tuple(row) for row in found]

    @given(some_rows(table))
    @settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def hold(rows: list[Row]) -> None:
        async def both() -> None:
            one, other = [await kept(place, rows) for place in places]
            assert one == other
            assert sorted(map(repr, one)) == sorted(map(repr, rows))

        asyncio.run_coroutine_threadsafe(both(), loop).result(60)

    await asyncio.to_thread(hold)


async def test_an_export_is_of_one_moment_while_writes_go_on(full: Place, tmp_path: Path) -> None:
    store = await full.open()
    stop = asyncio.Event()
    wrote = 0

    async def write() -> None:
        nonlocal wrote
        while not stop.is_set():
            wrote += 1
            lot = await store.put_batch(batch(gtin_of(1), f"W{wrote}"))
            await store.allocate(order(lot.batch_number, "o", 3))
            said = digest(("written", wrote), wrote)
            await store.append_events([event(said, [touch(lot.batch_number, 0, 3, said)])])
            await store.record_scans([scan(lot.batch_number, n, (wrote, n), n) for n in range(3)])

    writers = [asyncio.create_task(write())]
    try:
        async with full.archive.snapshot() as snapshot:
            before = {table.name: await snapshot.count(table) for table in TABLES}
            at_first = wrote
            while wrote < at_first + 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            for table in TABLES:
                assert await snapshot.count(table) == before[table.name]
                assert (
                    sum([len(page) async for page in snapshot.pages(table)]) == before[table.name]
                )
        files = [await full.exported() for _ in range(3)]
    finally:
        stop.set()
        await asyncio.gather(*writers)
        await store.close()
    for number, file in enumerate(files):
        copy = sqlite_at(tmp_path / f"copy{number}")
        await copy.imported(file)
        found = await check_store(copy.archive, quiet)
        assert not found.counts, found
        assert found.rows["scan"] > 41


KEY = derived("no such thing")
# What is done behind the store's back, and what the check says of it.
PLANTED: dict[str, tuple[str, str]] = {
    "credential": ("UPDATE credential SET party_gln = '1' WHERE credential_id LIKE '%1'",
                   "PARTY_MISSING"),
    "key": (f"UPDATE issuer_key SET issuer_gln = '{gln_of(3)}' WHERE key_id = 1", "PARTY_MISSING"),
    "party": (f"DELETE FROM party WHERE gln = '{gln_of(1)}'", "PARTY_MISSING"),
    "product": ("DELETE FROM product", "PRODUCT_MISSING"),
    "lot": ("DELETE FROM product_lot WHERE batch_number = 1", "LOT_MISSING"),
    "another's lot": ("UPDATE product_lot SET batch_number = 1 WHERE batch_number = 2",
                      "LOT_OF_ANOTHER_BATCH"),
    "batch": ("DELETE FROM batch WHERE batch_key = 2", "BATCH_MISSING"),
    "raise": ("UPDATE quantity_raise SET batch_key = 77", "BATCH_MISSING"),
    "order": ("UPDATE allocation SET batch_key = 77 WHERE request_id = 'all'", "BATCH_MISSING"),
    "refusal": ("UPDATE refused_order SET batch_key = 77", "BATCH_MISSING"),
    "recall": ("UPDATE recall SET batch_key = 77 WHERE recall_id = 'r1'", "BATCH_MISSING"),
    "touch": ("UPDATE touch SET batch_key = 77 WHERE batch_key = 2", "BATCH_MISSING"),
    "history": ("UPDATE unit_scan SET batch_key = 77 WHERE batch_key = 2", "BATCH_MISSING"),
    "claim": ("UPDATE claim SET batch_key = 77", "BATCH_MISSING"),
    "owner": ("UPDATE batch SET issuer_gln = '' WHERE batch_key = 1", "OWNER_WRONG"),
    "order's owner": (f"UPDATE allocation SET issuer_gln = '{gln_of(2)}'", "OWNER_WRONG"),
    "order's key": ("DELETE FROM issuer_key WHERE key_id = 2", "KEY_MISSING"),
    "event": ("DELETE FROM event WHERE event_time = 3", "EVENT_MISSING"),
    "event's time": ("UPDATE touch SET event_time = 4 WHERE event_time = 3", "EVENT_MISSING"),
    "event's key": (f"UPDATE event SET batch_key = {KEY} WHERE event_time = 3", "KEY_WRONG"),
    "document's key": (f"UPDATE document SET batch_key = {KEY}", "KEY_WRONG"),
    "size class": ("UPDATE touch SET level = 0 WHERE batch_key = 1", "TOUCH_MISFILED"),
    "batch numbers": ("UPDATE counter SET value = 1 WHERE name = 'batch_number'",
                      "COUNTER_BEHIND"),
    "key numbers": ("DELETE FROM counter WHERE name = 'key_id'", "COUNTER_BEHIND"),
    "issued": ("UPDATE batch SET issued_quantity = 121 WHERE batch_key = 1",
               "ISSUED_BEYOND_AUTHORIZED"),
    "issued more": ("UPDATE batch SET issued_quantity = 43 WHERE batch_key = 1",
                    "CODES_WITHOUT_ORDER"),
    "issued less": ("UPDATE batch SET issued_quantity = 41 WHERE batch_key = 1",
                    "ORDER_BEYOND_ISSUED"),
    "gap": ("DELETE FROM allocation WHERE request_id = 'o1'", "CODES_WITHOUT_ORDER"),
    "overlap": ("UPDATE allocation SET first_index = 29, count = 13 WHERE request_id = 'o2'",
                "ORDERS_OVERLAP"),
    "no history": ("DELETE FROM unit_scan WHERE batch_key = 1 AND unit = 3", "HISTORY_MISSING"),
    "no last history": ("DELETE FROM unit_scan WHERE batch_key = 2", "HISTORY_MISSING"),
    "count": ("UPDATE unit_scan SET count = count - 1 WHERE batch_key = 1 AND unit = 3",
              "SCANS_UNCOUNTED"),
}  # fmt: skip


async def test_a_sound_store_has_nothing_wrong(full: Place) -> None:
    found = await check_store(full.archive, quiet)
    assert not found.counts, found
    assert found.rows == {**await full.rows(), "counter": 2}


async def planted(place: Place, what: str) -> None:
    sql, kind = PLANTED[what]
    await place.run(sql)
    found = await check_store(place.archive, quiet)
    assert found.counts[kind] > 0, found
    assert found.first[kind]
    # What follows from it may be said as well; nothing that is unrelated.
    assert len(found.counts) <= 3, found


@pytest.mark.parametrize("what", PLANTED)
async def test_a_difference_is_found_and_named(
    tmp_path: Path, filled_file: Path, what: str
) -> None:
    shutil.copy(filled_file, tmp_path / "full")
    await planted(sqlite_at(tmp_path / "full"), what)


@pytest.mark.parametrize("what", ["credential", "event", "order", "touch", "no last history"])
async def test_it_is_found_in_postgresql_as_well(
    tmp_path: Path, filled_database: str, what: str
) -> None:
    server = postgres_server.shared()
    await planted(postgres_at(await server.database((tmp_path, "full"), filled_database)), what)
    await server.drop((tmp_path, "full"))


async def test_of_many_differences_few_are_named_and_all_are_counted(full: Place) -> None:
    await full.run("DELETE FROM unit_scan")
    found = await check_store(full.archive, quiet)
    assert found.counts["HISTORY_MISSING"] == 8
    assert len(found.first["HISTORY_MISSING"]) == 5


async def test_a_damaged_file_is_found(tmp_path: Path, filled_file: Path) -> None:
    shutil.copy(filled_file, tmp_path / "full")
    place = sqlite_at(tmp_path / "full")
    # An index that has an entry less than its table.
    ((root, sql),) = await place.run(
        "SELECT rootpage, sql FROM sqlite_schema WHERE name = 'product_by_issuer'"
    )
    assert root, sql
    with closing(sqlite3.connect(tmp_path / "full")) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'product_by_issuer'")
    with closing(sqlite3.connect(tmp_path / "full")) as connection, connection:
        connection.execute("INSERT INTO product SELECT '1', issuer_gln, body, '' FROM product")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "INSERT INTO sqlite_schema VALUES ('index', 'product_by_issuer', 'product', ?, ?)",
            (root, sql),
        )
    # What is counted through that index is not what is read.
    found = await check_store(place.archive, lambda *_: None)
    assert found.counts["DATABASE_DAMAGED"] > 0, found


async def test_a_store_of_another_release_is_neither_read_nor_filled(
    full: Place, good: bytes
) -> None:
    newer = full.archive.newest + 1
    is_file = isinstance(full.archive, SqliteArchive)
    await full.run(
        f"PRAGMA user_version = {newer}"
        if is_file
        else f"UPDATE schema_version SET version = {newer}"
    )
    for work in (full.exported(), check_store(full.archive, quiet), full.imported(good),
                 full.archive.migrate()):  # fmt: skip
        with pytest.raises(Unavailable) as refused:
            await work
        assert refused.value.reason == "SCHEMA_TOO_NEW"


async def test_a_store_that_was_never_migrated_must_be_first(
    full: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(full.archive), "newest", full.archive.newest + 1)
    for work in (full.exported(), check_store(full.archive, quiet)):
        with pytest.raises(StoreRefused) as refused:
            await work
        assert refused.value.reason == "SCHEMA_TOO_OLD"


_SQLITE_KINDS = {"INTEGER": Kind.INTEGER, "TEXT": Kind.TEXT, "BLOB": Kind.BYTES}
_POSTGRES_KINDS = {"bigint": Kind.INTEGER, "text": Kind.TEXT, "bytea": Kind.BYTES}


async def test_the_tables_are_those_of_both_schemas(
    filled_file: Path, empty_database: Place
) -> None:
    file = sqlite_at(filled_file)
    found = await file.run(
        "SELECT m.name, c.name, c.type, c.'notnull' FROM sqlite_schema AS m, "
        "pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' "
        "ORDER BY m.name, c.cid"
    )
    wanted = {
        (table.name, column.name, column.kind, column.optional)
        for table in TABLES
        for column in table.columns
    }
    keys = {(table.name, name) for table in TABLES for name in table.key}
    assert {
        (table, name, _SQLITE_KINDS[kind], not filled and (table, name) not in keys)
        for table, name, kind, filled in found
    } == wanted
    await empty_database.archive.migrate()
    found = await empty_database.run(
        "SELECT table_name, column_name, data_type, is_nullable = 'YES' "
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> "
        "'schema_version' AND table_name !~ '_(default|y[0-9]{4}m[0-9]{2})$'"
    )
    assert {(t, n, _POSTGRES_KINDS[kind], free) for t, n, kind, free in found} == wanted
    found = await empty_database.run(
        "SELECT i.indrelid::regclass::text, array_agg(a.attname::text ORDER BY k.place) "
        "FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, place), "
        "pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum = k.attnum "
        "AND i.indisprimary AND i.indrelid::regclass::text = ANY(ARRAY["
        + ", ".join(f"'{table.name}'" for table in TABLES)
        + "]) GROUP BY 1"
    )
    assert {table: tuple(key) for table, key in found} == {t.name: t.key for t in TABLES}


def test_bytes_travel_as_base64(good: bytes) -> None:
    lines = lines_of(good)
    row = lines[_first(lines, "issuer_key")]
    assert base64.b64decode(row[3]) == bytes(range(256))
