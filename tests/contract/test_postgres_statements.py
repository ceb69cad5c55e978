"""What makes the PostgreSQL store fit for a cluster, held against every statement and table.

A statement that asks every shard, or that a distributed table refuses, works on one machine and
fails on the day that the tables are distributed. The words that a cluster refuses are looked for
in all that the store can send; where goods are asked for, each statement says whose.
"""

from __future__ import annotations

import inspect
import pkgutil
import re

import pytest

from tracechain.adapters import postgres
from tracechain.adapters.postgres import schema
from tracechain.adapters.postgres.statements import EVERY

REFERENCE = {"party", "credential", "issuer_key", "product", "counter", "schema_version"}
SCHEMA = "\n".join(text for _, text in schema.migrations())
CREATED = re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)( PARTITION BY[^;]*)?;", SCHEMA, re.DOTALL)
GOODS = {name for name, _, _ in CREATED} - REFERENCE
FORBIDDEN = re.compile(
    r"\b(TRIGGER|REFERENCES|FOREIGN KEY|SET NULL|MERGE|RECURSIVE|SERIAL|BIGSERIAL|IDENTITY|SEQUENCE"
    r"|NEXTVAL|NOW\(|RANDOM\(|CLOCK_TIMESTAMP|CURRENT_TIMESTAMP|PG_ADVISORY\w*|LISTEN|NOTIFY"
    r"|LOCK TABLE|OUTER JOIN|LEFT JOIN|FULL JOIN|OFFSET)\b",
    re.IGNORECASE,
)


def without_comments(sql: str) -> str:
    """A script's statements."""
    return re.sub(r"--[^\n]*", "", sql)


def tables_of(sql: str) -> set[str]:
    """The tables that a statement reads or writes."""
    named = re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE) (\w+)", re.sub(r"DO UPDATE SET", "", sql))
    return {name for name in named if name in GOODS | REFERENCE}


@pytest.mark.parametrize("name", [*sorted(EVERY), "migrations"])
def test_nothing_is_said_that_a_cluster_refuses(name: str) -> None:
    sql = without_comments(SCHEMA) if name == "migrations" else EVERY[name].sql
    found = FORBIDDEN.search(sql)
    assert found is None, found


@pytest.mark.parametrize("table", sorted(GOODS))
def test_every_table_of_goods_begins_each_key_with_batch_key(table: str) -> None:
    (body,) = [body for name, body, _ in CREATED if name == table]
    assert body.strip().startswith("batch_key bigint")
    keys = re.findall(r"(?:PRIMARY KEY|UNIQUE) \((\w+)", body)
    assert keys or "batch_key bigint PRIMARY KEY" in body
    assert set(keys) <= {"batch_key"}
    indexed = re.findall(rf"CREATE (?:UNIQUE )?INDEX \w+ ON {table} \((\w+)", SCHEMA)
    assert set(indexed) <= {"batch_key"}


def test_every_text_compares_by_its_bytes() -> None:
    assert re.findall(r"\btext\b(?! COLLATE \"C\")", without_comments(SCHEMA)) == []


# What a person runs over a whole store (an export, a check) asks every shard on purpose.
SERVED = sorted(name for name in EVERY if not EVERY[name].maintenance)


@pytest.mark.parametrize("name", SERVED)
def test_who_asks_for_goods_says_whose(name: str) -> None:
    sql = EVERY[name].sql
    goods = tables_of(sql) & GOODS
    if not goods or sql.startswith("CREATE TABLE"):
        return
    # One table of goods at most: nothing joins what may lie on two machines.
    assert len(goods) == 1
    assert not tables_of(sql) & REFERENCE
    if sql.startswith("INSERT"):
        assert re.match(r"INSERT INTO \w+ \((?:level, |gtin, )?[^)]*\bbatch_key\b", sql)
        assert "WHERE" not in sql.partition(" ON CONFLICT")[0]
    else:
        assert re.search(
            r"WHERE batch_key = (\$1|ANY\(\$1|q\.batch_key AND batch_key = ANY\(\$1)", sql
        )


@pytest.mark.parametrize("name", [name for name in EVERY if "FOR UPDATE" in EVERY[name].sql])
def test_rows_are_held_by_their_key_alone(name: str) -> None:
    assert re.search(r"WHERE batch_key = \$1 FOR UPDATE$", EVERY[name].sql)


@pytest.mark.parametrize("name", [name for name in EVERY if "ON CONFLICT (" in EVERY[name].sql])
def test_an_upsert_names_a_key_and_changes_none_of_it(name: str) -> None:
    sql = EVERY[name].sql
    (key,) = re.findall(r"ON CONFLICT \((batch_key[^)]*)\) DO UPDATE SET", sql)
    changed = re.findall(r"(\w+) = excluded\.", sql)
    assert changed
    assert not set(changed) & set(key.split(", "))


def test_no_sql_hides_in_the_modules_beside_the_registry() -> None:
    for info in pkgutil.iter_modules(postgres.__path__, postgres.__name__ + "."):
        module = __import__(info.name, fromlist=["_"])
        text = inspect.getsource(module)
        # What a connection is given is a registered statement, or a migration's text.
        sent = re.findall(r"_connection\.\w+\(([^),]*)", text)
        assert set(sent) <= {"statement.sql", "text"}, info.name
