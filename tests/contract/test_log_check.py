"""`tracechain log check`: whatever was done behind the store's back is found, and named.

The log under test has full and partial tiles, a fact of several leaves, chains of many links, rows
that are older than it, facts that wait, and a checkpoint that is behind its head.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support import postgres_server
from tests.support import stores as s
from tests.support.log import POLICY, SIGNER, earlier_batch_fact, sequenced, signed
from tests.support.places import Place, postgres_at, quiet, sqlite_at
from tests.support.service import gln_of
from tracechain.adapters.postgres import open_store as open_postgres
from tracechain.adapters.records import recall_from_json
from tracechain.adapters.sqlite import open_store as open_sqlite
from tracechain.app.log.checking import LogReport, check_log
from tracechain.app.ports import Store
from tracechain.domain.batch_key import event_key
from tracechain.domain.keys import JudgeEarlier
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.fact import batch_fact, evidence_fact
from tracechain.domain.log.leaf import MAX_CHAINS
from tracechain.domain.log.note import Note, NoteSigner

# A batch that is older than the log, one with a fact in its earlier spelling, and others; batch
# numbers begin at 1.
OLD, EARLIER, BATCH, OTHER = 1, 2, 3, 4
GOODS = range(1 << 50, (1 << 50) + MAX_CHAINS + 100)


async def checked(place: Place, **fields: Any) -> LogReport:
    return await check_log(place.archive, quiet, recall_from_json, **{"policy": POLICY, **fields})


async def before_the_log(store: Store) -> None:
    """Rows that the log knows nothing of."""
    await store.put_party(s.party(1))
    await store.put_product(s.product(1, gln_of(1)))
    await store.put_batch(s.batch(s.gtin_of(1), "OLD", create_time=1))
    await store.put_batch(s.batch(s.gtin_of(1), "EARLIER", create_time=5000))
    key = await store.reserve_key_id()
    await store.put_key(s.issuer_key(key, gln_of(1), "old", create_time=1))
    said = s.digest("old", -4)
    await store.append_events([s.event(said, [s.touch(OLD, 0, 5, said)])])
    await store.close()


async def fill(store: Store) -> None:
    """All kinds of facts; most have their place, some are published, and some wait."""
    owner = gln_of(1)
    key = await store.reserve_key_id()
    await store.put_key(s.issuer_key(key, owner, "new", create_time=1000))
    await store.activate_key(key, 1100, 1100)
    await store.revoke_key(key, 1200, JudgeEarlier.REFUSE, "leaked", 1200)
    await store.rewrap_key(1, bytes(range(255, -1, -1)), b"new", 1300)
    for lot in ("A", "B"):
        await store.put_batch(s.batch(s.gtin_of(1), lot))
    if earlier := await store.get_batch(EARLIER):
        await store.append_fact(earlier_batch_fact(earlier))
    await store.raise_quantity(BATCH, 200, "more", owner, "需要", 6000)
    await store.raise_quantity(OLD, 300, "more", owner, "", 6500)
    for name in ("stays", "goes"):
        await store.put_recall(s.recall(BATCH, name, create_time=7000))
    await store.lift_recall(BATCH, "goes", 8000, "解除")
    for first in range(0, 300, 50):
        said = [s.digest(n, n) for n in range(first, first + 50)]
        await store.append_events(
            [
                s.event(one, [s.touch(key, 0, 5, one) for key in (BATCH, GOODS[n % 7])])
                for n, one in enumerate(said)
            ]
        )
    wide = s.digest("wide", 10**6)
    await store.append_events([s.event(wide, [s.touch(key, 0, 1, wide) for key in GOODS])])
    wrong = s.digest(3, 3, declaration=s.mark("declared"), record_time=2 * 10**6)
    await store.append_events([s.event(wrong, [s.touch(BATCH, 0, 5, wrong)])])
    await store.append_fact(
        evidence_fact("e", "subject", owner, 3 * 10**6, [BATCH, OTHER], "00" * 32)
    )
    fence, published = await sequenced(store)
    assert await store.put_checkpoint(fence, published.size, signed(published))
    late = s.digest("late", 4 * 10**6)
    await store.append_events([s.event(late, [s.touch(BATCH, 0, 5, late)])])
    await sequenced(store)
    # These wait.
    late = s.digest("waits", 5 * 10**6)
    await store.append_events([s.event(late, [s.touch(OTHER, 0, 5, late)])])
    await store.put_batch(s.batch(s.gtin_of(1), "C", create_time=5 * 10**6))
    await store.raise_quantity(OTHER, 500, "waits", owner, "", 5 * 10**6)
    await store.retire_key(1, 6 * 10**6, 5 * 10**6)
    await store.close()


async def filled(open_it: Callable[..., Awaitable[Store]]) -> None:
    await before_the_log(await open_it(logs=False))
    await fill(await open_it())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "full"
    asyncio.run(filled(partial(open_sqlite, path, s.RULES)))
    asyncio.run(sqlite_at(path).run("PRAGMA wal_checkpoint(TRUNCATE)"))
    return path


@pytest.fixture
def place(file: Path, tmp_path: Path) -> Place:
    shutil.copy(file, tmp_path / "full")
    return sqlite_at(tmp_path / "full")


@dataclass(frozen=True)
class Known:
    """What the log under test has."""

    size: int
    published: Checkpoint
    # The index of the leaf about the event 100, and of the last leaf.
    event: int


async def known(place: Place) -> Known:
    ((size, note),) = await place.run("SELECT size, checkpoint FROM log_state")
    ((event,),) = await place.run(
        f"SELECT leaf_index FROM log_link WHERE batch_key = {event_key(s.event_id(100))}"
    )
    return Known(size, Checkpoint.parse(Note.parse(note).text), event)


async def test_a_sound_log_has_nothing_wrong(place: Place) -> None:
    found = await checked(place)
    assert not found.findings.counts, found
    there = await known(place)
    assert (found.size, found.checkpoint) == (there.size, there.published)
    assert found.size == there.published.size + 1 > 312
    assert (found.pending, found.waiting) == (5, 5 * 10**6)
    assert found.older == {"batch": 1, "event": 1}
    ((chains,),) = await place.run("SELECT count(*) FROM log_chain")
    assert found.chains == chains


async def test_an_empty_log_has_nothing_wrong(tmp_path: Path) -> None:
    await (await open_sqlite(tmp_path / "new", s.RULES)).close()
    found = await checked(sqlite_at(tmp_path / "new"))
    assert not found.findings.counts
    assert (found.size, found.checkpoint, found.pending, found.waiting) == (0, None, 0, None)


def swap(table: str, column: str, one: str, two: str) -> str:
    """Changes what two rows of a table say."""
    there = f"SELECT {column} FROM {table} WHERE"
    return (
        f"UPDATE {table} SET {column} = CASE WHEN {one} THEN ({there} {two}) "
        f"ELSE ({there} {one}) END WHERE {one} OR {two}"
    )


LINK = f"batch_key = {BATCH} AND number ="
RECALL = f"batch_key = {BATCH} AND recall_id ="
EVENT = f"event_id = x'{s.event_id(100).hex()}'"
TILE = "level = 0 AND tile_index ="
# What is done behind the store's back, what is said of it first, and where that is.
PLANTED: dict[str, tuple[str, str, str]] = {
    "event's body": (f"UPDATE event SET body = body || ' ' WHERE {EVENT}",
                     "ROW_DIFFERS", f"event {s.event_id(100).hex()} : body_sha256"),
    "event's recorder": (f"UPDATE event SET recorder = '1' WHERE {EVENT}",
                         "ROW_DIFFERS", ": recorder"),
    "event's record time": (f"UPDATE event SET record_time = 1 WHERE {EVENT}",
                            "ROW_DIFFERS", ": time"),
    "event's time": (f"UPDATE event SET event_time = 1 WHERE {EVENT}", "ROW_MISSING",
                     f"event {s.event_id(100).hex()}"),
    "event gone": (f"DELETE FROM event WHERE {EVENT}", "ROW_MISSING",
                   f"event {s.event_id(100).hex()}"),
    "event slipped in": ("INSERT INTO event SELECT "
                         f"{event_key(bytes(32))}, zeroblob(32), declaration, event_time, "
                         f"record_time, recorder, body FROM event WHERE {EVENT}",
                         "ROW_NOT_LOGGED", f"event {bytes(32).hex()}"),
    "quantity": (f"UPDATE batch SET authorized_quantity = 999 WHERE batch_key = {BATCH}",
                 "ROW_DIFFERS", f"batch {BATCH}: authorized_quantity is 999, the log says 200"),
    "old batch": (f"UPDATE batch SET authorized_quantity = 9 WHERE batch_key = {OLD}",
                  "ROW_DIFFERS", f"batch {OLD}: authorized_quantity is 9, the log says 300"),
    "earlier batch": (f"UPDATE batch SET authorized_quantity = 9 WHERE batch_key = {EARLIER}",
                      "ROW_DIFFERS", f"batch {EARLIER}: authorized_quantity is 9, the log says "),
    "first quantity's decider": (f"UPDATE batch SET issuer_gln = '1' WHERE batch_key = {BATCH}",
                                 "ROW_DIFFERS", f"quantity {BATCH} : decider"),
    "lot": (f"UPDATE batch SET lot = 'X' WHERE batch_key = {BATCH}", "ROW_DIFFERS",
            f"batch {BATCH}: lot"),
    "activation": (f"UPDATE batch SET activation_required = 0 WHERE batch_key = {BATCH}",
                   "ROW_DIFFERS", f"batch {BATCH}: activation_required"),
    "batch gone": (f"DELETE FROM batch WHERE batch_key = {BATCH}", "ROW_MISSING", f"batch {BATCH}"),
    "two lots": (swap("batch", "lot", f"batch_key = {BATCH}", f"batch_key = {OTHER}"),
                 "ROW_DIFFERS", ": lot"),
    "raise": ("UPDATE quantity_raise SET reason = 'x' WHERE quantity = 200", "ROW_DIFFERS",
              f"quantity {BATCH} more: reason"),
    "raise gone": ("DELETE FROM quantity_raise WHERE quantity = 200", "ROW_MISSING",
                   f"quantity {BATCH} more"),
    "raise slipped in": ("INSERT INTO quantity_raise (batch_key, request_id, quantity, decider, "
                         f"reason, create_time) VALUES ({BATCH}, 'r', 150, '1', '', 6001)",
                         "ROW_NOT_LOGGED", f"quantity {BATCH} r"),
    "recall": (f"UPDATE recall SET body = replace(body, 'true', 'false') WHERE {RECALL} 'stays'",
               "ROW_DIFFERS", f"recall {BATCH} stays: by_regulator"),
    "recall that is no JSON": (f"UPDATE recall SET body = '' WHERE {RECALL} 'stays'",
                               "ROW_DIFFERS", "cannot be read"),
    "recall gone": (f"DELETE FROM recall WHERE {RECALL} 'stays'", "ROW_MISSING",
                    f"recall {BATCH} stays"),
    "lifting gone": (f"UPDATE recall SET lift_time = NULL WHERE {RECALL} 'goes'",
                     "ROW_DIFFERS", f"recall_lifted {BATCH} goes: time"),
    "lifting slipped in": (f"UPDATE recall SET lift_time = 9000 WHERE {RECALL} 'stays'",
                           "ROW_NOT_LOGGED", f"recall_lifted {BATCH} stays"),
    "key": ("UPDATE issuer_key SET public_key = x'00' WHERE key_id = 2", "ROW_DIFFERS",
            "key 2: public_key"),
    "revocation": ("UPDATE issuer_key SET revoke_time = NULL WHERE key_id = 2", "ROW_DIFFERS",
                   "issuer_key 2: revoke_time"),
    "judgement": ("UPDATE issuer_key SET judge_earlier = 0 WHERE key_id = 2", "ROW_DIFFERS",
                  "issuer_key 2: judge_earlier"),
    "key gone": ("DELETE FROM issuer_key WHERE key_id = 2", "ROW_MISSING", "key 2"),
    "leaf's entry": ("UPDATE log_leaf SET entry = x'7b7d' WHERE leaf_index = 20",
                     "LEAF_NOT_IN_TILE", "leaf 20 is not that of tile/0/000"),
    "leaf's salt": ("UPDATE log_leaf SET salt = zeroblob(32) WHERE leaf_index = 20",
                    "OPENING_DIFFERS", "leaf 20 "),
    "leaf's fact": ("UPDATE log_leaf SET body = replace(body, '6901', '6902') "
                    "WHERE leaf_index = 20", "OPENING_DIFFERS", "leaf 20 "),
    "two leaves": (swap("log_leaf", "entry", "leaf_index = 20", "leaf_index = 21"),
                   "LEAF_NOT_IN_TILE", "leaf 20 is not that of tile/0/000"),
    "leaf gone": ("DELETE FROM log_leaf WHERE leaf_index = 20", "LEAF_MISSING", "leaf 20"),
    "first leaf gone": ("DELETE FROM log_leaf WHERE leaf_index = 0", "LEAF_MISSING", "leaf 0"),
    "last leaf gone": ("DELETE FROM log_leaf WHERE leaf_index = (SELECT size - 1 FROM log_state)",
                       "LEAF_MISSING", "leaf "),
    "leaf and tile gone": ("DELETE FROM log_tile WHERE tile_index = 0 AND level = 0",
                           "TILE_MISSING", "tile/0/000"),
    "leaf slipped in": ("INSERT INTO log_leaf SELECT batch_key, (SELECT size FROM log_state), "
                        "entry, salt, body FROM log_leaf WHERE leaf_index = 20",
                        "LEAF_BEYOND_TREE", "leaf "),
    "leaf before the first": ("INSERT INTO log_leaf SELECT batch_key, -1, entry, salt, body "
                              "FROM log_leaf WHERE leaf_index = 20",
                              "LEAF_BEYOND_TREE", "leaf -1"),
    "tile": (f"UPDATE log_tile SET hashes = zeroblob(8192) WHERE {TILE} 0",
             "LEAF_NOT_IN_TILE", "leaf 0 "),
    "two tiles": (swap("log_tile", "hashes", f"{TILE} 0", f"{TILE} 1"), "TILE_DIFFERS",
                  "tile/0/000 has "),
    "upper tile": ("UPDATE log_tile SET hashes = zeroblob(32) WHERE level = 1",
                   "TILE_DIFFERS", "tile/1/000.p/1: hash 0"),
    "upper tile gone": ("DELETE FROM log_tile WHERE level = 1", "TILE_MISSING", "tile/1/000.p/1"),
    "tile cut": (f"UPDATE log_tile SET hashes = zeroblob(31) WHERE {TILE} 1", "TILE_DIFFERS",
                 " has 31 bytes"),
    "tile slipped in": ("INSERT INTO log_tile SELECT batch_key, 3, 0, hashes FROM log_tile "
                        "WHERE level = 1", "TILE_BEYOND_TREE", "level 3, index 0"),
    "link": (f"UPDATE log_link SET leaf_index = 1 WHERE {LINK} 9", "LINK_DIFFERS",
             f"chain {BATCH}, number 9: leaf 1 "),
    "link to nowhere": (f"UPDATE log_link SET leaf_index = 99999 WHERE {LINK} 9", "LINK_DIFFERS",
                        "there is no leaf 99999"),
    "two links": (swap("log_link", "leaf_index", f"{LINK} 9", f"{LINK} 10"), "LINK_DIFFERS",
                  f"chain {BATCH}, number 9: leaf"),
    "link gone": (f"DELETE FROM log_link WHERE {LINK} 9", "LINK_MISSING",
                  f"chain {BATCH}, number 9"),
    "first link gone": (f"DELETE FROM log_link WHERE {LINK} 0", "LINK_MISSING",
                        f"chain {BATCH}, number 0"),
    "last link gone": (f"DELETE FROM log_link WHERE batch_key = {BATCH} AND number = (SELECT "
                       f"length - 1 FROM log_chain WHERE batch_key = {BATCH})", "CHAIN_DIFFERS",
                       f"chain {BATCH} has "),
    "link slipped in": (f"INSERT INTO log_link SELECT batch_key, length, 1 FROM log_chain "
                        f"WHERE batch_key = {BATCH}", "LINK_DIFFERS", f"chain {BATCH}, number "),
    "chain's length": (f"UPDATE log_chain SET length = length - 1 WHERE batch_key = {BATCH}",
                       "CHAIN_DIFFERS", f"chain {BATCH} has "),
    "chain's last": (f"UPDATE log_chain SET last = 1 WHERE batch_key = {BATCH}", "CHAIN_DIFFERS",
                     "says"),
    "chain's salt": (f"UPDATE log_chain SET salt = zeroblob(32) WHERE batch_key = {BATCH}",
                     "LINK_DIFFERS", f"chain {BATCH}, number 0: leaf"),
    "chain without a row": (f"DELETE FROM log_chain WHERE batch_key = {BATCH}", "CHAIN_MISSING",
                            f"chain {BATCH}"),
    "chain slipped in": ("INSERT INTO log_chain SELECT 77, salt, 0, -1 FROM log_chain "
                         f"WHERE batch_key = {BATCH}", "CHAIN_WITHOUT_LINKS", "chain 77"),
    "touch": (f"UPDATE touch SET batch_key = 77 WHERE batch_key = {BATCH} AND event_time = 100",
              "CHAIN_INCOMPLETE", f"event {s.event_id(100).hex()} touches 77"),
    "head's size": ("UPDATE log_state SET size = size - 2", "TREE_TOO_SMALL",
                    "the published checkpoint has "),
    "head's larger size": ("UPDATE log_state SET size = size + 1", "TILE_DIFFERS", "tile/0/001"),
    "head's root": ("UPDATE log_state SET root = zeroblob(32)", "ROOT_DIFFERS", "the head"),
    "checkpoint": ("UPDATE log_state SET checkpoint = x'00'", "CHECKPOINT_MALFORMED",
                   "the published checkpoint"),
    "checkpoint's size": ("UPDATE log_state SET checkpoint_size = 1", "CHECKPOINT_MALFORMED",
                          "the published checkpoint is of "),
    "head gone": ("DELETE FROM log_state", "LEAF_BEYOND_TREE", "leaf 0"),
}  # fmt: skip


async def planted(place: Place, what: str) -> None:
    sql, kind, where = PLANTED[what]
    await place.run(sql)
    found = (await checked(place)).findings
    first = next(iter(found.counts), "nothing")
    assert first == kind, found
    assert where in found.first[kind][0], found


@pytest.mark.parametrize("what", PLANTED)
async def test_what_was_done_is_named_first(place: Place, what: str) -> None:
    await planted(place, what)


async def test_a_fact_that_is_logged_twice_is_named(place: Place) -> None:
    store = await place.open()
    said = s.digest(100, 100)
    await store.append_fact(s.event(said, [s.touch(BATCH, 0, 5, said)]).fact())
    await sequenced(store)
    await store.close()
    found = (await checked(place)).findings
    assert list(found.counts) == ["LOGGED_TWICE"]


async def test_a_batch_whose_first_quantity_is_not_logged_is_named(
    place: Place, tmp_path: Path
) -> None:
    store = await open_sqlite(tmp_path / "full", s.RULES, logs=False)
    batch = await store.put_batch(s.batch(s.gtin_of(1), "NEW", create_time=7 * 10**6))
    await store.close()
    store = await place.open()
    await store.append_fact(batch_fact(batch))
    await sequenced(store)
    await store.close()
    found = (await checked(place)).findings
    assert found.first == {"ROW_NOT_LOGGED": [f"quantity {batch.batch_number} "]}


@pytest.mark.parametrize("part", ["entry", "hashes"])
async def test_every_byte_of_a_leaf_and_a_tile_counts(place: Place, part: str) -> None:
    table, at = {
        "entry": ("log_leaf", f"leaf_index = {(await known(place)).event}"),
        "hashes": ("log_tile", "level = 0 AND tile_index = 1"),
    }[part]
    ((content,),) = await place.run(f"SELECT {part} FROM {table} WHERE {at}")
    for byte in {0, 40, len(content) // 2, len(content) - 1}:
        other = bytearray(content)
        other[byte] ^= 1
        await place.run(f"UPDATE {table} SET {part} = x'{other.hex()}' WHERE {at}")
        assert next(iter((await checked(place)).findings.counts)) == "LEAF_NOT_IN_TILE", byte
    await place.run(f"UPDATE {table} SET {part} = x'{content.hex()}' WHERE {at}")
    assert not (await checked(place)).findings.counts


async def republished(place: Place, note: bytes) -> None:
    await place.run(f"UPDATE log_state SET checkpoint = x'{note.hex()}'")


async def test_a_checkpoint_of_another_tree_is_named(place: Place) -> None:
    size = (await known(place)).published.size
    await republished(place, signed(Checkpoint(SIGNER.name, size, bytes(32))))
    found = (await checked(place)).findings
    assert found.first == {
        "ROOT_DIFFERS": [f"the published checkpoint: its root is not that of its {size} leaves"]
    }


async def test_a_checkpoint_must_be_signed_where_it_is_known_by_whom(place: Place) -> None:
    stranger = NoteSigner(SIGNER.name, Ed25519PrivateKey.generate())
    await republished(place, signed((await known(place)).published, stranger))
    assert list((await checked(place)).findings.counts) == ["NOT_SIGNED"]
    assert not (await checked(place, policy=None)).findings.counts
    note = bytearray(signed((await known(place)).published))
    # Another one of base64, whatever it was.
    note[-5] = ord("A" if note[-5] != ord("A") else "B")
    await republished(place, bytes(note))
    assert list((await checked(place)).findings.counts) == ["FALSE_SIGNATURE"]


async def test_another_history_that_holds_is_found_by_a_kept_checkpoint(
    place: Place, tmp_path: Path
) -> None:
    there = await known(place)
    kept = [Note.parse(signed(there.published))]
    assert not (await checked(place, kept=kept)).findings.counts
    # Somebody who can write everywhere makes a log that holds.
    store = await open_sqlite(tmp_path / "other", s.RULES)
    await fill_like(store)
    other = sqlite_at(tmp_path / "other")
    assert not (await checked(other, policy=None)).findings.counts
    found = (await checked(other, policy=None, kept=kept)).findings
    assert list(found.counts) in (["ROOT_DIFFERS"], ["TREE_TOO_SMALL"])


async def fill_like(store: Store) -> None:
    await store.put_party(s.party(1))
    await store.put_product(s.product(1, gln_of(1)))
    await store.put_batch(s.batch(s.gtin_of(1)))
    await sequenced(store)
    await store.close()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The name of a template."""
    server = postgres_server.shared()
    url = asyncio.run(server.database("log, filled"))
    asyncio.run(filled(partial(open_postgres, url, s.RULES, connections=2)))
    yield url.rpartition("/")[2]
    asyncio.run(server.drop("log, filled"))


@pytest.mark.parametrize("what", ["nothing", "two leaves", "two links", "quantity", "batch gone"])
async def test_it_is_the_same_in_postgresql(tmp_path: Path, database: str, what: str) -> None:
    server = postgres_server.shared()
    url = await server.database((tmp_path, "log"), database)
    try:
        if what == "nothing":
            found = await checked(postgres_at(url))
            assert not found.findings.counts, found
            assert found.older == {"batch": 1, "event": 1}
        else:
            await planted(postgres_at(url), what)
    finally:
        await server.drop((tmp_path, "log"))
