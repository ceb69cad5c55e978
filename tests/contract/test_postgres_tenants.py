"""Row-level security: what the database itself shows and takes, whoever forgot to ask.

Two issuers in two provinces, each with one thing of every kind, in one database. The role of all
tests owns the tables and has no other power, so that FORCE is what binds it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
from structlog.testing import capture_logs

from tests.support import postgres_server
from tests.support.service import gln_of, gtin_of
from tests.support.stores import (
    RULES,
    approval,
    audit_record,
    batch,
    credential,
    issuer_key,
    order,
    party,
    postgres_url,
    product,
    recall,
    scan,
)
from tracechain.adapters.postgres import PostgresStore, open_store, schema
from tracechain.adapters.postgres.archive import PostgresArchive
from tracechain.adapters.postgres.tenancy import SERVICE_SETTINGS, OutOfScope, tenant_of
from tracechain.adapters.sqlite import open_store as open_sqlite
from tracechain.adapters.sqlite import session as sqlite_session
from tracechain.adapters.store_process import open_in_process
from tracechain.adapters.tables import TABLES
from tracechain.app.checking import check_store
from tracechain.app.ports import Store, StoredSecret
from tracechain.domain.approval import ApprovalState
from tracechain.domain.audit import AuditQuery
from tracechain.domain.batch_key import derived
from tracechain.domain.errors import InvalidArgument, Unavailable
from tracechain.domain.party import Principal, Role
from tracechain.domain.report import Report, ReportKind

ME, OTHER = gln_of(1), gln_of(2)
MINE, THEIRS = Principal(ME, Role.ISSUER), Principal(OTHER, Role.ISSUER)
HANDLER = Principal(ME, Role.HANDLER)
LIAONING = Principal(gln_of(6), Role.INSPECTOR, "210000")
JILIN = Principal(gln_of(7), Role.INSPECTOR, "220000")
AUDITOR, OPERATOR = Principal(gln_of(8), Role.AUDITOR), Principal(gln_of(9), Role.OPERATOR)
REPORTS = derived("reports")
# All that policies guard. What is left out has no one tenant: parties and lots are looked up by
# everybody, events are many parties', scans and claims are the public's, links are published.
OPEN = {
    "party", "counter", "product_lot", "event", "touch", "document", "scan", "unit_scan", "claim",
    "claim_try", "link_set",
}  # fmt: skip
GUARDED = sorted({table.name for table in TABLES} - OPEN)
NOTHING = dict.fromkeys(GUARDED, 0)
OWN = dict.fromkeys(
    ("product", "batch", "quantity_raise", "allocation", "refused_order", "recall", "approval"), 1
)
DIVISION = dict.fromkeys(("product", "batch", "recall", "report"), 1)
# What a session is set to, and the rows that it sees then.
SEEN: list[tuple[str | None, dict[str, int]]] = [
    (None, NOTHING),
    ("", NOTHING),
    ("nobody", NOTHING),
    ("issuer:", NOTHING),
    ("inspector:", NOTHING),
    ("%", NOTHING),
    ("SERVICE", NOTHING),
    (tenant_of(HANDLER), NOTHING),
    (tenant_of(Principal(gln_of(3), Role.ISSUER)), NOTHING),
    (tenant_of(MINE), NOTHING | OWN),
    (tenant_of(THEIRS), NOTHING | OWN),
    (tenant_of(LIAONING), NOTHING | DIVISION),
    (tenant_of(JILIN), NOTHING | DIVISION),
    (tenant_of(Principal("", Role.INSPECTOR, "210100")), NOTHING | DIVISION),
    (tenant_of(Principal("", Role.INSPECTOR, "210200")), NOTHING),
    (tenant_of(AUDITOR), NOTHING | {"audit": 2}),
    (tenant_of(OPERATOR), NOTHING | {"product": 2, "batch": 2, "recall": 2, "approval": 2}),
]


async def fill(store: Store) -> None:
    """One of each kind for each issuer, by calls of the store as the service makes them."""
    for number, (gln, region) in enumerate(((ME, "210102"), (OTHER, "220102")), 1):
        await store.put_party(party(number, region, gln=gln))
        await store.put_credential(credential(number, gln))
        await store.put_key(issuer_key(await store.reserve_key_id(), gln, "first"))
        await store.put_product(product(number, gln))
        made = (await store.put_batch(batch(gtin_of(number)))).batch_number
        await store.raise_quantity(made, 200, "more", gln, "x", 1)
        await store.allocate(order(made, "some", 10))
        await store.allocate(order(made, "many", 1000))
        await store.put_recall(recall(made, f"r{number}"))
        await store.put_approval(approval(f"a{number}", gln))
        await store.append_audit([audit_record(number, party_gln=gln)])
        await store.put_report(REPORTS, report(number, region), b"photo")
        await store.record_scans([scan(made, 1, number)])
    await store.put_secret(StoredSecret("own", b"wrapped", b"", 1))
    # Some facts have their place in the log, and some wait for it.
    fence = await store.take_log_lease("node", 1, 1 << 60)
    assert fence is not None
    await store.sequence(fence, 4)


def report(number: int, region: str) -> Report:
    return Report(f"{number:032x}", region, ReportKind.FAKE_PRODUCT, "假酒", "", "", "", number)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database that nobody changes: who writes in it rolls back."""
    folder = tmp_path_factory.mktemp("tenants")

    async def filled() -> str:
        made = await postgres_url(folder)
        store = await open_store(made, RULES, connections=2)
        await fill(store)
        await store.close()
        return made

    yield asyncio.run(filled())
    asyncio.run(postgres_server.shared().drop(folder))


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    """The store over one connection: what one caller leaves behind, the next would find."""
    opened = await open_store(url, RULES, connections=1)
    yield opened
    await opened.close()


