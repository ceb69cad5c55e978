"""How values of the domain look as JSON, for every store and cache: exact both ways."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from tracechain.domain.approval import Act, Approval, ApprovalState
from tracechain.domain.keys import JudgeEarlier
from tracechain.domain.link_set import Link, LinkSet
from tracechain.domain.party import (
    Credential,
    CredentialKind,
    Party,
    PartyKind,
    Principal,
    Role,
)
from tracechain.domain.product import License, Product
from tracechain.domain.recall import Recall, RecallKind
from tracechain.domain.report import Report, ReportKind
from tracechain.domain.text import LocalizedText

# Judgements are kept as numbers, so that stores can compare their strictness.
JUDGEMENTS = tuple(JudgeEarlier)


def dumps(value: Any) -> str:
    """Compact JSON, Chinese as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def party_to_json(party: Party) -> str:
    """A party as JSON text."""
    return dumps(asdict(party))


def party_from_json(text: str) -> Party:
    """The party that `party_to_json` wrote."""
    data = json.loads(text)
    return Party(
        data["gln"],
        data["uscc"],
        data["region"],
        PartyKind(data["kind"]),
        LocalizedText(**data["display_name"]),
        data["create_time"],
    )


def product_to_json(product: Product) -> str:
    """A product as JSON text."""
    return dumps(asdict(product))


def product_from_json(text: str) -> Product:
    """The product that `product_to_json` wrote."""
    data = json.loads(text)
    return Product(
        data["gtin"],
        data["issuer_gln"],
        LocalizedText(**data["display_name"]),
        tuple(License(**item) for item in data["licenses"]),
        tuple(data["standards"]),
        data["create_time"],
    )


def credential_to_json(credential: Credential) -> str:
    """A credential as JSON text; what changes of it is kept beside it, not in it."""
    data = asdict(credential)
    data["secret_hash"] = credential.secret_hash.hex()
    del data["revoke_time"], data["expire_time"], data["last_use_time"]
    return dumps(data)


def credential_from_json(
    text: str, revoke_time: int | None, expire_time: int | None, last_use_time: int | None
) -> Credential:
    """The credential that `credential_to_json` wrote. Before schema 3 all were API keys."""
    data = json.loads(text)
    return Credential(
        data["credential_id"],
        data["party_gln"],
        Role(data["role"]),
        data["region"],
        data["label"],
        bytes.fromhex(data["secret_hash"]),
        data["create_time"],
        revoke_time,
        CredentialKind(data.get("kind", CredentialKind.API_KEY)),
        tuple(data.get("scopes", ())),
        expire_time,
        last_use_time,
    )


def approval_to_json(approval: Approval) -> str:
    """A proposal as JSON text; its decision is kept beside it, not in it."""
    data = asdict(approval)
    for name in ("kept", "decider_gln", "decider_credential", "decide_time"):
        del data[name]
    data["proposer"]["scopes"] = sorted(approval.proposer.scopes)
    return dumps(data)


def approval_from_json(
    text: str, kept: str, decider_gln: str, decider_credential: str, decide_time: int | None
) -> Approval:
    """The proposal that `approval_to_json` wrote."""
    data = json.loads(text)
    proposer = data["proposer"]
    data["act"] = Act(data["act"])
    scopes = frozenset(proposer["scopes"])
    data["proposer"] = Principal(**{**proposer, "role": Role(proposer["role"]), "scopes": scopes})
    return Approval(
        **data,
        kept=ApprovalState(kept),
        decider_gln=decider_gln,
        decider_credential=decider_credential,
        decide_time=decide_time,
    )


def recall_to_json(recall: Recall) -> str:
    """A recall as JSON text; its lifting is kept beside it, not in it."""
    data = asdict(recall)
    del data["lift_time"], data["lift_reason"]
    return dumps(data)


def recall_from_json(text: str, lift_time: int | None, lift_reason: str) -> Recall:
    """The recall that `recall_to_json` wrote."""
    data = json.loads(text)
    return Recall(
        data["recall_id"],
        data["batch_number"],
        RecallKind(data["kind"]),
        tuple((first, end) for first, end in data["spans"]),
        LocalizedText(**data["notice"]),
        data["decider_gln"],
        data["by_regulator"],
        data["create_time"],
        lift_time,
        lift_reason,
    )


def link_set_to_json(links: LinkSet) -> str:
    """The links as JSON text; their time is kept beside it, not in it."""
    return dumps([asdict(link) for link in links.links])


def link_set_from_json(text: str, change_time: int) -> LinkSet:
    """The links that `link_set_to_json` wrote."""
    return LinkSet(tuple(Link(**item) for item in json.loads(text)), change_time)


def report_to_json(report: Report) -> str:
    """A report as JSON text; whether it has a photograph is told by what is kept beside it."""
    data = asdict(report)
    del data["has_photo"]
    return dumps(data)


def report_from_json(text: str, has_photo: bool) -> Report:
    """The report that `report_to_json` wrote."""
    data = json.loads(text)
    return Report(**{**data, "kind": ReportKind(data["kind"])}, has_photo=has_photo)
