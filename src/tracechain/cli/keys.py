"""`tracechain keys`: API keys of parties, and the keys with which issuers sign codes."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from tracechain.cli import keks, key_life
from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Stop
from tracechain.cli.key_life import Gln
from tracechain.cli.output import console, done, note, print_json, short, table, when
from tracechain.domain.audit import OK
from tracechain.domain.errors import AlreadyExists
from tracechain.domain.identifiers import gln as checked_gln
from tracechain.domain.keys import JudgeEarlier
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.text import LocalizedText
from tracechain.v1 import admin_pb2, annotations_pb2, party_pb2, verification_pb2

app = typer.Typer(help="API keys, and issuers' signing keys.", no_args_is_help=True)
for _command in (key_life.create, key_life.activate, key_life.retire, key_life.rotate,
                 key_life.root, key_life.rotate_root, keks.new_kek, keks.rewrap):  # fmt: skip
    app.command()(_command)

# What clients/python reads for verification without a network.
_KEY_SET_FORMAT = "tracechain-keys/v1"

_SCOPE = typer.Option(
    help="Narrows what the role may: read, a service (EventService) or a method "
    "(EventService.CaptureEvents). May be repeated; all without it."
)
_DAYS = typer.Option(min=0, help="Days until the new one ends by itself; 0: never.")


@app.command()
def operator(
    gln: Gln,
    uscc: Annotated[str, typer.Option(help="Unified social credit code.")],
    region: Annotated[str, typer.Option(help="Division by GB/T 2260, six digits.")],
    zh: Annotated[str, typer.Option("--zh", help="Name in Chinese.")],
    en: Annotated[str, typer.Option("--en", help="Name in English.")] = "",
    label: Annotated[str, typer.Option(help="To tell keys apart.")] = "first operator",
    as_json: AsJson = False,
) -> None:
    """Make the operator's API key, on the machine that holds the store.

    The one key that no API key is needed for: who can write the store's folder may do it.
    """
    party = Party(gln, uscc, region, PartyKind.REGULATOR, LocalizedText(zh, en))
    api_key = asyncio.run(_operator(party, label))
    if as_json:
        print_json({"name": f"parties/{checked_gln(gln)}", "api_key": api_key})
        return
    done("operator ", (checked_gln(gln), "bold"))
    _show_secret(api_key)


async def _operator(party: Party, label: str) -> str:
    # Imported here: a command that only calls a server does not pay for one.
    from tracechain import bootstrap
    from tracechain.app.auditing import Call
    from tracechain.settings import Settings

    app = await bootstrap.build(Settings())
    try:
        await app.parties.register(party)
        _, key = await app.credentials.create(
            checked_gln(party.gln), Role.OPERATOR, "", label, label
        )
        # No call and no credential: whoever it was, that there is such a key is on record.
        made = {"parent": f"parties/{checked_gln(party.gln)}", "label": label}
        await app.auditing.record(Call("tracechain keys operator", "", None, made), OK)
    except AlreadyExists as error:
        if error.reason != "REQUEST_ID_USED":
            raise
        raise Stop(
            "REQUEST_ID_USED",
            f"the key with the label {label} was made before; its secret is not kept",
            "Make another one under another --label.",
        ) from None
    finally:
        await app.close()
    return key


@app.command()
def credential(
    gln: Gln,
    role: Annotated[Role, typer.Option(help="What its bearer may do.")],
    region: Annotated[str, typer.Option(help="The division that an inspector supervises.")] = "",
    label: Annotated[str, typer.Option(help="To tell keys apart.")] = "",
    scope: Annotated[list[str] | None, _SCOPE] = None,
    days: Annotated[float, _DAYS] = 0,
    certificate: Annotated[
        Path | None,
        typer.Option(
            help="PEM or DER file of a client certificate: whoever shows one over its public key "
            "is the party; no API key is made."
        ),
    ] = None,
    request_id: Annotated[str, typer.Option(help="Makes a repetition harmless.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Make an API key for a party, shown once, or take a certificate for it (operator)."""
    wanted = party_pb2.Credential(
        role=annotations_pb2.Role.Value(f"ROLE_{role.name}"),
        region=region,
        label=label,
        scopes=scope or (),
        expire_time=_after(days),
    )
    request_id = request_id or uuid.uuid4().hex
    with Connection(server, api_key) as to:
        if certificate is not None:
            registered = to.admin.RegisterCertificate(
                admin_pb2.RegisterCertificateRequest(
                    parent=f"parties/{gln}",
                    credential=wanted,
                    certificate=certificate.read_bytes(),
                    request_id=request_id,
                )
            )
            if as_json:
                return print_json(registered)
            return done((registered.name, "bold"), f"  {role}")
        made = to.admin.CreateCredential(
            admin_pb2.CreateCredentialRequest(
                parent=f"parties/{gln}", credential=wanted, request_id=request_id
            )
        )
    if as_json:
        return print_json(made)
    done((made.credential.name, "bold"), f"  {role}")
    return _show_secret(made.api_key)