@pytest.fixture
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of the tables' owner with nothing set, in a transaction that is rolled back."""
    made = await asyncpg.connect(url)
    transaction = made.transaction()
    await transaction.start()
    yield made
    await transaction.rollback()
    await made.close()


async def act_as(connection: asyncpg.Connection, tenant: str | None) -> None:
    if tenant is not None:
        await connection.execute("SELECT set_config('tracechain.tenant', $1, true)", tenant)


async def test_every_table_is_guarded_or_named_as_open(connection: asyncpg.Connection) -> None:
    found = await connection.fetch(
        "SELECT relname::text FROM pg_class WHERE relrowsecurity AND relforcerowsecurity "
        "AND relnamespace = 'public'::regnamespace AND NOT relispartition ORDER BY 1"
    )
    assert [row[0] for row in found] == GUARDED
    # And a month is no way around its parent.
    months = await connection.fetch(
        "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class, pg_inherits "
        "WHERE inhparent = 'audit'::regclass AND pg_class.oid = inhrelid"
    )
    assert [row[0] for row in months] == [True] * len(months)
    assert len(months) > 1


@pytest.mark.parametrize(("tenant", "seen"), SEEN, ids=[str(tenant) for tenant, _ in SEEN])
async def test_what_a_session_sees(
    connection: asyncpg.Connection, tenant: str | None, seen: dict[str, int]
) -> None:
    await act_as(connection, tenant)
    assert await counted(connection) == seen
    # Nor by the name of a month.
    month = await connection.fetchval(
        "SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'audit'::regclass "
        "AND inhrelid <> 'audit_default'::regclass"
    )
    await connection.execute("SET enable_seqscan = on")
    assert await connection.fetchval(f"SELECT count(*) FROM {month}") == 0
    assert await connection.fetchval("SELECT count(*) FROM audit_default") == 0


async def test_the_service_sees_all(connection: asyncpg.Connection) -> None:
    await act_as(connection, "service")
    assert min((await counted(connection)).values()) > 0
    # Months are closed to it as well, but for the default one, in which retention works.
    assert await connection.fetchval("SELECT count(*) FROM audit_default") == 2


async def counted(connection: asyncpg.Connection) -> dict[str, int]:
    return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in GUARDED}


async def test_an_issuer_sees_the_right_one(connection: asyncpg.Connection) -> None:
    for principal, gln in ((MINE, ME), (THEIRS, OTHER)):
        await act_as(connection, tenant_of(principal))
        for table in OWN:
            owners = await connection.fetch(f"SELECT DISTINCT issuer_gln FROM {table}")
            assert [row[0] for row in owners] == [gln], table


