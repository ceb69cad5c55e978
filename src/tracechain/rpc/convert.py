"""Messages to values of the domain and back; nothing here decides anything."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, cast

from google.protobuf.timestamp_pb2 import Timestamp

from tracechain.app.log.published import ProvedLeaf
from tracechain.domain.approval import Approval
from tracechain.domain.certificates import PlatformRoot
from tracechain.domain.code import Algorithm
from tracechain.domain.conflict import Conflict
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.keys import IssuerKey, JudgeEarlier, KeyState
from tracechain.domain.link_set import Link, LinkSet
from tracechain.domain.party import Credential, Party, PartyKind
from tracechain.domain.product import Batch, License, Product
from tracechain.domain.recall import Recall
from tracechain.domain.report import Report
from tracechain.domain.text import LocalizedText
from tracechain.rpc import names
from tracechain.v1 import (
    admin_pb2,
    annotations_pb2,
    capture_pb2,
    issuance_pb2,
    log_pb2,
    party_pb2,
    supervision_pb2,
)

E = TypeVar("E", bound=StrEnum)


@cache
def number(enum: Any, member: StrEnum | None) -> int:
    """The proto number of a domain enum's member; 0 (not specified) for None."""
    if member is None:
        return 0
    prefix = enum.DESCRIPTOR.values[0].name.removesuffix("UNSPECIFIED")
    return int(enum.Value(prefix + member.value.upper()))


def member(kind: type[E], enum: Any, value: int, field: str, default: E | None = None) -> E:
    """The domain's member for a proto number. Raises InvalidArgument INVALID_ENUM_VALUE for an
    unknown one, and for 0 where there is no default."""
    if value == 0 and default is not None:
        return default
    found = cast("E | None", _members(kind, enum).get(value))
    if found is None:
        raise InvalidArgument.of(field, "INVALID_ENUM_VALUE", f"{value} is no value of this field")
    return found


@cache
def _members(kind: type[E], enum: Any) -> dict[int, E]:
    prefix = enum.DESCRIPTOR.values[0].name.removesuffix("UNSPECIFIED")
    by_name = {item.value.upper(): item for item in kind}
    return {
        value.number: by_name[value.name.removeprefix(prefix)]
        for value in enum.DESCRIPTOR.values
        if value.name.removeprefix(prefix) in by_name
    }


