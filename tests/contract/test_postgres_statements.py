"""What makes the PostgreSQL store fit for a cluster, held against every statement and table.

A statement that asks every shard, or that a distributed table refuses, works on one machine and
fails on the day that the tables are distributed. The rules stand in tests/support/cluster_rules;
here they meet all that the store can send and the schema as a real server has it, and, so that
none of them passes for want of teeth, what each of them has to refuse.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.support import postgres_server
from tests.support.cluster_rules import (
    MONTHLY,
    REFERENCE,
    SCHEMA_RULES,
    STATEMENT_RULES,
    refused_words,
    tables_of,
    volatile,
)
from tests.support.stores import postgres_url
from tracechain.adapters import postgres
from tracechain.adapters.postgres import schema
from tracechain.adapters.postgres.recording import keys_of
from tracechain.adapters.postgres.statements import EVERY
from tracechain.adapters.tables import TABLES

GOODS = frozenset(table.name for table in TABLES if table.of_goods)
KNOWN = GOODS | REFERENCE
# What a person runs over a whole store (an export, a check) asks every shard on purpose.
SERVED = sorted(name for name in EVERY if not EVERY[name].maintenance)


def test_the_small_tables_are_those_of_the_rules() -> None:
    assert {t.name for t in TABLES if not t.of_goods} | {"schema_version"} == REFERENCE
    assert MONTHLY <= GOODS
    assert len(SERVED) > 60


@pytest.mark.parametrize("rule", STATEMENT_RULES)
def test_every_statement_keeps_the_rule(rule: str) -> None:
    held = STATEMENT_RULES[rule]
    broken = {
        name: [*held(EVERY[name].sql, GOODS, KNOWN)]
        for name in SERVED
        if [*held(EVERY[name].sql, GOODS, KNOWN)]
    }
    assert broken == {}


def test_every_statement_is_about_tables_that_are_known() -> None:
    others = {name for name in SERVED if not tables_of(EVERY[name].sql, KNOWN)}
    # The version's table and the months: what is made, and what is looked up in the catalogue; and
    # for whom a transaction is.
    assert others == {
        "MAKE_VERSION", "HAS_VERSION", "HAS_TABLE", "SHORT_LOCK", "MONTH_OF_SCANS",
        "MONTH_OF_AUDIT", "MONTH_OF_EVENTS", "CLOSE_MONTH_OF_AUDIT", "ACT_FOR",
    }  # fmt: skip


def test_the_migrations_keep_to_the_words() -> None:
    for number, text in schema.migrations():
        script = re.sub(r"--[^\n]*", "", text)
        assert [*refused_words(script), *volatile(script)] == [], number


# What each rule has to find, by the words that it says.
_READ = "SELECT body FROM recall WHERE batch_key = $1"
PLANTED = [
    ("refused words", "MERGE INTO batch USING scan ON true", "MERGE"),
    ("refused words", "WITH RECURSIVE up AS (SELECT 1) SELECT 1 FROM up", "recursive"),
    ("refused words", "SELECT pg_advisory_xact_lock($1)", "advisory"),
    ("refused words", "SELECT pg_try_advisory_lock(1)", "advisory"),
    ("refused words", "NOTIFY recalls", "NOTIFY"),
    ("refused words", "LISTEN recalls", "NOTIFY"),
    ("refused words", "SELECT pg_notify('a', 'b')", "NOTIFY"),
    ("refused words", "LOCK TABLE batch", "lock on a table"),
    ("refused words", "SELECT 1 FROM batch LEFT JOIN recall USING (batch_key)", "outer join"),
    ("refused words", "SELECT 1 FROM batch FULL OUTER JOIN recall USING (batch_key)", "outer"),
    ("refused words", f"{_READ} ORDER BY recall_id LIMIT 10 OFFSET $2", "OFFSET"),
    ("refused words", "SELECT nextval('numbers')", "sequence"),
    ("refused words", "SELECT 1 FROM scan WHERE batch_key = $1 AND ctid = $2", "place"),
    ("refused words", "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY)", "sequence"),
    ("refused words", "CREATE TABLE a (b bigint REFERENCES batch)", "foreign key"),
    ("refused words", "CREATE TRIGGER t AFTER INSERT ON scan EXECUTE FUNCTION f()", "trigger"),
    ("refused words", "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c ON DELETE SET NULL", "SET N"),
    ("volatile", "INSERT INTO claim (batch_key, unit, device, time) VALUES ($1, $2, $3, now())",
     "now("),
    ("volatile", "UPDATE batch SET create_time = random() WHERE batch_key = $1", "random"),
    ("volatile", "SELECT CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
    ("volatile", "SELECT clock_timestamp ()", "clock_timestamp"),
    ("volatile", "INSERT INTO document (batch_key, document_id) VALUES ($1, gen_random_uuid())",
     "uuid"),
    ("asks by key", "SELECT body FROM recall WHERE recall_id = $1", "without"),
    ("asks by key", "SELECT count(*) FROM scan", "without"),
    ("asks by key", "SELECT body FROM recall WHERE batch_key > $1", "without"),
    ("asks by key", "SELECT 1 FROM recall WHERE batch_key = $1 OR recall_id = $2", "OR"),
    ("asks by key", "DELETE FROM scan WHERE time < $1", "without"),
    ("asks by key", "UPDATE batch SET issued_quantity = $1 WHERE lot = $2", "without"),
    ("asks by key",
     "SELECT u.* FROM unnest($1::bigint[]) AS q (batch_key) CROSS JOIN LATERAL ( SELECT unit "
     "FROM unit_scan WHERE batch_key = q.batch_key ) AS u", "without"),
    ("puts by key", "INSERT INTO recall (recall_id, body) VALUES ($1, $2)", "without"),
    ("puts by key", "INSERT INTO recall VALUES ($1, $2, $3, $4)", "without"),
    ("puts by key", "INSERT INTO claim (batch_key, unit) SELECT batch_key, unit FROM unit_scan "
     "WHERE batch_key = $1", "made from"),
    ("joins by key", "SELECT 1 FROM batch JOIN product ON batch.gtin = product.gtin "
     "WHERE batch_key = $1", "a join of"),
    ("joins by key", "SELECT 1 FROM batch, recall WHERE batch_key = $1", "a join of"),
    ("joins by key", "SELECT 1 FROM touch AS a JOIN touch AS b ON a.event_id = b.event_id "
     "WHERE batch_key = $1", "itself"),
    ("joins by key", "SELECT 1 FROM unnest($2::bigint[]) AS q (unit) JOIN claim ON claim.unit = "
     "q.unit WHERE batch_key = $1", "something else"),
    ("upserts keep keys", "INSERT INTO claim (batch_key, unit) VALUES ($1, $2) "
     "ON CONFLICT (unit) DO UPDATE SET time = 1", "without batch_key"),
    ("upserts keep keys", "INSERT INTO claim (batch_key, unit) VALUES ($1, $2) ON CONFLICT ON "
     "CONSTRAINT claim_pkey DO UPDATE SET time = 1", "without batch_key"),
    ("upserts keep keys", "INSERT INTO claim (batch_key, unit) VALUES ($1, $2) "
     "ON CONFLICT (batch_key, unit) DO UPDATE SET unit = 1, time = 2", "changes its key"),
    ("updates keep keys", "UPDATE claim SET batch_key = $2 WHERE batch_key = $1", "changes"),
    ("updates keep keys", "UPDATE claim SET time = 1", "all rows"),
    ("locks by key", "SELECT 1 FROM batch WHERE batch_key = ANY($1) FOR UPDATE", "lock"),
    ("locks by key", "SELECT 1 FROM batch WHERE batch_key = $1 AND lot = $2 FOR SHARE", "lock"),
    ("locks by key", "SELECT 1 FROM counter FOR NO KEY UPDATE", "lock"),
    ("pages by key", "SELECT body FROM product ORDER BY gtin LIMIT $1", "page"),
    ("pages by key", "SELECT body FROM product WHERE gtin > $1 ORDER BY body LIMIT $2", "page"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "sql", "said"), PLANTED)
def test_the_rule_refuses(rule: str, sql: str, said: str) -> None:
    found = [*STATEMENT_RULES[rule](sql, GOODS, KNOWN)]
    assert any(said in words for words in found), found


def test_each_rule_was_seen_to_refuse_something() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(STATEMENT_RULES)
    assert {rule for rule, _ in PLANTED_TABLES} == set(SCHEMA_RULES)


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a migrated database."""
    made = await asyncpg.connect(await postgres_url(tmp_path))
    yield made
    await made.close()
    await postgres_server.shared().drop(tmp_path)


