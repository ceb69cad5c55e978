"""Parties, credentials, keys and products in PostgreSQL: the Directory port."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from tracechain.adapters import records
from tracechain.adapters.postgres.session import Session, Transaction
from tracechain.adapters.postgres.statements import Statement, statement
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

NEXT_NUMBER = statement(
    "NEXT_NUMBER", "UPDATE counter SET value = value + 1 WHERE name = $1 RETURNING value"
)
PUT_PARTY = statement(
    "PUT_PARTY", "INSERT INTO party (gln, region, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
)
GET_PARTY = statement("GET_PARTY", "SELECT body FROM party WHERE gln = $1")
LIST_PARTIES = statement(
    "LIST_PARTIES",
    "SELECT body FROM party WHERE gln > $1 AND starts_with(region, $3) ORDER BY gln LIMIT $2",
)
PUT_CREDENTIAL = statement(
    "PUT_CREDENTIAL",
    "INSERT INTO credential (credential_id, party_gln, body, expire_time) "
    "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING credential_id",
)
GET_CREDENTIAL = statement(
    "GET_CREDENTIAL",
    f"SELECT {_CREDENTIAL_COLUMNS} FROM credential WHERE credential_id = $1",
)
LIST_CREDENTIALS = statement(
    "LIST_CREDENTIALS", f"SELECT {_CREDENTIAL_COLUMNS} FROM credential WHERE party_gln = $1"
)
REVOKE_CREDENTIAL = statement(
    "REVOKE_CREDENTIAL",
    "UPDATE credential SET revoke_time = $2 WHERE credential_id = $1 AND revoke_time IS NULL",
)
END_CREDENTIAL = statement(
    "END_CREDENTIAL",
    "UPDATE credential SET expire_time = least(expire_time, $2) WHERE credential_id = $1",
)
NOTE_USES = statement(
    "NOTE_USES",
    "UPDATE credential SET last_use_time = greatest(last_use_time, $2) "
    "WHERE credential_id = ANY($1)",
)
PUT_KEY = statement(
    "PUT_KEY",
    "INSERT INTO issuer_key (key_id, issuer_gln, algorithm, public_key, wrapped_secret, "
    "request_id, create_time, activate_time, certificate, change_time) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $7) "
    "ON CONFLICT DO NOTHING RETURNING key_id",
)
GET_KEY = statement("GET_KEY", f"SELECT {_KEY_COLUMNS} FROM issuer_key WHERE key_id = $1")
FIND_KEY = statement(
    "FIND_KEY",
    f"SELECT {_KEY_COLUMNS} FROM issuer_key WHERE issuer_gln = $1 AND request_id = $2",
)
LIST_KEYS = statement(
    "LIST_KEYS", f"SELECT {_KEY_COLUMNS} FROM issuer_key WHERE change_time >= $1 ORDER BY key_id"
)
ACTIVATE_KEY = statement(
    "ACTIVATE_KEY",
    "UPDATE issuer_key SET activate_time = $2, change_time = $3 WHERE key_id = $1 "
    "AND revoke_time IS NULL AND (activate_time IS NULL OR activate_time > $2) "
    f"RETURNING {_KEY_COLUMNS}",
)
RETIRE_KEY = statement(
    "RETIRE_KEY",
    "UPDATE issuer_key SET retire_time = $2, change_time = $3 WHERE key_id = $1 "
    "AND revoke_time IS NULL AND (retire_time IS NULL OR retire_time > $2) "
    f"RETURNING {_KEY_COLUMNS}",
)
REVOKE_KEY = statement(
    "REVOKE_KEY",
    "UPDATE issuer_key SET revoke_time = least(revoke_time, $2), "
    "judge_earlier = CASE WHEN revoke_time IS NULL THEN $3 ELSE greatest(judge_earlier, $3) END, "
    "revoke_reason = $4, change_time = $5, "
    "revoke_record_time = coalesce(revoke_record_time, $5) WHERE key_id = $1 "
    "AND (revoke_time IS NULL OR revoke_time > $2 OR judge_earlier < $3) "
    f"RETURNING {_KEY_COLUMNS}",
)
REWRAP_KEY = statement(
    "REWRAP_KEY",
    "UPDATE issuer_key SET wrapped_secret = $3, change_time = $4 "
    "WHERE key_id = $1 AND wrapped_secret = $2 RETURNING key_id",
)
CERTIFY_KEY = statement(
    "CERTIFY_KEY",
    "UPDATE issuer_key SET certificate = $2, change_time = $3 WHERE key_id = $1 "
    f"RETURNING {_KEY_COLUMNS}",
)
PUT_SECRET = statement(
    "PUT_SECRET",
    "INSERT INTO service_secret (name, wrapped_secret, public_part, create_time) "
    "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
)
GET_SECRET = statement(
    "GET_SECRET",
    "SELECT name, wrapped_secret, public_part, create_time FROM service_secret WHERE name = $1",
)
LIST_SECRETS = statement(
    "LIST_SECRETS",
    "SELECT name, wrapped_secret, public_part, create_time FROM service_secret ORDER BY name",
)
REWRAP_SECRET = statement(
    "REWRAP_SECRET",
    "UPDATE service_secret SET wrapped_secret = $3 WHERE name = $1 AND wrapped_secret = $2 "
    "RETURNING name",
)
PUT_PRODUCT = statement(
    "PUT_PRODUCT",
    "INSERT INTO product (gtin, issuer_gln, body, issuer_region) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT DO NOTHING",
)
REGION_OF = statement("REGION_OF", "SELECT region FROM party WHERE gln = $1")
GET_PRODUCT = statement("GET_PRODUCT", "SELECT body FROM product WHERE gtin = $1")
LIST_PRODUCTS = statement(
    "LIST_PRODUCTS", "SELECT body FROM product WHERE gtin > $1 ORDER BY gtin LIMIT $2"
)
LIST_PRODUCTS_OF = statement(
    "LIST_PRODUCTS_OF",
    "SELECT body FROM product WHERE issuer_gln = $3 AND gtin > $1 ORDER BY gtin LIMIT $2",
)


async def next_number(session: Session, name: str) -> int:
    """The next value of a counter, from 1. It is taken for good, whatever becomes of it: a
    transaction around it would hold up everybody else who takes one."""
    return int(_must(await session.row(NEXT_NUMBER, name))[0])


class DirectoryPart:
    """See tracechain.app.ports.Directory. Rows are written once or changed once, each by one
    statement: what is read behind it is what has become of it, whoever wrote it."""

    _session: Session
    _note: Callable[[Transaction, Iterable[Fact]], Coroutine[Any, Any, None]]

    async def put_party(self, party: Party) -> Party:
        await self._session.fetch(PUT_PARTY, party.gln, party.region, records.party_to_json(party))
        row = _must(await self._session.row(GET_PARTY, party.gln))
        return records.party_from_json(row[0])

    async def get_party(self, gln: str) -> Party | None:
        row = await self._session.row(GET_PARTY, gln)
        return records.party_from_json(row[0]) if row else None

    async def list_parties(self, after: str, limit: int, region: str) -> list[Party]:
        rows = await self._session.fetch(LIST_PARTIES, after, limit, region)
        return [records.party_from_json(row[0]) for row in rows]

    async def put_credential(self, credential: Credential) -> bool:
        return await self._session.row(PUT_CREDENTIAL, *_credential(credential)) is not None

    async def get_credential(self, credential_id: str) -> Credential | None:
        row = await self._session.row(GET_CREDENTIAL, credential_id)
        return records.credential_from_json(*row) if row else None

    async def list_credentials(self, gln: str) -> list[Credential]:
        rows = await self._session.fetch(LIST_CREDENTIALS, gln)
        found = [records.credential_from_json(*row) for row in rows]
        return sorted(found, key=lambda c: (c.create_time, c.credential_id))

    async def revoke_credential(self, credential_id: str, time: int) -> Credential | None:
        await self._session.fetch(REVOKE_CREDENTIAL, credential_id, time)
        return await self.get_credential(credential_id)

    async def replace_credential(self, old_id: str, until: int, new: Credential) -> bool:
        async def work(transaction: Transaction) -> bool:
            if await transaction.row(PUT_CREDENTIAL, *_credential(new)) is None:
                return False
            await transaction.fetch(END_CREDENTIAL, old_id, until)
            return True

        return await self._session.transact(work)

    async def note_uses(self, credential_ids: Sequence[str], time: int) -> None:
        await self._session.fetch(NOTE_USES, list(credential_ids), time)

    async def reserve_key_id(self) -> int:
        return await next_number(self._session, "key_id")

    async def put_key(self, key: IssuerKey) -> IssuerKey:
        row = (
            key.key_id,
            key.issuer_gln,
            key.algorithm.value,
            key.public_key,
            key.wrapped_secret,
            key.request_id,
            key.create_time,
            key.activate_time,
            key.certificate,
        )

        async def work(transaction: Transaction) -> None:
            if await transaction.row(PUT_KEY, *row) is not None:
                await self._note(transaction, [key_fact(key, key.create_time)])

        await self._session.transact(work)
        return _key(_must(await self._session.row(FIND_KEY, key.issuer_gln, key.request_id)))

    async def list_keys(self, changed_since: int) -> list[IssuerKey]:
        return [_key(row) for row in await self._session.fetch(LIST_KEYS, changed_since)]

    async def activate_key(self, key_id: int, time: int, now: int) -> IssuerKey | None:
        return await self._change_key(ACTIVATE_KEY, now, key_id, time, now)

    async def retire_key(self, key_id: int, time: int, now: int) -> IssuerKey | None:
        return await self._change_key(RETIRE_KEY, now, key_id, time, now)

    async def revoke_key(
        self, key_id: int, time: int, earlier: JudgeEarlier, reason: str, now: int
    ) -> IssuerKey | None:
        strictness = records.JUDGEMENTS.index(earlier)
        return await self._change_key(REVOKE_KEY, now, key_id, time, strictness, reason, now)

    async def _change_key(
        self, change: Statement, now: int, key_id: int, *parameters: object
    ) -> IssuerKey | None:
        async def work(transaction: Transaction) -> IssuerKey | None:
            row = await transaction.row(change, key_id, *parameters)
            if row is None:
                # Nothing to change: it is like that already, or not there.
                row = await transaction.row(GET_KEY, key_id)
                return _key(row) if row else None
            await self._note(transaction, [key_fact(_key(row), now)])
            return _key(row)

        return await self._session.transact(work)

    async def rewrap_key(self, key_id: int, old: bytes, new: bytes, now: int) -> bool:
        return await self._session.row(REWRAP_KEY, key_id, old, new, now) is not None

    async def certify_key(self, key_id: int, certificate: bytes, now: int) -> None:
        await self._change_key(CERTIFY_KEY, now, key_id, certificate, now)

    async def put_secret(self, secret: StoredSecret) -> StoredSecret:
        await self._session.fetch(
            PUT_SECRET, secret.name, secret.wrapped, secret.public, secret.create_time
        )
        return StoredSecret(*_must(await self._session.row(GET_SECRET, secret.name)))

    async def list_secrets(self) -> list[StoredSecret]:
        return [StoredSecret(*row) for row in await self._session.fetch(LIST_SECRETS)]

    async def rewrap_secret(self, name: str, old: bytes, new: bytes) -> bool:
        return await self._session.row(REWRAP_SECRET, name, old, new) is not None

    async def put_product(self, product: Product) -> Product | None:
        body = records.product_to_json(product)

        async def work(transaction: Transaction) -> Sequence[Any] | None:
            region = await transaction.row(REGION_OF, product.issuer_gln)
            await transaction.fetch(
                PUT_PRODUCT, product.gtin, product.issuer_gln, body, region[0] if region else ""
            )
            return await transaction.row(GET_PRODUCT, product.gtin)

        row = await self._session.transact(work)
        return records.product_from_json(row[0]) if row else None

    async def get_product(self, gtin: str) -> Product | None:
        row = await self._session.row(GET_PRODUCT, gtin)
        return records.product_from_json(row[0]) if row else None

    async def list_products(self, issuer: str, after: str, limit: int) -> list[Product]:
        if issuer:
            rows = await self._session.fetch(LIST_PRODUCTS_OF, after, limit, issuer)
        else:
            rows = await self._session.fetch(LIST_PRODUCTS, after, limit)
        return [records.product_from_json(row[0]) for row in rows]


def _must(row: Sequence[Any] | None) -> Sequence[Any]:
    # It was written a moment ago, by us or before us, and nothing is ever deleted.
    assert row is not None
    return row


def _credential(credential: Credential) -> tuple[Any, ...]:
    body = records.credential_to_json(credential)
    return credential.credential_id, credential.party_gln, body, credential.expire_time


def _key(row: Sequence[Any]) -> IssuerKey:
    return IssuerKey(
        row[0], row[1], Algorithm(row[2]), row[3], row[4], row[5], row[6], row[7], row[8],
        row[9], row[10], records.JUDGEMENTS[row[11]], row[12],
    )  # fmt: skip