@pytest.mark.parametrize(
    "principal", [HANDLER, THEIRS, JILIN, AUDITOR, OPERATOR], ids=lambda p: str(p.role)
)
async def test_nobody_changes_takes_away_or_puts_what_is_anothers(
    connection: asyncpg.Connection, principal: Principal
) -> None:
    await act_as(connection, "service")
    before = await counted(connection)
    await act_as(connection, tenant_of(principal))
    mine = f"issuer_gln = '{ME}'"
    for table in OWN:
        if (table, principal.role) == ("approval", Role.OPERATOR):
            # Whose office it is to decide them.
            continue
        assert await connection.execute(f"UPDATE {table} SET {mine} WHERE {mine}") == "UPDATE 0"
        assert await connection.execute(f"DELETE FROM {table} WHERE {mine}") == "DELETE 0"
        # What one's own was may not become another's either.
        moved = f"{mine}, issuer_region = '210102'" if table in DIVISION else mine
        await refused(connection, f"UPDATE {table} SET {moved}", unless_none=True)
        row = {"approval": f"('x', '{ME}', '', '')", "product": f"('x', '{ME}', '')"}
        columns = {
            "approval": "approval_id, issuer_gln, body, state",
            "product": "gtin, issuer_gln, body",
        }
        if table in row:
            await refused(connection, f"INSERT INTO {table} ({columns[table]}) VALUES {row[table]}")
    for table in ("credential", "issuer_key", "service_secret", "audit_default", "log_pending",
                  "log_leaf", "log_tile", "log_chain", "log_state"):  # fmt: skip
        assert await connection.execute(f"DELETE FROM {table}") == "DELETE 0"
    assert await connection.execute("DELETE FROM report") == "DELETE 0"
    await refused(
        connection,
        f"INSERT INTO credential (credential_id, party_gln, body) VALUES ('x', '{OTHER}', '')",
    )
    await act_as(connection, "service")
    assert await counted(connection) == before


async def refused(connection: asyncpg.Connection, sql: str, *, unless_none: bool = False) -> None:
    """The policies refuse to write; or, `unless_none`, there is no row to be written."""
    inner = connection.transaction()
    await inner.start()
    try:
        done = await connection.execute(sql)
    except asyncpg.InsufficientPrivilegeError as error:
        done = str(error)
    finally:
        await inner.rollback()
    assert "row-level security" in done or (unless_none and done == "UPDATE 0"), (sql, done)


QUERY = AuditQuery(0, 1 << 60, "", "", "", (-1, b""))
Call = Callable[[Store], Coroutine[Any, Any, Any]]
# Calls that a use case makes without having asked whose it is, and what they come to within
# somebody else: what is read is not there, and what is written is refused or changes nothing.
FORGETFUL: dict[str, tuple[Call, object]] = {
    "get_product": (lambda s: s.get_product(gtin_of(1)), None),
    "list_products": (lambda s: s.list_products(ME, "", 10), []),
    "get_batch": (lambda s: s.get_batch(1), None),
    "find_batch": (lambda s: s.find_batch(gtin_of(1), "L1"), None),
    "list_batches": (lambda s: s.list_batches(gtin_of(1), 0, 10), []),
    "list_allocations": (lambda s: s.list_allocations(1), []),
    "list_refusals": (lambda s: s.list_refusals(1), []),
    "list_recalls": (lambda s: s.list_recalls(1), []),
    "lift_recall": (lambda s: s.lift_recall(1, "r1", 5, "no reason"), None),
    "get_approval": (lambda s: s.get_approval("a1"), None),
    "list_approvals": (lambda s: s.list_approvals(ME, "", 10), []),
    "decide_approval": (
        lambda s: s.decide_approval("a1", ApprovalState.APPROVED, OTHER, "x", 6), None,
    ),
    "get_report": (lambda s: s.get_report(REPORTS, f"{1:032x}"), None),
    "list_reports": (lambda s: s.list_reports(REPORTS, "21", "", 10), []),
    "get_credential": (lambda s: s.get_credential(credential(1, ME).credential_id), None),
    "list_credentials": (lambda s: s.list_credentials(ME), []),
    "revoke_credential": (lambda s: s.revoke_credential(credential(1, ME).credential_id, 5), None),
    "list_keys": (lambda s: s.list_keys(0), []),
    "retire_key": (lambda s: s.retire_key(1, 5, 5), None),
    "list_secrets": (lambda s: s.list_secrets(), []),
    "list_audit": (lambda s: s.list_audit(QUERY, 10), []),
    "put_product": (lambda s: s.put_product(product(1, OTHER)), None),
    "put_batch": (lambda s: s.put_batch(batch(gtin_of(1), "new")), OutOfScope),
    "put_batch of a lot that is there": (lambda s: s.put_batch(batch(gtin_of(1))), Unavailable),
    "allocate": (lambda s: s.allocate(order(1, "stolen", 1)), OutOfScope),
    "raise_quantity": (lambda s: s.raise_quantity(1, 999, "x", OTHER, "x", 5), OutOfScope),
    "put_recall": (lambda s: s.put_recall(recall(1, "evil")), OutOfScope),
    "put_approval": (lambda s: s.put_approval(approval("b", ME)), OutOfScope),
    "put_report": (lambda s: s.put_report(REPORTS, report(3, "210102"), None), OutOfScope),
    "put_credential": (lambda s: s.put_credential(credential(3, ME)), OutOfScope),
    "put_key": (lambda s: s.put_key(issuer_key(99, ME, "evil")), OutOfScope),
    "append_audit": (lambda s: s.append_audit([audit_record(9)]), OutOfScope),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGETFUL)