async def broken(connection: asyncpg.Connection, rule: str) -> list[str]:
    """What breaks a rule of the schema."""
    sql = SCHEMA_RULES[rule]
    rows = await connection.fetch(sql, *([sorted(GOODS)] if "$1" in sql else []))
    return [row[0] for row in rows]


async def test_the_schema_keeps_every_rule(connection: asyncpg.Connection) -> None:
    assert {rule: await broken(connection, rule) for rule in SCHEMA_RULES} == {
        rule: [] for rule in SCHEMA_RULES
    }


PLANTED_TABLES = [
    ("no foreign key", "ALTER TABLE recall ADD FOREIGN KEY (batch_key) REFERENCES batch"),
    ("no trigger", "CREATE TRIGGER t BEFORE UPDATE ON batch FOR EACH ROW "
                   "EXECUTE FUNCTION suppress_redundant_updates_trigger()"),
    ("no function or view", "CREATE VIEW recalled AS SELECT batch_key FROM recall"),
    ("no sequence or identity", "CREATE SEQUENCE numbers"),
    ("no sequence or identity", "ALTER TABLE party ADD n bigint GENERATED ALWAYS AS IDENTITY"),
    ("no default that is computed", "ALTER TABLE claim ADD at timestamptz DEFAULT now()"),
    ("batch_key in all goods", "ALTER TABLE claim RENAME batch_key TO batch"),
    ("batch_key in all goods", "ALTER TABLE document ALTER batch_key TYPE numeric"),
    ("a primary key everywhere", "ALTER TABLE recall DROP CONSTRAINT recall_pkey"),
    ("batch_key first in every index", "CREATE INDEX ON touch (event_id)"),
    ("batch_key first in every index", "CREATE UNIQUE INDEX ON batch (gtin, lot)"),
    ("batch_key first in every index", "CREATE INDEX ON batch ((batch_key + 1))"),
    ("batch_key first in every index", "CREATE INDEX ON scan (time)"),
    ("no exclusion", "ALTER TABLE party ADD EXCLUDE USING btree (gln WITH =)"),
    ("text by its bytes", "ALTER TABLE party ADD note text"),
    ("by month what grows, and nothing else",
     "DROP TABLE scan; CREATE TABLE scan (batch_key bigint NOT NULL, unit bigint)"),
    ("by month what grows, and nothing else",
     "DROP TABLE claim; CREATE TABLE claim (batch_key bigint) PARTITION BY RANGE (batch_key)"),
    ("every table is known", "CREATE TABLE more (batch_key bigint PRIMARY KEY)"),
]  # fmt: skip


