"""Parties, credentials, keys and products in SQLite: the Directory port."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracechain.adapters import records
from tracechain.adapters.sqlite.session import Session
from tracechain.app.ports import StoredSecret
from tracechain.domain.code import Algorithm
from tracechain.domain.keys import IssuerKey, JudgeEarlier
from tracechain.domain.log.fact import Fact, key_fact
from tracechain.domain.party import Credential, Party
from tracechain.domain.product import Product

_KEY_COLUMNS = (
    "key_id, issuer_gln, algorithm, public_key, wrapped_secret, request_id, create_time, "
    "revoke_time, revoke_reason, activate_time, retire_time, judge_earlier, "
    "certificate"
)
_CREDENTIAL_COLUMNS = "body, revoke_time, expire_time, last_use_time"
_SECRET_COLUMNS = "name, wrapped_secret, public_part, create_time"


def next_number(connection: sqlite3.Connection, name: str) -> int:
    """The next value of a counter, from 1; gaps appear where a transaction rolls back."""
    row = connection.execute(
        "UPDATE counter SET value = value + 1 WHERE name = ? RETURNING value", (name,)
    ).fetchone()
    return int(row[0])


class DirectoryPart:
    """See tracechain.app.ports.Directory."""

    _writer: Session
    _reader: Session
    _note: Callable[[sqlite3.Connection, Iterable[Fact]], None]

    async def put_party(self, party: Party) -> Party:
        def work(connection: sqlite3.Connection) -> Party:
            connection.execute(
                "INSERT INTO party (gln, region, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (party.gln, party.region, records.party_to_json(party)),
            )
            row = connection.execute(
                "SELECT body FROM party WHERE gln = ?", (party.gln,)
            ).fetchone()
            return records.party_from_json(row[0])

        return await self._writer.write(work)

    async def get_party(self, gln: str) -> Party | None:
        row = await self._row("SELECT body FROM party WHERE gln = ?", (gln,))
        return records.party_from_json(row[0]) if row else None

    async def list_parties(self, after: str, limit: int, region: str) -> list[Party]:
        rows = await self._rows(
            "SELECT body FROM party WHERE gln > ? AND substr(region, 1, ?) = ? "
            "ORDER BY gln LIMIT ?",
            (after, len(region), region, limit),
        )
        return [records.party_from_json(row[0]) for row in rows]

    async def put_credential(self, credential: Credential) -> bool:
        return await self._writer.write(lambda connection: _put(connection, credential))

    async def get_credential(self, credential_id: str) -> Credential | None:
        row = await self._row(
            f"SELECT {_CREDENTIAL_COLUMNS} FROM credential WHERE credential_id = ?",
            (credential_id,),
        )
        return records.credential_from_json(*row) if row else None

    async def list_credentials(self, gln: str) -> list[Credential]:
        rows = await self._rows(
            f"SELECT {_CREDENTIAL_COLUMNS} FROM credential WHERE party_gln = ?", (gln,)
        )
        found = [records.credential_from_json(*row) for row in rows]
        return sorted(found, key=lambda c: (c.create_time, c.credential_id))

    async def revoke_credential(self, credential_id: str, time: int) -> Credential | None:
        def work(connection: sqlite3.Connection) -> Credential | None:
            connection.execute(
                "UPDATE credential SET revoke_time = ? "
                "WHERE credential_id = ? AND revoke_time IS NULL",
                (time, credential_id),
            )
            row = connection.execute(
                f"SELECT {_CREDENTIAL_COLUMNS} FROM credential WHERE credential_id = ?",
                (credential_id,),
            ).fetchone()
            return records.credential_from_json(*row) if row else None

        return await self._writer.write(work)

    async def replace_credential(self, old_id: str, until: int, new: Credential) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            if not _put(connection, new):
                return False
            connection.execute(
                "UPDATE credential SET expire_time = min(coalesce(expire_time, ?), ?) "
                "WHERE credential_id = ?",
                (until, until, old_id),
            )
            return True

        return await self._writer.write(work)

    async def note_uses(self, credential_ids: Sequence[str], time: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE credential SET last_use_time = max(coalesce(last_use_time, 0), ?) "
                "WHERE credential_id = ?",
                [(time, credential_id) for credential_id in credential_ids],
            )

        await self._writer.write(work)

    async def reserve_key_id(self) -> int:
        return await self._writer.write(lambda connection: next_number(connection, "key_id"))

    async def put_key(self, key: IssuerKey) -> IssuerKey:
        def work(connection: sqlite3.Connection) -> IssuerKey:
            added = connection.execute(
                "INSERT INTO issuer_key (key_id, issuer_gln, algorithm, public_key, "
                "wrapped_secret, request_id, create_time, activate_time, certificate, "
                "change_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    key.key_id,
                    key.issuer_gln,
                    key.algorithm.value,
                    key.public_key,
                    key.wrapped_secret,
                    key.request_id,
                    key.create_time,
                    key.activate_time,
                    key.certificate,
                    key.create_time,
                ),
            )
            if added.rowcount == 1:
                self._note(connection, [key_fact(key, key.create_time)])
            row = connection.execute(
                f"SELECT {_KEY_COLUMNS} FROM issuer_key WHERE issuer_gln = ? AND request_id = ?",
                (key.issuer_gln, key.request_id),
            ).fetchone()
            return _key(row)

        return await self._writer.write(work)

    async def list_keys(self, changed_since: int) -> list[IssuerKey]:
        rows = await self._rows(
            f"SELECT {_KEY_COLUMNS} FROM issuer_key WHERE change_time >= ? ORDER BY key_id",
            (changed_since,),
        )
        return [_key(row) for row in rows]

    async def activate_key(self, key_id: int, time: int, now: int) -> IssuerKey | None:
        return await self._change_key(
            key_id,
            now,
            "UPDATE issuer_key SET activate_time = ?1, change_time = ?2 WHERE key_id = ?3 "
            "AND revoke_time IS NULL AND (activate_time IS NULL OR activate_time > ?1)",
            (time, now, key_id),
        )

    async def retire_key(self, key_id: int, time: int, now: int) -> IssuerKey | None:
        return await self._change_key(
            key_id,
            now,
            "UPDATE issuer_key SET retire_time = ?1, change_time = ?2 WHERE key_id = ?3 "
            "AND revoke_time IS NULL AND (retire_time IS NULL OR retire_time > ?1)",
            (time, now, key_id),
        )

    async def revoke_key(
        self, key_id: int, time: int, earlier: JudgeEarlier, reason: str, now: int
    ) -> IssuerKey | None:
        return await self._change_key(
            key_id,
            now,
            "UPDATE issuer_key SET revoke_time = min(coalesce(revoke_time, ?1), ?1), "
            "judge_earlier = iif(revoke_time IS NULL, ?2, max(judge_earlier, ?2)), "
            "revoke_reason = ?3, change_time = ?4, "
            "revoke_record_time = coalesce(revoke_record_time, ?4) "
            "WHERE key_id = ?5 AND (revoke_time IS NULL OR revoke_time > ?1 OR judge_earlier < ?2)",
            (time, records.JUDGEMENTS.index(earlier), reason, now, key_id),
        )

    async def _change_key(
        self, key_id: int, now: int, sql: str, parameters: tuple[Any, ...]
    ) -> IssuerKey | None:
        def work(connection: sqlite3.Connection) -> IssuerKey | None:
            changed = connection.execute(sql, parameters)
            row = connection.execute(
                f"SELECT {_KEY_COLUMNS} FROM issuer_key WHERE key_id = ?", (key_id,)
            ).fetchone()
            if row is None:
                return None
            key = _key(row)
            if changed.rowcount == 1:
                self._note(connection, [key_fact(key, now)])
            return key

        return await self._writer.write(work)

    async def rewrap_key(self, key_id: int, old: bytes, new: bytes, now: int) -> bool:
        return await self._changed(
            "UPDATE issuer_key SET wrapped_secret = ?, change_time = ? "
            "WHERE key_id = ? AND wrapped_secret = ?",
            (new, now, key_id, old),
        )

    async def certify_key(self, key_id: int, certificate: bytes, now: int) -> None:
        await self._change_key(
            key_id,
            now,
            "UPDATE issuer_key SET certificate = ?, change_time = ? WHERE key_id = ?",
            (certificate, now, key_id),
        )

    async def put_secret(self, secret: StoredSecret) -> StoredSecret:
        def work(connection: sqlite3.Connection) -> StoredSecret:
            connection.execute(
                "INSERT INTO service_secret (name, wrapped_secret, public_part, create_time) "
                "VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (secret.name, secret.wrapped, secret.public, secret.create_time),
            )
            row = connection.execute(
                f"SELECT {_SECRET_COLUMNS} FROM service_secret WHERE name = ?", (secret.name,)
            ).fetchone()
            return StoredSecret(*row)

        return await self._writer.write(work)

    async def list_secrets(self) -> list[StoredSecret]:
        rows = await self._rows(f"SELECT {_SECRET_COLUMNS} FROM service_secret ORDER BY name", ())
        return [StoredSecret(*row) for row in rows]

    async def rewrap_secret(self, name: str, old: bytes, new: bytes) -> bool:
        return await self._changed(
            "UPDATE service_secret SET wrapped_secret = ? WHERE name = ? AND wrapped_secret = ?",
            (new, name, old),
        )

    async def _changed(self, sql: str, parameters: tuple[Any, ...]) -> bool:
        return await self._writer.write(lambda c: c.execute(sql, parameters).rowcount == 1)

    async def put_product(self, product: Product) -> Product:
        def work(connection: sqlite3.Connection) -> Product:
            connection.execute(
                "INSERT INTO product (gtin, issuer_gln, body, issuer_region) VALUES "
                "(?1, ?2, ?3, coalesce((SELECT region FROM party WHERE gln = ?2), '')) "
                "ON CONFLICT DO NOTHING",
                (product.gtin, product.issuer_gln, records.product_to_json(product)),
            )
            row = connection.execute(
                "SELECT body FROM product WHERE gtin = ?", (product.gtin,)
            ).fetchone()
            return records.product_from_json(row[0])

        return await self._writer.write(work)

    async def get_product(self, gtin: str) -> Product | None:
        row = await self._row("SELECT body FROM product WHERE gtin = ?", (gtin,))
        return records.product_from_json(row[0]) if row else None

    async def list_products(self, issuer: str, after: str, limit: int) -> list[Product]:
        if issuer:
            rows = await self._rows(
                "SELECT body FROM product WHERE issuer_gln = ? AND gtin > ? ORDER BY gtin LIMIT ?",
                (issuer, after, limit),
            )
        else:
            rows = await self._rows(
                "SELECT body FROM product WHERE gtin > ? ORDER BY gtin LIMIT ?", (after, limit)
            )
        return [records.product_from_json(row[0]) for row in rows]

    async def _row(self, sql: str, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
        rows = await self._rows(sql, parameters)
        return rows[0] if rows else None

    async def _rows(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return await self._reader.read(lambda c: c.execute(sql, parameters).fetchall())


def _put(connection: sqlite3.Connection, credential: Credential) -> bool:
    cursor = connection.execute(
        "INSERT INTO credential (credential_id, party_gln, body, expire_time) "
        "VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            credential.credential_id,
            credential.party_gln,
            records.credential_to_json(credential),
            credential.expire_time,
        ),
    )
    return cursor.rowcount == 1


def _key(row: tuple[Any, ...]) -> IssuerKey:
    return IssuerKey(
        row[0], row[1], Algorithm(row[2]), row[3], row[4], row[5], row[6], row[7], row[8],
        row[9], row[10], records.JUDGEMENTS[row[11]], row[12],
    )  # fmt: skip