async def test_a_use_case_that_forgets_to_ask(store: PostgresStore, name: str) -> None:
    call, wanted = FORGETFUL[name]
    before = await everything(store)
    narrowed = store.within(THEIRS)
    if isinstance(wanted, type):
        with pytest.raises(wanted):
            await call(narrowed)
    else:
        assert await call(narrowed) == wanted
    # The one connection acts for the service again, and nothing has changed.
    assert await everything(store) == before


async def everything(store: PostgresStore) -> list[object]:
    return [
        await store.list_products("", "", 10),
        await store.get_batch(1),
        await store.find_batch(gtin_of(1), "new"),
        await store.list_allocations(1),
        await store.list_refusals(1),
        await store.list_recalls(1),
        await store.list_approvals("", "", 10),
        await store.list_reports(REPORTS, "", "", 10),
        await store.list_credentials(ME),
        await store.list_keys(0),
        await store.list_secrets(),
        await store.list_audit(QUERY, 10),
    ]


async def test_within_oneself_everything_is_as_without(store: PostgresStore) -> None:
    mine, inspector = store.within(MINE), store.within(LIAONING)
    assert await mine.get_product(gtin_of(1)) == await store.get_product(gtin_of(1))
    assert await mine.get_batch(1) == await store.get_batch(1) == await inspector.get_batch(1)
    assert len(await mine.list_allocations(1)) == 1
    assert [r.recall_id for r in await inspector.list_recalls(1)] == ["r1"]
    assert (await inspector.list_reports(REPORTS, "", "", 10)) == [
        Report(**{**_fields(report(1, "210102")), "has_photo": True})
    ]
    assert len(await store.within(AUDITOR).list_audit(QUERY, 10)) == 2
    again = await mine.allocate(order(1, "some", 10))
    assert again.allocation is not None
    assert again.batch.issued_quantity == 10
    # What anybody may see is there for everybody.
    assert await store.within(HANDLER).get_party(OTHER) is not None


def _fields(of: Report) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__slots__}


async def test_a_store_in_a_process_of_its_own_acts_for_the_same(url: str) -> None:
    opened = await open_in_process(partial(open_store, url, RULES, connections=1))
    try:
        assert await opened.within(THEIRS).get_batch(1) is None
        assert await opened.within(MINE).get_batch(1) == await opened.get_batch(1) is not None
        with pytest.raises(OutOfScope):
            await opened.within(THEIRS).allocate(order(1, "stolen", 1))
    finally:
        await opened.close()


@pytest.mark.parametrize(
    "principal",
    [
        Principal("1' OR '1", Role.ISSUER),
        Principal("", Role.ISSUER),
        Principal("６901234000016", Role.ISSUER),
        Principal(ME + "\n", Role.HANDLER),
        Principal(ME, Role.INSPECTOR),
        Principal(ME, Role.INSPECTOR, "21'--"),
    ],
    ids=repr,
)
def test_what_is_no_tenant_never_becomes_a_statement(principal: Principal) -> None:
    with pytest.raises((ValueError, InvalidArgument)):
        tenant_of(principal)


