"""Every storage backend by name, and things to put in one.

A backend opens stores; two that it opens for one folder share their data, as two processes of a
deployment do. A new backend is one entry of BACKENDS: the contract's tests run over each.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.support import postgres_server
from tests.support.service import gln_of, gtin_of, uscc_of
from tracechain.adapters.postgres import open_store as open_postgres
from tracechain.adapters.sqlite import open_store
from tracechain.adapters.store_process import open_in_process
from tracechain.app.ports import NewEvent, Store, StoredEvent
from tracechain.domain.approval import Act, Approval
from tracechain.domain.audit import AuditRecord
from tracechain.domain.code import Algorithm, Profile
from tracechain.domain.keys import IssuerKey
from tracechain.domain.party import Credential, Party, PartyKind, Principal, Role
from tracechain.domain.product import Allocation, Batch, License, Product
from tracechain.domain.recall import Recall, RecallKind
from tracechain.domain.scan import Scan, ScanRules
from tracechain.domain.text import LocalizedText
from tracechain.domain.touch import EventDigest, Thing, Touch, TouchRole

RULES = ScanRules()
MINUTE = 60_000_000


@dataclass(frozen=True)
class Backend:
    """A way to keep data. `open` gives a store on the data that belongs to a folder; `forget`
    removes what a folder's end does not."""

    name: str
    open: Callable[[Path], Awaitable[Store]]
    forget: Callable[[Path], Awaitable[None]]


async def _sqlite(folder: Path) -> Store:
    return await open_store(folder / "store.sqlite3", RULES, busy_seconds=20)


async def _sqlite_process(folder: Path) -> Store:
    path = folder / "store.sqlite3"
    return await open_in_process(partial(open_store, path, RULES, busy_seconds=20))


async def _leave(folder: Path) -> None:
    """A folder goes with the test."""


async def postgres_url(folder: Path) -> str:
    """The database that belongs to a folder, with the schema in it."""
    server = postgres_server.shared()
    made = await server.database("template")
    template = made.rpartition("/")[2]
    if not await server.run("SELECT 1 FROM pg_class WHERE relname = 'unit_scan'", template):
        await (await open_postgres(made, RULES)).close()
    return await server.database(folder, template)


async def _postgres(folder: Path) -> Store:
    return await open_postgres(await postgres_url(folder), RULES, connections=4)


async def _drop(folder: Path) -> None:
    await postgres_server.shared().drop(folder)


BACKENDS = [
    Backend("sqlite", _sqlite, _leave),
    Backend("sqlite_process", _sqlite_process, _leave),
    Backend("postgres", _postgres, _drop),
]

# Batch keys that no test has used: examples of one test share a store.
fresh_key = itertools.count(1).__next__


def party(number: int, region: str = "210102", **fields: Any) -> Party:
    """A party with a name in both languages."""
    known = {
        "gln": gln_of(number),
        "uscc": uscc_of(number),
        "region": region,
        "kind": PartyKind.ISSUER,
        "display_name": LocalizedText("沈阳“老龙口”酒厂 🍶", 'Laolongkou "Distillery"'),
        "create_time": number,
    }
    return Party(**{**known, **fields})


def credential(number: int, owner: str, **fields: Any) -> Credential:
    """A credential of a party."""
    known = {
        "credential_id": f"credential{number:06}",
        "party_gln": owner,
        "role": Role.INSPECTOR,
        "region": "210000",
        "label": "二号仓",
        "secret_hash": hashlib.sha256(str(number).encode()).digest(),
        "create_time": number,
    }
    return Credential(**{**known, **fields})


def issuer_key(key_id: int, owner: str, request_id: str, **fields: Any) -> IssuerKey:
    """A key of an issuer; its halves are bytes of every value."""
    known = {
        "key_id": key_id,
        "issuer_gln": owner,
        "algorithm": Algorithm.ED25519,
        "public_key": bytes(range(256)),
        "wrapped_secret": bytes(range(255, -1, -1)),
        "request_id": request_id,
        "create_time": 1000,
    }
    return IssuerKey(**{**known, **fields})


def approval(approval_id: str, issuer: str, **fields: Any) -> Approval:
    """A proposal of an issuer's."""
    known = {
        "approval_id": approval_id,
        "act": Act.QUANTITY,
        "operation": "raise_quantity",
        "arguments": {"lot": "批-1", "reason": ""},
        "issuer_gln": issuer,
        "subject": "products/1/batches/2",
        "proposer": Principal(issuer, Role.ISSUER, "", "credential000001"),
        "create_time": 5,
        "expire_time": 50,
    }
    return Approval(**{**known, **fields})


