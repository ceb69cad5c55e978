"""`tracechain keys new-kek, rewrap`: the key-encryption key and its replacement, on the machine
that holds the store's settings."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Annotated

import typer

from tracechain.cli.connection import AsJson
from tracechain.cli.failure import Stop
from tracechain.cli.output import console, done, note, print_json


def new_kek(
    uri: Annotated[
        str, typer.Argument(help="pkcs11:… to make it in a token; without, it is shown.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key-encryption key: 32 random bytes, or a key that never leaves its token."""
    if uri:
        from tracechain.adapters.pkcs11_kek import make_in_token

        kek_id = make_in_token(uri)
        if as_json:
            return print_json({"id": kek_id})
        return done("made ", (kek_id, "bold"))
    made = base64.b64encode(os.urandom(32)).decode()
    if as_json:
        return print_json({"kek": made})
    console.print(made, markup=False, soft_wrap=True)
    return note("  Keep it apart from the store, and a copy of it: without it no key can be read.")


def rewrap(
    to: Annotated[
        str, typer.Option(help="The id that `kek` has to have, so that it is the right one.")
    ] = "",
    check: Annotated[bool, typer.Option(help="Only count what is under another key.")] = False,
    as_json: AsJson = False,
) -> None:
    """Wrap all secrets under `kek` that are under another key, while nodes serve.

    Settings name both keys: the new one as kek, the old one as kek_previous, here and on every
    node. It may be cut off and repeated.
    """
    # Imported here: a command that only calls a server does not pay for one.
    from tracechain import bootstrap
    from tracechain.settings import Settings

    settings = Settings()
    kek_id = bootstrap.vault_for(settings).kek_id
    if to and to != kek_id:
        raise Stop("KEK_OTHER", f"kek is {kek_id}, not {to}", "Correct the setting, or --to.")
    ended = asyncio.run(bootstrap.rewrap(settings, dry=check))
    if as_json:
        return print_json(
            {"kek": ended.kek_id, "changed" if not check else "left": ended.rewrapped,
             "secrets": ended.secrets}
        )  # fmt: skip
    what = "under another key" if check else "wrapped anew"
    return done(f"{ended.rewrapped} of {ended.secrets} secrets {what}; kek is ", (kek_id, "bold"))
