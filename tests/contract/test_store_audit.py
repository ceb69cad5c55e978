"""Audit records in every store: kept as given, found by what is asked, and never changed."""

from __future__ import annotations

from dataclasses import replace

import asyncpg
import pytest

from tests.contract.conftest import Open
from tests.support import postgres_server
from tests.support.service import gln_of
from tests.support.stores import audit_record, mark
from tracechain.adapters.postgres import open_store as open_postgres
from tracechain.app.ports import Store
from tracechain.domain.audit import AUDIT_KEYS, AuditQuery, AuditRecord, key_of
from tracechain.domain.scan import ScanRules

ALL = AuditQuery(0, 1 << 62)


async def everything(store: Store, query: AuditQuery = ALL, page: int = 1000) -> list[AuditRecord]:
    """All that fits, page by page."""
    found: list[AuditRecord] = []
    while some := await store.list_audit(query, page):
        assert len(some) <= page
        found += some
        query = replace(query, after=some[-1].place)
    return found


async def test_records_come_back_as_they_were_given_and_in_order(store: Store) -> None:
    # Groups of different sizes, so that they lie under many keys; some at one moment.
    records = [audit_record(n, time=1000 + n // 3) for n in range(200)]
    for first in range(0, 200, 8):
        await store.append_audit(records[first : first + 8])
    assert len({key_of(records[first]) for first in range(0, 200, 8)}) > 5
    wanted = sorted(records, key=lambda record: record.place)
    for page in (1000, 7, 1):
        assert await everything(store, page=page) == wanted
    assert await store.list_audit(ALL, 5) == wanted[:5]


async def test_what_is_told_again_is_kept_once(store: Store, open_another: Open) -> None:
    group = [audit_record(n) for n in range(5)]
    await store.append_audit(group)
    await store.append_audit([replace(group[0], outcome="OTHER"), *group[1:], audit_record(9)])
    await store.append_audit([])
    assert await everything(await open_another()) == [*group, audit_record(9)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (ALL, [0, 1, 2, 3, 4]),
        (replace(ALL, start=2), [2, 3, 4]),
        (replace(ALL, end=2), [0, 1]),
        (replace(ALL, start=1, end=1), []),
        (replace(ALL, party_gln=gln_of(2)), [1, 3]),
        (replace(ALL, method="A.B"), [2, 3]),
        (replace(ALL, outcome="DENIED"), [3, 4]),
        (replace(ALL, party_gln=gln_of(2), method="A.B", outcome="DENIED"), [3]),
        (replace(ALL, party_gln=gln_of(2), after=(1, mark("record 1"))), [3]),
        (replace(ALL, outcome="' OR ''='"), []),
    ],
)
async def test_a_search_gives_what_fits(
    store: Store, query: AuditQuery, numbers: list[int]
) -> None:
    records = [
        audit_record(0),
        audit_record(1, party_gln=gln_of(2)),
        audit_record(2, method="A.B"),
        audit_record(3, party_gln=gln_of(2), method="A.B", outcome="DENIED"),
        audit_record(4, party_gln="", role="", credential_id="", outcome="DENIED", calls=77),
    ]
    for record in records:
        await store.append_audit([record])
    assert await everything(store, query) == [records[n] for n in numbers]


def test_the_keys_are_several_and_no_batches() -> None:
    assert len(set(AUDIT_KEYS)) == len(AUDIT_KEYS) == 16
    assert min(AUDIT_KEYS) >= 1 << 62


async def test_postgresql_lets_its_owner_neither_change_nor_take_away_a_record() -> None:
    server = postgres_server.shared()
    await server.run("CREATE ROLE keeper LOGIN")
    try:
        await server.run("CREATE DATABASE kept OWNER keeper")
        url = server.url("kept", "keeper")
        opened = await open_postgres(url, ScanRules(), connections=2)
        try:
            await opened.append_audit([audit_record(1)])
            connection = await asyncpg.connect(url)
            try:
                for sql in (
                    "UPDATE audit SET outcome = 'OTHER'",
                    "UPDATE audit_default SET outcome = 'OTHER'",
                    "DELETE FROM audit",
                    "TRUNCATE audit",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(sql)
            finally:
                await connection.close()
            assert await everything(opened) == [audit_record(1)]
        finally:
            await opened.close()
    finally:
        await server.run("DROP DATABASE IF EXISTS kept")
        await server.run("DROP ROLE keeper")
