"""The rules that keep a schema and its statements fit for a cluster (docs/architecture.md).

Each gives what breaks it, in words; nothing where it is kept. They are functions over a schema's
text or one statement, so that a test can hold them against what the program sends and against
what they must refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# Small tables that every machine has. All others are about goods.
REFERENCE = frozenset(
    {
        "party",
        "credential",
        "issuer_key",
        "service_secret",
        "approval",
        "product",
        "counter",
        "schema_version",
    }
)
# Tables that grow without end.
MONTHLY = frozenset({"scan", "event", "audit"})

_REFUSED = {
    "a trigger": r"\bTRIGGER\b",
    "a foreign key": r"\b(REFERENCES|FOREIGN\s+KEY)\b",
    "SET NULL": r"\bSET\s+NULL\b",
    "MERGE": r"\bMERGE\s+INTO\b",
    "a recursive query": r"\bRECURSIVE\b",
    "a sequence": r"\b(SMALLSERIAL|SERIAL|BIGSERIAL|IDENTITY|SEQUENCE|NEXTVAL|CURRVAL|LASTVAL)\b",
    "an advisory lock": r"\bPG_(TRY_)?ADVISORY\w*",
    "LISTEN or NOTIFY": r"\b(LISTEN|UNLISTEN|NOTIFY|PG_NOTIFY)\b",
    "a lock on a table": r"\bLOCK\s+TABLE\b",
    "an outer join": r"\b(OUTER|LEFT|RIGHT|FULL)\s+(OUTER\s+)?JOIN\b",
    "OFFSET": r"\bOFFSET\b",
    "a row's place": r"\b(CTID|XMIN|TABLEOID)\b",
    "WITH": r"^\s*WITH\b",
}
# What gives another value at each call; a shard and its copy would not agree.
_VOLATILE = re.compile(
    r"\b((NOW|RANDOM|CLOCK_TIMESTAMP|STATEMENT_TIMESTAMP|TRANSACTION_TIMESTAMP|TIMEOFDAY"
    r"|GEN_RANDOM_UUID|UUIDV[47]|SETVAL)\s*\(|(CURRENT_(TIMESTAMP|DATE|TIME)|LOCALTIME\w*)\b)",
    re.IGNORECASE,
)
_TABLE = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE|,)\s+(?!SET\b|LATERAL\b|unnest\b)([a-z_]\w*)", re.IGNORECASE
)


def tables_of(sql: str, known: frozenset[str]) -> frozenset[str]:
    """The tables of `known` that a statement reads or writes."""
    return frozenset(_TABLE.findall(_without_columns(sql))) & known


def _without_columns(sql: str) -> str:
    # Lists of columns could hold a word that is a table's name as well.
    return re.sub(r"\b(INTO \w+ |SELECT |BY )[^()]*?(?= FROM\b|\(|$)", r"\1", sql)


def refused_words(sql: str) -> Iterator[str]:
    """No trigger, foreign key, SET NULL, MERGE, recursive query, sequence or identity, advisory or
    table lock, LISTEN/NOTIFY; no outer join, and no OFFSET over shards."""
    for what, pattern in _REFUSED.items():
        if re.search(pattern, sql, re.IGNORECASE):
            yield what


def volatile(sql: str) -> Iterator[str]:
    """Nothing that gives another value at each call, in an upsert or anywhere else."""
    if found := _VOLATILE.search(sql):
        yield f"a volatile function: {found[0]}"


def asks_by_key(sql: str, goods: frozenset[str]) -> Iterator[str]:
    """Who asks for goods says whose: by a key, or by a list of keys beside rows that name them."""
    if not tables_of(sql, goods) or sql.startswith(("INSERT", "CREATE TABLE")):
        return
    found = re.search(
        r"\bWHERE batch_key = (\$1\b|ANY\(\$1\b|q\.batch_key AND batch_key = ANY\(\$1\b)", sql
    )
    if not found:
        yield "goods are asked for without a batch_key"
    elif re.search(r"\bOR\b", re.sub(r"\([^()]*\)|\((?:[^()]|\([^()]*\))*\)", "", sql)):
        yield "an OR beside the batch_key"


def puts_by_key(sql: str, goods: frozenset[str]) -> Iterator[str]:
    """What is put among goods has a batch_key, and comes from parameters alone."""
    if not sql.startswith("INSERT") or not tables_of(sql, goods):
        return
    columns = re.match(r"INSERT INTO \w+ \(([^)]*)\)", sql)
    if columns is None or "batch_key" not in columns[1].split(", "):
        yield "rows of goods without a batch_key"
    if re.search(r"\bFROM (?!unnest\()", sql.partition(" ON CONFLICT")[0]):
        yield "rows that are made from a table"


def joins_by_key(sql: str, known: frozenset[str]) -> Iterator[str]:
    """One table a statement; what is joined with it are rows that came along, by batch_key."""
    found = tables_of(sql, known)
    if len(found) > 1:
        yield f"a join of {', '.join(sorted(found))}"
    elif len(re.findall(rf"\b(?:FROM|JOIN) {next(iter(found), '-')}\b", sql)) > 1:
        yield "a table that is joined with itself"
    if (
        re.search(r"\bJOIN\b", sql)
        and found
        and not re.search(
            r"CROSS JOIN LATERAL \( ?SELECT [^()]* FROM \w+ WHERE batch_key = q\.batch_key\b", sql
        )
    ):
        yield "a join on something else than batch_key"


def upserts_keep_keys(sql: str, goods: frozenset[str]) -> Iterator[str]:
    """An upsert names a key that begins with batch_key, and changes no part of it."""
    if "DO UPDATE" not in sql or not tables_of(sql, goods):
        return
    key = re.search(r"ON CONFLICT \(([^)]*)\) DO UPDATE SET (.*?)(?: WHERE | RETURNING |$)", sql)
    if key is None or not key[1].startswith("batch_key"):
        yield "an upsert on a key without batch_key"
    elif set(re.findall(r"(\w+) = ", key[2])) & set(key[1].split(", ")):
        yield "an upsert that changes its key"


def updates_keep_keys(sql: str, goods: frozenset[str]) -> Iterator[str]:
    """No update changes a batch_key: the row would have to move."""
    if sql.startswith("UPDATE") and tables_of(sql, goods):
        changed = re.search(r"\bSET (.*?) WHERE", sql)
        if changed is None or re.search(r"\bbatch_key =", changed[1]):
            yield "an update that changes a batch_key, or all rows"


def locks_by_key(sql: str) -> Iterator[str]:
    """Rows are held by one key alone: locks over several shards can wait for each other."""
    if re.search(r"\bFOR (NO KEY )?(UPDATE|SHARE)\b|\bFOR KEY SHARE\b", sql) and not re.search(
        r"\bWHERE batch_key = \$1 FOR UPDATE$", sql
    ):
        yield "a lock that may be on several shards"


def pages_by_key(sql: str) -> Iterator[str]:
    """A list goes on behind the last key that was seen, in the order of keys that we gave."""
    behind_a_key = r"\b(\w+) > \$\d.*\bORDER BY \1\b|\bWHERE batch_key = \$1\b"
    if re.search(r"\bLIMIT \$", sql) and not re.search(behind_a_key, sql):
        yield "a page that does not go on behind a key"


Rule = Callable[[str, frozenset[str], frozenset[str]], Iterator[str]]
# Each takes a statement, the tables of goods, and all tables.
STATEMENT_RULES: dict[str, Rule] = {
    "refused words": lambda sql, goods, known: refused_words(sql),
    "volatile": lambda sql, goods, known: volatile(sql),
    "asks by key": lambda sql, goods, known: asks_by_key(sql, goods),
    "puts by key": lambda sql, goods, known: puts_by_key(sql, goods),
    "joins by key": lambda sql, goods, known: joins_by_key(sql, known),
    "upserts keep keys": lambda sql, goods, known: upserts_keep_keys(sql, goods),
    "updates keep keys": lambda sql, goods, known: updates_keep_keys(sql, goods),
    "locks by key": lambda sql, goods, known: locks_by_key(sql),
    "pages by key": lambda sql, goods, known: pages_by_key(sql),
}


# What a catalogue must not hold, as a query that gives what breaks the rule. $1 are the tables of
# goods; partitions follow their parents and are left out where they only repeat them.
SCHEMA_RULES = {
    "no foreign key": "SELECT conname::text FROM pg_constraint WHERE contype = 'f'",
    "no trigger": "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal",
    "no function or view": (
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "UNION ALL SELECT relname::text FROM pg_class WHERE relkind IN ('v', 'm') "
        "AND relnamespace = 'public'::regnamespace"
    ),
    "no sequence or identity": (
        "SELECT relname::text FROM pg_class WHERE relkind = 'S' UNION ALL "
        "SELECT attname::text FROM pg_attribute WHERE attidentity <> ''"
    ),
    "no default that is computed": (
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef "
        "WHERE pg_get_expr(adbin, adrelid) ~ '\\('"
    ),
    "batch_key in all goods": (
        "SELECT name FROM unnest($1::text[]) AS g (name) WHERE NOT EXISTS ("
        "SELECT FROM pg_attribute WHERE attrelid = name::regclass AND attname = 'batch_key' "
        "AND atttypid = 'bigint'::regtype AND attnotnull AND attnum = 1)"
    ),
    "a primary key everywhere": (
        "SELECT name FROM unnest($1::text[]) AS g (name) WHERE NOT EXISTS ("
        "SELECT FROM pg_index WHERE indrelid = name::regclass AND indisprimary)"
    ),
    "batch_key first in every index": (
        "SELECT indexrelid::regclass::text FROM pg_index, pg_attribute "
        "WHERE indrelid::regclass::text = ANY($1::text[]) AND attrelid = indrelid "
        "AND attnum = indkey[0] AND attname <> 'batch_key' UNION ALL "
        "SELECT indexrelid::regclass::text FROM pg_index "
        "WHERE indrelid::regclass::text = ANY($1::text[]) AND indkey[0] = 0"
    ),
    "no exclusion": "SELECT conname::text FROM pg_constraint WHERE contype = 'x'",
    "text by its bytes": (
        "SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute, pg_class "
        "WHERE attrelid = pg_class.oid AND relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'p') AND atttypid = 'text'::regtype AND NOT attisdropped "
        "AND attcollation <> '\"C\"'::regcollation"
    ),
    "by month what grows, and nothing else": (
        "SELECT name FROM unnest($1::text[]) AS g (name) WHERE "
        "(name IN ('scan', 'event', 'audit')) <> "
        "EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = name::regclass "
        "AND partstrat = 'r')"
    ),
    "every table is known": (
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> ALL($1::text[]) "
        "AND relname NOT IN ('party', 'credential', 'issuer_key', 'service_secret', 'approval', "
        "'product', 'counter', 'schema_version')"
    ),
}
