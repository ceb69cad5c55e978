"""The facts that could later be denied, as the log records them: keys, batches, their quantities,
events, recalls, and what was handed out as evidence.

Promises that a fact has one text, and that the text holds all of it that can be denied: of an
event the SHA-256 of its body, which the store keeps. `keys` says whose history it belongs to: a
fact that left one out could be left out of an answer about those goods unseen.

A fact is opened whole or not at all, so what is for different readers is in different facts:
whoever holds a genuine code may be shown that its batch is registered, and never how many codes it
may have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from tracechain.domain.batch_key import derived, event_key
from tracechain.domain.keys import IssuerKey
from tracechain.domain.log.canonical import base64
from tracechain.domain.product import Batch
from tracechain.domain.recall import Recall


class FactKind(StrEnum):
    """What a leaf is about."""

    KEY = "key"
    BATCH = "batch"
    QUANTITY = "quantity"
    EVENT = "event"
    RECALL = "recall"
    RECALL_LIFTED = "recall_lifted"
    EVIDENCE = "evidence"


class Fact(NamedTuple):
    """A fact as it goes into the log. `time` is when the service took it (microseconds since 1970
    UTC), `keys` are the batch keys that it is about, each once, `text` is compact JSON."""

    kind: FactKind
    time: int
    keys: tuple[int, ...]
    text: str


def issuer_chain(gln: str) -> int:
    """The key under which the keys of an issuer have their history."""
    return derived(f"issuer:{gln}")


def decisions_chain(batch_number: int) -> int:
    """The key under which all that was decided about a batch (its quantity, recalls) has a short
    history of its own, beside its long one with all events."""
    return derived(f"decisions:{batch_number}")


def key_fact(key: IssuerKey, time: int) -> Fact:
    """What is known of an issuer's key from this moment on; never its secret."""
    return _fact(
        FactKind.KEY,
        time,
        (issuer_chain(key.issuer_gln),),
        key_id=key.key_id,
        issuer_gln=key.issuer_gln,
        algorithm=key.algorithm.value,
        public_key=base64(key.public_key),
        create_time=key.create_time,
        activate_time=key.activate_time,
        retire_time=key.retire_time,
        revoke_time=key.revoke_time,
        revoke_reason=key.revoke_reason,
        judge_earlier=key.judge_earlier.value,
        certificate=base64(key.certificate),
    )


def batch_fact(batch: Batch) -> Fact:
    """A batch is registered. Its quantity is a fact of its own: `first_quantity_fact`."""
    return _fact(
        FactKind.BATCH,
        batch.create_time,
        (batch.batch_number, decisions_chain(batch.batch_number)),
        batch_number=batch.batch_number,
        gtin=batch.gtin,
        lot=batch.lot,
        production_date=batch.production_date,
        expiration_date=batch.expiration_date,
        plant_gln=batch.plant_gln,
        activation_required=batch.activation_required,
    )


def first_quantity_fact(batch: Batch, issuer_gln: str) -> Fact:
    """How many codes of a batch are authorised when it is registered. No request raised it, so its
    `request_id` is empty, as that of no raise is."""
    return quantity_fact(
        batch.batch_number, batch.authorized_quantity, "", issuer_gln, "", batch.create_time
    )


def told_quantity(fact: Mapping[str, Any]) -> int | None:
    """The quantity that the fact of a batch tells in its earlier spelling, which had the first one
    in it; None for any other fact."""
    quantity: int | None = fact.get("authorized_quantity")
    return quantity


def quantity_fact(
    batch_number: int, quantity: int, request_id: str, decider: str, reason: str, time: int
) -> Fact:
    """The authorised quantity of a batch is raised."""
    return _fact(
        FactKind.QUANTITY,
        time,
        (batch_number, decisions_chain(batch_number)),
        batch_number=batch_number,
        quantity=quantity,
        request_id=request_id,
        decider=decider,
        reason=reason,
    )


def event_fact(
    event_id: bytes,
    declaration: bytes,
    event_time: int,
    record_time: int,
    recorder: str,
    body: str,
    touched: Iterable[int],
) -> Fact:
    """An event was captured. `touched` are the batch keys of what it names; it has one of its own
    besides, so that a declaration of its error cannot be left out either."""
    return _fact(
        FactKind.EVENT,
        record_time,
        (event_key(event_id), *touched),
        event_id=event_id.hex(),
        declaration=declaration.hex(),
        event_time=event_time,
        recorder=recorder,
        body_sha256=sha256(body.encode()).hexdigest(),
    )


def recall_fact(recall: Recall) -> Fact:
    """A recall or a block is decided."""
    return _fact(
        FactKind.RECALL,
        recall.create_time,
        (recall.batch_number, decisions_chain(recall.batch_number)),
        recall_id=recall.recall_id,
        batch_number=recall.batch_number,
        recall_kind=recall.kind.value,
        spans=[list(span) for span in recall.spans],
        notice={"zh": recall.notice.zh, "en": recall.notice.en},
        decider_gln=recall.decider_gln,
        by_regulator=recall.by_regulator,
    )


def lifted_fact(batch_number: int, recall_id: str, time: int, reason: str) -> Fact:
    """A recall is lifted."""
    return _fact(
        FactKind.RECALL_LIFTED,
        time,
        (batch_number, decisions_chain(batch_number)),
        batch_number=batch_number,
        recall_id=recall_id,
        reason=reason,
    )


def evidence_fact(
    evidence_id: str,
    subject: str,
    receiver_gln: str,
    time: int,
    keys: Sequence[int],
    contents_sha256: str,
) -> Fact:
    """The history under these keys, up to this fact itself, was handed out. `contents_sha256` is
    that of the bundle's manifest, in hex, so that what was handed out cannot become another."""
    return _fact(
        FactKind.EVIDENCE,
        time,
        keys,
        evidence_id=evidence_id,
        subject=subject,
        receiver_gln=receiver_gln,
        contents_sha256=contents_sha256,
    )


def _fact(kind: FactKind, time: int, keys: Iterable[int], **fields: Any) -> Fact:
    text = json.dumps(
        {"kind": kind.value, "time": time, **fields}, ensure_ascii=False, separators=(",", ":")
    )
    return Fact(kind, time, tuple(dict.fromkeys(keys)), text)
