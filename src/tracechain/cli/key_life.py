"""`tracechain keys create, activate, retire, rotate`: the life of the keys that sign codes; and
`root, rotate-root`: of what vouches for them."""

from __future__ import annotations

import hashlib
import ssl
import uuid
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.output import done, note, print_json, short
from tracechain.domain.code import Algorithm
from tracechain.v1 import admin_pb2, party_pb2, verification_pb2


def moment(text: str) -> Timestamp:
    """A time that a person gives. Raises BadParameter."""
    made = Timestamp()
    try:
        made.FromJsonString(text)
    except ValueError:
        raise typer.BadParameter("is no time as 2026-11-25T08:00:00Z") from None
    return made


Gln = Annotated[str, typer.Argument(help="GLN of the party.")]
KeyName = Annotated[str, typer.Argument(help="parties/GLN/keys/ID.")]
At = Annotated[
    Timestamp | None,
    typer.Option(parser=moment, metavar="TIME", help="From when on; now without it."),
]


def create(
    gln: Gln,
    algorithm: Annotated[Algorithm, typer.Option(help="ES256 is read by most.")] = Algorithm.ES256,
    pending: Annotated[bool, typer.Option(help="It signs only once it is activated.")] = False,
    at: At = None,
    request_id: Annotated[str, typer.Option(help="Makes a repetition harmless.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Make a key with which an issuer's codes are signed (issuer).

    The one that was activated last signs.
    """
    with Connection(server, api_key) as to:
        made = to.admin.CreateIssuerKey(
            admin_pb2.CreateIssuerKeyRequest(
                parent=f"parties/{gln}",
                algorithm=party_pb2.Algorithm.Value(f"ALGORITHM_{algorithm.name}"),
                pending=pending,
                activate_time=at,
                request_id=request_id or uuid.uuid4().hex,
            )
        )
    _show_key(made, as_json)


def activate(
    name: KeyName,
    at: At = None,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Let a key sign, at once or from a moment on (issuer, operator)."""
    with Connection(server, api_key) as to:
        request = admin_pb2.ActivateIssuerKeyRequest(name=name, activate_time=at)
        _show_key(to.admin.ActivateIssuerKey(request), as_json)


def retire(
    name: KeyName,
    at: At = None,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Let a key sign no more; its codes stay as good as they are (issuer, operator)."""
    with Connection(server, api_key) as to:
        request = admin_pb2.RetireIssuerKeyRequest(name=name, retire_time=at)
        _show_key(to.admin.RetireIssuerKey(request), as_json)


def rotate(
    gln: Gln,
    algorithm: Annotated[
        Algorithm | None, typer.Option(help="That of the newest key without it.")
    ] = None,
    at: At = None,
    request_id: Annotated[str, typer.Option(help="Makes a repetition harmless.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Put a new key in place of those that sign, which are retired (issuer, operator)."""
    with Connection(server, api_key) as to:
        made = to.admin.RotateIssuerKey(
            admin_pb2.RotateIssuerKeyRequest(
                parent=f"parties/{gln}",
                algorithm=party_pb2.Algorithm.Value(
                    f"ALGORITHM_{algorithm.name if algorithm else 'UNSPECIFIED'}"
                ),
                activate_time=at,
                request_id=request_id or uuid.uuid4().hex,
            )
        )
    _show_key(made, as_json)


def root(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; standard output without it.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Show the platform's roots and all keys' certificates under them, as PEM. Public."""
    request = verification_pb2.ListVerificationKeysRequest(page_size=1000)
    roots: list[bytes] = []
    certificates: list[bytes] = []
    with Connection(server) as to:
        while True:
            page = to.verification.ListVerificationKeys(request)
            roots = [one.certificate for one in page.roots]
            certificates += [key.certificate for key in page.keys]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    text = "".join(ssl.DER_cert_to_PEM_cert(der) for der in (*roots, *certificates))
    if output is not None:
        output.write_text(text, encoding="ascii")
    prints = [hashlib.sha256(der).hexdigest() for der in roots]
    if as_json:
        print_json({"roots": prints, "certificates": len(certificates)})
    elif output is None:
        print(text, end="")
    else:
        done(f"{len(roots)} roots and {len(certificates)} certificates in {output}")
        for mark in prints:
            note(f"  root, SHA-256 {mark}")


def rotate_root(
    request_id: Annotated[str, typer.Option(help="Repeat it once it is approved.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Make a new platform root, and certificates under it for all keys (operator, two of them)."""
    with Connection(server, api_key) as to:
        made = to.admin.RotatePlatformRoot(
            admin_pb2.RotatePlatformRootRequest(request_id=request_id or uuid.uuid4().hex)
        )
    if as_json:
        return print_json(made)
    return done("new root, SHA-256 ", (hashlib.sha256(made.certificate).hexdigest(), "bold"))


def _show_key(key: party_pb2.IssuerKey, as_json: bool) -> None:
    if as_json:
        print_json(key)
        return
    algorithm = short(party_pb2.Algorithm.Name(key.algorithm), "ALGORITHM_")
    done((key.name, "bold"), f"  {algorithm}, {state(key)}")


def state(key: party_pb2.IssuerKey) -> str:
    """Where a key is in its life, in a word."""
    return short(party_pb2.KeyState.Name(key.state), "KEY_STATE_").lower()