async def test_a_role_that_no_policy_binds_is_told_of(url: str) -> None:
    structlog.reset_defaults()
    mighty = url.replace(postgres_server.USER, postgres_server.ADMIN, 1)
    for at, said in ((url, []), (mighty, ["ROW_SECURITY_BYPASSED"])):
        with capture_logs() as log:
            await (await open_store(at, RULES, connections=1)).close()
        assert [e["reason"] for e in log if e["event"] == "row_security_bypassed"] == said
        found = await check_store(PostgresArchive(at), lambda *_: None)
        assert (found.warnings, found.counts) == (said, {})


OLDER = (
    "INSERT INTO party (gln, region, body) VALUES ('g', '210102', '')",
    "INSERT INTO product (gtin, issuer_gln, body) VALUES ('p', 'g', ''), ('q', 'gone', '')",
    "INSERT INTO batch (batch_key, gtin, lot, production_date, expiration_date, plant_gln, "
    "authorized_quantity, activation_required, issued_quantity, create_time) VALUES "
    "(1, 'p', 'l', '', '', '', 9, 0, 9, 1), (2, 'q', 'l', '', '', '', 9, 0, 9, 1), "
    "(3, 'gone', 'l', '', '', '', 9, 0, 9, 1)",
    "INSERT INTO allocation (batch_key, request_id, first_index, count, profile, key_id, "
    "create_time) VALUES (1, 'r', 0, 9, 'SIGNED', 1, 1), (3, 'r', 0, 9, 'SIGNED', 1, 1)",
    "INSERT INTO quantity_raise (batch_key, request_id, quantity, decider, reason, create_time) "
    "VALUES (1, 'r', 9, '', '', 1)",
    "INSERT INTO refused_order (batch_key, create_time, request_id, count) VALUES (1, 1, 'r', 9)",
    "INSERT INTO recall (batch_key, recall_id, create_time, body) VALUES (1, 'r', 1, '{}')",
)
OWNERS = (
    "SELECT gtin, issuer_gln, issuer_region FROM product UNION ALL "
    "SELECT 'batch ' || batch_key, issuer_gln, issuer_region FROM batch UNION ALL "
    "SELECT 'recall', issuer_gln, issuer_region FROM recall UNION ALL "
    "SELECT 'order ' || batch_key, issuer_gln, '' FROM allocation UNION ALL "
    "SELECT 'raise', issuer_gln, '' FROM quantity_raise UNION ALL "
    "SELECT 'refusal', issuer_gln, '' FROM refused_order ORDER BY 1"
)
FILLED = [
    ("batch 1", "g", "210102"), ("batch 2", "gone", ""), ("batch 3", "", ""),
    ("order 1", "g", ""), ("order 3", "", ""), ("p", "g", "210102"), ("q", "gone", ""),
    ("raise", "g", ""), ("recall", "g", "210102"), ("refusal", "g", ""),
]  # fmt: skip


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Migrations end before the one that says whose rows are; called, they do not any more."""
    for module in (schema, sqlite_session):
        steps = [step for step in module.migrations() if step[0] < 6]
        monkeypatch.setattr(module, "migrations", lambda steps=steps: steps)
    return monkeypatch.undo


async def test_rows_of_an_older_postgresql_are_given_their_owners(
    tmp_path: Path, older: Callable[[], None]
) -> None:
    server = postgres_server.shared()
    made = await server.database(tmp_path)
    try:
        await (await open_store(made, RULES, connections=1)).close()
        connection = await asyncpg.connect(made, server_settings=SERVICE_SETTINGS)
        for sql in OLDER:
            await connection.execute(sql)
        older()
        await (await open_store(made, RULES, connections=1)).close()
        assert [tuple(row) for row in await connection.fetch(OWNERS)] == FILLED
        await connection.close()
    finally:
        await server.drop(tmp_path)


async def test_rows_of_an_older_sqlite_are_given_their_owners(
    tmp_path: Path, older: Callable[[], None]
) -> None:
    path = tmp_path / "store.sqlite3"
    await (await open_sqlite(path, RULES)).close()
    with closing(sqlite3.connect(path)) as file, file:
        for sql in OLDER:
            file.execute(sql)
    older()
    await (await open_sqlite(path, RULES)).close()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute(OWNERS).fetchall() == FILLED
