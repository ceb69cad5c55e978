"""`tracechain links`: where the resolver sends those who ask for more than the verdict."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Stop
from tracechain.cli.goods import GOODS_HELP, goods_name
from tracechain.cli.output import done, print_json, table
from tracechain.v1 import issuance_pb2 as pb

app = typer.Typer(help="Register a product's or batch's own pages.", no_args_is_help=True)

_Goods = Annotated[str, typer.Argument(help=GOODS_HELP)]


@app.command("set")
def set_(
    goods: _Goods,
    link: Annotated[
        list[str] | None,
        typer.Option(
            help="TYPE=ADDRESS, such as pip=https://brand.example/; defaultLink is where a "
            "browser is sent. Before =, in this order and where wanted: @LANGUAGE, +CONTEXT. "
            "Repeatable; none takes all away."
        ),
    ] = None,
    title: Annotated[
        list[str] | None, typer.Option(help="What is there, for each --link in its order.")
    ] = None,
    request_id: Annotated[str, typer.Option(help="Kept with the record of the call.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Register the links of a product or batch, in the place of those before (issuer)."""
    links = [_link(text, title, place) for place, text in enumerate(link or ())]
    with Connection(server, api_key) as to:
        kept = to.issuance.SetLinkSet(
            pb.SetLinkSetRequest(
                name=goods_name(goods),
                link_set=pb.LinkSet(links=links),
                request_id=request_id or uuid.uuid4().hex,
            )
        )
    if as_json:
        return print_json(kept)
    return done(f"{len(kept.links)} link(s) of ", (kept.name, "bold"))


@app.command()
def show(
    goods: _Goods,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Show the links of a product or batch."""
    with Connection(server, api_key) as to:
        found = to.issuance.GetLinkSet(pb.GetLinkSetRequest(name=goods_name(goods)))
    if as_json:
        return print_json(found)
    return table(
        ("type", "language", "context", "title", "address"),
        [(one.link_type, one.language, one.context, one.title, one.href) for one in found.links],
    )


def _link(text: str, titles: list[str] | None, place: int) -> pb.ResolverLink:
    what, equals, href = text.partition("=")
    if not (what and equals and href):
        raise Stop("INVALID_LINK", f"{text} is not of the form TYPE=ADDRESS")
    what, _, context = what.partition("+")
    what, _, language = what.partition("@")
    title = titles[place] if titles and place < len(titles) else href
    return pb.ResolverLink(
        link_type=f"gs1:{what.removeprefix('gs1:')}",
        href=href,
        title=title,
        language=language,
        context=context,
    )