def product(number: int, owner: str, **fields: Any) -> Product:
    """A product with licences."""
    known = {
        "gtin": gtin_of(number),
        "issuer_gln": owner,
        "display_name": LocalizedText("白酒", "Baijiu"),
        "licenses": (License("食品生产许可证", "SC10421010200001"), License("a", "b")),
        "standards": ("GB/T 10781.1", "GB 2757"),
        "create_time": number,
    }
    return Product(**{**known, **fields})


def batch(gtin: str, lot: str = "L1", quantity: int = 100, **fields: Any) -> Batch:
    """A batch that has no number yet."""
    known = {
        "gtin": gtin,
        "lot": lot,
        "production_date": "2026-01-05",
        "expiration_date": "",
        "plant_gln": gln_of(9),
        "authorized_quantity": quantity,
        "activation_required": True,
        "create_time": 5,
    }
    return Batch(**{**known, **fields})


def order(number: int, request_id: str, count: int, **fields: Any) -> Allocation:
    """Indices that are wanted of a batch."""
    known = {
        "batch_number": number,
        "request_id": request_id,
        "first_index": 0,
        "count": count,
        "profile": Profile.SIGNED,
        "key_id": 1,
        "create_time": 1,
    }
    return Allocation(**{**known, **fields})


def recall(number: int, recall_id: str, **fields: Any) -> Recall:
    """A recall of two ranges of a batch."""
    known = {
        "recall_id": recall_id,
        "batch_number": number,
        "kind": RecallKind.BLOCK,
        "spans": ((3, 4), (10, 4_294_967_296)),
        "notice": LocalizedText("请停止食用", "Do not use"),
        "decider_gln": gln_of(8),
        "by_regulator": True,
        "create_time": 7,
    }
    return Recall(**{**known, **fields})


def audit_record(number: int, **fields: Any) -> AuditRecord:
    """What a call left behind."""
    known = {
        "time": number,
        "record_id": mark(f"record {number}"),
        "party_gln": gln_of(1),
        "role": "issuer",
        "credential_id": "credential",
        "method": "IssuanceService.CreateProduct",
        "objects": {"name": "白酒 🍶"},
        "request_id": "request",
        "origin": mark("network"),
        "outcome": "OK",
        "old_values": {"a.b": '"'},
        "new_values": {"a.b": "\\", "c": ""},
    }
    return AuditRecord(**{**known, **fields})


def event_id(name: object) -> bytes:
    """An identity of an event, one for each name."""
    return hashlib.sha256(f"event {name}".encode()).digest()


def digest(name: object, time: int = 0, **fields: Any) -> EventDigest:
    """What an event says of the things that it touches."""
    known = {
        "event_id": event_id(name),
        "declaration": b"",
        "event_time": time,
        "record_time": time + 5,
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "step": "shipping",
        "disposition": "in_transit",
        "recorder": gln_of(2),
        "source": gln_of(2),
        "destination": gln_of(3),
        "read_point": "https://id.gs1.org/414/6901234000023",
        "biz_location": "",
    }
    return EventDigest(**{**known, **fields})


def touch(key: int, first: int, end: int, said: EventDigest, **fields: Any) -> Touch:
    """A run of units in an event."""
    known = {"role": TouchRole.ITEM, "is_class": False}
    return Touch(key, first, end, digest=said, **{**known, **fields})


def event(said: EventDigest, touches: Iterable[Touch] = (), body: str = "") -> NewEvent:
    """The event of a digest, with what it touches."""
    return NewEvent(
        StoredEvent(
            said.event_id,
            said.declaration,
            said.event_time,
            said.record_time,
            said.recorder,
            body or f'{{"type":"{said.type}","note":"白酒"}}',
        ),
        tuple(touches),
    )


def thing(key: int, first: int, end: int | None = None) -> Thing:
    """Units to ask about."""
    return Thing(key, first, first + 1 if end is None else end, "urn:asked")


def scan(key: int, unit: int, name: object, time: int = 0, **fields: Any) -> Scan:
    """A scan of a unit; the same name is the same scan."""
    known = {"device": mark("device"), "region": "210102"}
    return Scan(key, unit, time, mark(f"scan {name}"), **{**known, **fields})


def mark(name: object) -> bytes:
    """Eight bytes, the same for the same name."""
    return hashlib.sha256(str(name).encode()).digest()[:8]


def canonical(touches: Sequence[Touch]) -> list[Touch]:
    """Touches in an order of their own, for those whose order is nobody's promise."""
    return sorted(touches, key=repr)