async def test_each_rule_of_the_schema_refuses_what_breaks_it(
    connection: asyncpg.Connection,
) -> None:
    for rule, ddl in PLANTED_TABLES:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(ddl)
            assert await broken(connection, rule), ddl
        finally:
            await transaction.rollback()


async def test_the_server_takes_every_statement(connection: asyncpg.Connection) -> None:
    # A month is closed once it was made.
    for name in sorted(SERVED, key="CLOSE_MONTH_OF_AUDIT".__eq__):
        sql = EVERY[name].sql
        if "{" in sql:
            sql = sql.format(month="y1999m01", start=0, end=1, tenant="operator")
        if sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            await connection.prepare(sql)
        else:
            await connection.execute(sql)


@pytest.mark.parametrize("name", SERVED)
def test_the_keys_of_a_statement_are_seen(name: str) -> None:
    sql = EVERY[name].sql
    count = max([0, *map(int, re.findall(r"\$(\d+)", sql))])
    # Parameter n is the list [n]: what is read as a key must be that of the right place.
    keys = keys_of(sql, [[n + 1] for n in range(count)])
    if not tables_of(sql, GOODS) or sql.startswith("CREATE"):
        assert keys == frozenset()
        return
    if columns := re.match(r"INSERT INTO \w+ \(([^)]*)\)", sql):
        assert keys == {columns[1].split(", ").index("batch_key") + 1}
    else:
        assert keys == {1}


def test_no_sql_hides_in_the_modules_beside_the_registry() -> None:
    for info in pkgutil.iter_modules(postgres.__path__, postgres.__name__ + "."):
        module = __import__(info.name, fromlist=["_"])
        text = inspect.getsource(module)
        # What a connection is given is a registered statement, or a migration's text.
        sent = re.findall(r"\bconnection\.(?!transaction|close|is_closed|terminate)\w+\(([^),]*)",
                          text)  # fmt: skip
        assert set(sent) <= {"statement.sql", "text"}, info.name
        # And what is filled in at call time is a month of the calendar, or a name made here.
        made = re.findall(r"\bStatement\(([^)]*)\)", text)
        assert set(made) <= {"template.name, sql", "template.name, template.sql.format(name=name",
                             "_DROP_MONTH.name, _DROP_MONTH.sql.format(month=name",
                             'name, " ".join(sql.split('}, info.name  # fmt: skip