def timestamp(micros: int | None) -> Timestamp | None:
    """Microseconds since 1970 as a Timestamp; None for None."""
    if micros is None:
        return None
    seconds, rest = divmod(micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def read_timestamp(value: Timestamp, field: str) -> int:
    """Microseconds since 1970. Raises InvalidArgument INVALID_TIME for what is no time."""
    try:
        return value.ToNanoseconds() // 1000
    except ValueError:
        raise InvalidArgument.of(field, "INVALID_TIME", "is no time") from None


def read_time(message: Any, field: str) -> int | None:
    """The time in a field of a message; None where it has none. Raises InvalidArgument."""
    return read_timestamp(getattr(message, field), field) if message.HasField(field) else None


def text(value: LocalizedText | None) -> party_pb2.LocalizedText | None:
    """A text in two languages; None for one that is not there."""
    if value is None or not (value.zh or value.en):
        return None
    return party_pb2.LocalizedText(zh=value.zh, en=value.en)


def read_text(message: party_pb2.LocalizedText) -> LocalizedText:
    """The domain's text."""
    return LocalizedText(message.zh, message.en)


def party(value: Party) -> party_pb2.Party:
    """A party."""
    return party_pb2.Party(
        name=names.party(value.gln),
        gln=value.gln,
        uscc=value.uscc,
        region=value.region,
        kind=number(party_pb2.PartyKind, value.kind),  # type: ignore[arg-type]
        display_name=text(value.display_name),
        create_time=timestamp(value.create_time),
    )


def read_party(message: party_pb2.Party) -> Party:
    """A party as it was sent; it is checked where it is registered."""
    return Party(
        message.gln,
        message.uscc,
        message.region,
        member(PartyKind, party_pb2.PartyKind, message.kind, "party.kind"),
        read_text(message.display_name),
    )


def credential(value: Credential) -> party_pb2.Credential:
    """A credential, without its hash."""
    return party_pb2.Credential(
        name=names.credential(value.party_gln, value.credential_id),
        role=number(annotations_pb2.Role, value.role),  # type: ignore[arg-type]
        region=value.region,
        label=value.label,
        create_time=timestamp(value.create_time),
        revoke_time=timestamp(value.revoke_time),
        kind=number(party_pb2.CredentialKind, value.kind),  # type: ignore[arg-type]
        scopes=value.scopes,
        expire_time=timestamp(value.expire_time),
        last_use_time=timestamp(value.last_use_time),
    )


def key(value: IssuerKey, now: int) -> party_pb2.IssuerKey:
    """An issuer key: its public half, and its state at this moment."""
    state = value.state(now)
    judgement = value.judge_earlier if state is KeyState.REVOKED else None
    return party_pb2.IssuerKey(
        name=names.key(value.issuer_gln, value.key_id),
        key_id=value.key_id,
        issuer_gln=value.issuer_gln,
        algorithm=number(party_pb2.Algorithm, value.algorithm),  # type: ignore[arg-type]
        public_key=value.public_key,
        create_time=timestamp(value.create_time),
        revoke_time=timestamp(value.revoke_time),
        activate_time=timestamp(value.activate_time),
        retire_time=timestamp(value.retire_time),
        state=number(party_pb2.KeyState, state),  # type: ignore[arg-type]
        judge_earlier=number(party_pb2.JudgeEarlier, judgement),  # type: ignore[arg-type]
        certificate=value.certificate,
    )


def root(value: PlatformRoot) -> party_pb2.PlatformRoot:
    """A root of the platform."""
    return party_pb2.PlatformRoot(
        certificate=value.certificate, create_time=timestamp(value.create_time)
    )


def approval(value: Approval, now: int) -> admin_pb2.Approval:
    """A proposal, and what has become of it at this moment."""
    return admin_pb2.Approval(
        name=names.approval(value.approval_id),
        act=number(admin_pb2.Act, value.act),  # type: ignore[arg-type]
        operation=value.operation,
        arguments=value.arguments,
        subject=value.subject,
        proposer_gln=value.proposer.party_gln,
        proposer_credential=value.proposer.credential_id,
        create_time=timestamp(value.create_time),
        expire_time=timestamp(value.expire_time),
        state=number(admin_pb2.ApprovalState, value.state(now)),  # type: ignore[arg-type]
        decider_gln=value.decider_gln,
        decider_credential=value.decider_credential,
        decide_time=timestamp(value.decide_time),
    )


def read_judgement(value: int) -> JudgeEarlier | None:
    """What is thought of earlier codes; None where it is not said."""
    if value == 0:
        return None
    return member(JudgeEarlier, party_pb2.JudgeEarlier, value, "judge_earlier")


def read_algorithm(value: int) -> Algorithm | None:
    """An algorithm; None where it is not said."""
    return member(Algorithm, party_pb2.Algorithm, value, "algorithm") if value else None


def product(value: Product) -> issuance_pb2.Product:
    """A product."""
    return issuance_pb2.Product(
        name=names.product(value.gtin),
        gtin=value.gtin,
        issuer_gln=value.issuer_gln,
        display_name=text(value.display_name),
        licenses=[
            issuance_pb2.License(kind=item.kind, number=item.number) for item in value.licenses
        ],
        standards=value.standards,
        create_time=timestamp(value.create_time),
    )


def read_product(message: issuance_pb2.Product) -> Product:
    """A product as it was sent; its issuer is the caller."""
    return Product(
        message.gtin,
        "",
        read_text(message.display_name),
        tuple(License(item.kind, item.number) for item in message.licenses),
        tuple(message.standards),
    )


def batch(value: Batch) -> issuance_pb2.Batch:
    """A batch."""
    return issuance_pb2.Batch(
        name=names.batch(value.gtin, value.lot),
        gtin=value.gtin,
        lot=value.lot,
        production_date=value.production_date,
        expiration_date=value.expiration_date,
        plant_gln=value.plant_gln,
        authorized_quantity=value.authorized_quantity,
        issued_quantity=value.issued_quantity,
        activation_required=value.activation_required,
        create_time=timestamp(value.create_time),
        batch_number=value.batch_number,
    )


def read_batch(message: issuance_pb2.Batch, gtin: str) -> Batch:
    """A batch of this product as it was sent."""
    return Batch(
        gtin,
        message.lot,
        message.production_date,
        message.expiration_date,
        message.plant_gln,
        message.authorized_quantity,
        message.activation_required,
    )


def recall(value: Recall, gtin: str, lot: str) -> supervision_pb2.Recall:
    """A recall. Single units come back as ranges of one."""
    return supervision_pb2.Recall(
        name=names.recall(gtin, lot, value.recall_id),
        kind=number(supervision_pb2.RecallKind, value.kind),  # type: ignore[arg-type]
        ranges=[
            supervision_pb2.IndexRange(first_index=first, count=end - first)
            for first, end in value.spans
        ],
        notice=text(value.notice),
        decider_gln=value.decider_gln,
        by_regulator=value.by_regulator,
        create_time=timestamp(value.create_time),
        lift_time=timestamp(value.lift_time),
    )


def link_set(value: LinkSet, name: str) -> issuance_pb2.LinkSet:
    """The links of what `name` names."""
    return issuance_pb2.LinkSet(
        name=name,
        links=[
            issuance_pb2.ResolverLink(
                link_type=link.link_type,
                href=link.href,
                title=link.title,
                language=link.language,
                context=link.context,
                media_type=link.media_type,
            )
            for link in value.links
        ],
        change_time=timestamp(value.change_time or None),
    )


def read_link_set(message: issuance_pb2.LinkSet) -> LinkSet:
    """Links as they were sent."""
    return LinkSet(
        tuple(
            Link(
                link.link_type, link.href, link.title, link.language, link.context, link.media_type
            )
            for link in message.links
        )
    )


def report(value: Report, photo: bytes | None = None) -> supervision_pb2.Report:
    """A report."""
    return supervision_pb2.Report(
        name=names.report(value.region, value.report_id),
        region=value.region,
        kind=number(supervision_pb2.ReportKind, value.kind),  # type: ignore[arg-type]
        text=value.text,
        code=value.code,
        gtin=value.gtin,
        issuer_gln=value.issuer_gln,
        create_time=timestamp(value.create_time),
        has_photo=value.has_photo,
        photo=photo or b"",
    )


def opened_leaf(value: ProvedLeaf) -> log_pb2.LogLeaf:
    """A leaf with its proof and what opens it."""
    leaf, proof = value
    return log_pb2.LogLeaf(
        leaf_index=leaf.leaf_index,
        entry=leaf.entry,
        proof=proof,
        salt=leaf.salt,
        fact=leaf.text,
    )


def conflicts(values: Iterable[Conflict]) -> list[Any]:
    """Conflicts by their numbers."""
    return [number(capture_pb2.ConflictReason, value) for value in values]
