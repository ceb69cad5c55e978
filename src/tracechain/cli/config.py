"""`tracechain config`: the configuration that is in force, and what each setting means."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tracechain.cli.connection import AsJson
from tracechain.cli.output import console, note, print_json, table


def config(
    describe: Annotated[
        bool, typer.Option("--describe", help="Say what each setting means and costs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the configuration in force; secrets are hidden.

    Each setting is an environment variable TRACECHAIN_NAME, or a line in tracechain.toml (or the
    file that TRACECHAIN_CONFIG names); the environment wins.
    """
    from tracechain.settings import Settings

    settings = Settings()
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    if as_json:
        print_json({name: _json(value) for name, value in values.items()})
        return
    if describe:
        for name, field in Settings.model_fields.items():
            console.print(f"[bold]TRACECHAIN_{name.upper()}[/] = {_text(values[name])}")
            note(f"  {field.description}")
        return
    table(
        ("setting", "value", "from"),
        [(n, _text(v), _source(n in settings.model_fields_set)) for n, v in values.items()],
    )


def _source(is_set: bool) -> str:
    return "set" if is_set else "default"


def _json(value: Any) -> Any:
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    if isinstance(value, tuple):
        return [item.model_dump(mode="json") for item in value]
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _text(value: Any) -> str:
    shown = _json(value)
    if isinstance(shown, list):
        return ", ".join(item["issuer"] for item in shown) or "-"
    if isinstance(shown, bool):
        return str(shown).lower()
    return "-" if shown in ("", None) else str(shown)