@app.command()
def renew(
    name: Annotated[str, typer.Argument(help="parties/GLN/credentials/ID.")],
    overlap_hours: Annotated[
        float, typer.Option(help="How long the old key goes on; 0 ends it at once.")
    ] = 24,
    days: Annotated[float, _DAYS] = 0,
    request_id: Annotated[str, typer.Option(help="Makes a repetition harmless.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Make an API key in place of another one, shown once; the old one ends later (operator)."""
    with Connection(server, api_key) as to:
        made = to.admin.RotateCredential(
            admin_pb2.RotateCredentialRequest(
                name=name,
                overlap_seconds=int(overlap_hours * 3600),
                expire_time=_after(days),
                request_id=request_id or uuid.uuid4().hex,
            )
        )
    if as_json:
        return print_json(made)
    done((made.credential.name, "bold"), " in place of ", (name, "bold"))
    return _show_secret(made.api_key)


@app.command()
def credentials(
    gln: Gln,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """List the API keys and certificates of a party (operator)."""
    with Connection(server, api_key) as to:
        found = to.admin.ListCredentials(admin_pb2.ListCredentialsRequest(parent=f"parties/{gln}"))
    if as_json:
        return print_json(found)
    return table(
        ("name", "kind", "role", "scopes", "label", "ends", "last used"),
        [
            (
                one.name,
                short(party_pb2.CredentialKind.Name(one.kind), "CREDENTIAL_KIND_"),
                short(annotations_pb2.Role.Name(one.role), "ROLE_"),
                " ".join(one.scopes) or "all",
                one.label,
                _end_of(one),
                when(one.last_use_time) if one.HasField("last_use_time") else "never",
            )
            for one in found.credentials
        ],
    )


@app.command("list")
def list_(
    gln: Gln,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """List the signing keys of an issuer (issuer, operator)."""
    with Connection(server, api_key) as to:
        found = to.admin.ListIssuerKeys(admin_pb2.ListIssuerKeysRequest(parent=f"parties/{gln}"))
    if as_json:
        return print_json(found)
    return table(
        ("name", "algorithm", "state", "signs from", "until", "revoked from"),
        [
            (
                key.name,
                short(party_pb2.Algorithm.Name(key.algorithm), "ALGORITHM_"),
                key_life.state(key),
                *(
                    when(getattr(key, field)) if key.HasField(field) else ""
                    for field in ("activate_time", "retire_time", "revoke_time")
                ),
            )
            for key in found.keys
        ],
    )


@app.command()
def revoke(
    name: Annotated[
        str, typer.Argument(help="parties/GLN/keys/ID, or parties/GLN/credentials/ID.")
    ],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    since: Annotated[
        Timestamp | None,
        typer.Option(
            "--from",
            parser=key_life.moment,
            metavar="TIME",
            help="Codes issued from then on are refused; now without it. Signing keys only.",
        ),
    ] = None,
    earlier: Annotated[
        JudgeEarlier | None,
        typer.Option(help="What is thought of codes issued before. Signing keys only."),
    ] = None,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Revoke a signing key (issuer, operator) or an API key (operator).

    A signing key that is revoked can be revoked again, from an earlier time on or with a stricter
    judgement; never the other way.
    """
    if "/credentials/" in name and (since or earlier):
        raise typer.BadParameter("--from and --earlier are for signing keys")
    with Connection(server, api_key) as to:
        revoked: Any
        if "/credentials/" in name:
            revoked = to.admin.RevokeCredential(
                admin_pb2.RevokeCredentialRequest(name=name, request_id=uuid.uuid4().hex)
            )
        else:
            revoked = to.admin.RevokeIssuerKey(
                admin_pb2.RevokeIssuerKeyRequest(
                    name=name,
                    reason=reason,
                    revoke_time=since,
                    judge_earlier=party_pb2.JudgeEarlier.Value(
                        f"JUDGE_EARLIER_{earlier.name if earlier else 'UNSPECIFIED'}"
                    ),
                )
            )
    if as_json:
        return print_json(revoked)
    return done("revoked ", (revoked.name, "bold"))


@app.command()
def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; standard output without it.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Export all public keys, for verification without a network. Public."""
    keys: list[dict[str, Any]] = []
    request = verification_pb2.ListVerificationKeysRequest(page_size=1000)
    with Connection(server) as to:
        while True:
            page = to.verification.ListVerificationKeys(request)
            keys += [_exported(key) for key in page.keys]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    fetched = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    text = json.dumps({"format": _KEY_SET_FORMAT, "fetch_time": fetched, "keys": keys}, indent=2)
    if output is None:
        print(text)
        return
    output.write_text(text + "\n", encoding="utf-8")
    if as_json:
        print_json({"file": str(output), "keys": len(keys)})
    else:
        done(f"{len(keys)} keys in {output}")


def _exported(key: party_pb2.IssuerKey) -> dict[str, Any]:
    revoked = key.revoke_time.ToDatetime(datetime.UTC) if key.HasField("revoke_time") else None
    return {
        "key_id": key.key_id,
        "issuer": key.issuer_gln,
        "algorithm": party_pb2.Algorithm.Name(key.algorithm).removeprefix("ALGORITHM_"),
        "public_key": base64.b64encode(key.public_key).decode(),
        "revoke_time": revoked.isoformat(timespec="microseconds") if revoked else None,
    }


def _after(days: float) -> Timestamp | None:
    if not days:
        return None
    made = Timestamp()
    made.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days))
    return made


def _end_of(one: party_pb2.Credential) -> str:
    if one.HasField("revoke_time"):
        return f"revoked {when(one.revoke_time)}"
    return when(one.expire_time) if one.HasField("expire_time") else ""


def _show_secret(api_key: str) -> None:
    console.print(f"  export TRACECHAIN_API_KEY={api_key}", markup=False, soft_wrap=True)
    note("  It is shown this once; the service keeps only its hash.")
