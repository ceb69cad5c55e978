"""`tracechain register`: parties, products, batches, and raising a batch's quantity."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Stop
from tracechain.cli.goods import BATCH_HELP, batch_name
from tracechain.cli.output import done, print_json
from tracechain.domain.identifiers import gtin14
from tracechain.domain.party import PartyKind
from tracechain.v1 import admin_pb2, issuance_pb2, party_pb2

app = typer.Typer(help="Register parties, products and batches.", no_args_is_help=True)

Zh = Annotated[str, typer.Option("--zh", help="Name in Chinese.")]
En = Annotated[str, typer.Option("--en", help="Name in English.")]


@app.command()
def party(
    gln: Annotated[str, typer.Argument(help="GLN, 13 digits.")],
    uscc: Annotated[str, typer.Option(help="Unified social credit code, 18 characters.")],
    region: Annotated[str, typer.Option(help="Division by GB/T 2260, six digits.")],
    kind: Annotated[PartyKind, typer.Option(help="What it does in the chain.")],
    zh: Zh,
    en: En = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Register a company or authority (operator)."""
    with Connection(server, api_key) as to:
        made = to.admin.CreateParty(
            admin_pb2.CreatePartyRequest(
                party=party_pb2.Party(
                    gln=gln,
                    uscc=uscc,
                    region=region,
                    kind=party_pb2.PartyKind.Value(f"PARTY_KIND_{kind.name}"),
                    display_name=party_pb2.LocalizedText(zh=zh, en=en),
                )
            )
        )
    if as_json:
        return print_json(made)
    return done("registered ", (made.name, "bold"), f"  {made.display_name.zh}")


@app.command()
def product(
    gtin: Annotated[str, typer.Argument(help="GTIN: 8, 12, 13 or 14 digits.")],
    zh: Zh,
    en: En = "",
    license: Annotated[
        list[str] | None,
        typer.Option(help="KIND:NUMBER of a licence, such as SC:SC11521010400123. Repeatable."),
    ] = None,
    standard: Annotated[
        list[str] | None,
        typer.Option(help="A standard that the product claims, such as GB/T 10781.1. Repeatable."),
    ] = None,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Register a product (issuer)."""
    licenses = []
    for text in license or ():
        sort, colon, number = text.partition(":")
        if not colon:
            raise Stop("INVALID_LICENSE", f"{text} is not of the form KIND:NUMBER")
        licenses.append(issuance_pb2.License(kind=sort, number=number))
    with Connection(server, api_key) as to:
        made = to.issuance.CreateProduct(
            issuance_pb2.CreateProductRequest(
                product=issuance_pb2.Product(
                    gtin=gtin14(gtin),
                    display_name=party_pb2.LocalizedText(zh=zh, en=en),
                    licenses=licenses,
                    standards=standard or (),
                )
            )
        )
    if as_json:
        return print_json(made)
    return done("registered ", (made.name, "bold"), f"  {made.display_name.zh}")


@app.command()
def batch(
    batch: Annotated[str, typer.Argument(help="GTIN/LOT.")],
    quantity: Annotated[int, typer.Option(help="How many codes it may issue.")],
    produced: Annotated[str, typer.Option(help="Production date, YYYY-MM-DD.")],
    expires: Annotated[str, typer.Option(help="Expiration date, YYYY-MM-DD.")] = "",
    plant: Annotated[str, typer.Option(help="GLN of the plant.")] = "",
    activation: Annotated[
        bool, typer.Option("--activation", help="Codes count only once they were commissioned.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Register a batch (issuer)."""
    gtin, slash, lot = batch.partition("/")
    if not slash:
        raise Stop("INVALID_NAME", f"{batch} is not of the form GTIN/LOT")
    with Connection(server, api_key) as to:
        made = to.issuance.CreateBatch(
            issuance_pb2.CreateBatchRequest(
                parent=f"products/{gtin14(gtin)}",
                batch=issuance_pb2.Batch(
                    lot=lot,
                    production_date=produced,
                    expiration_date=expires,
                    plant_gln=plant,
                    authorized_quantity=quantity,
                    activation_required=activation,
                ),
            )
        )
    if as_json:
        return print_json(made)
    return done(
        "registered ", (made.name, "bold"), f"  may issue {made.authorized_quantity:,} codes"
    )


@app.command()
def quantity(
    batch: Annotated[str, typer.Argument(help=BATCH_HELP)],
    to_quantity: Annotated[int, typer.Option("--to", help="What the batch may issue in all.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    request_id: Annotated[str, typer.Option(help="Makes a repetition harmless.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Raise what a batch may issue; an act of its own, kept with its reason (issuer)."""
    with Connection(server, api_key) as to:
        made = to.issuance.RaiseBatchQuantity(
            issuance_pb2.RaiseBatchQuantityRequest(
                name=batch_name(batch),
                authorized_quantity=to_quantity,
                reason=reason,
                request_id=request_id or uuid.uuid4().hex,
            )
        )
    if as_json:
        return print_json(made)
    return done((made.name, "bold"), f" may now issue {made.authorized_quantity:,} codes")
