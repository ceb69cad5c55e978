"""What went wrong, why, and what to do about it.

An error that is not known here is a defect of ours and keeps its traceback: better an ugly truth
than a smooth guess.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from tomllib import TOMLDecodeError
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from pydantic_core import ValidationError
from rich.console import Console
from rich.text import Text

from tracechain.domain.errors import InvalidArgument, TracechainError, Violation

_CURES = {
    "INVALID_CREDENTIAL": "Set TRACECHAIN_API_KEY to a key that is in force; the operator makes "
    "one with `tracechain keys credential`.",
    "CREDENTIAL_EXPIRED": "Ask the operator for the next one: `tracechain keys renew`.",
    "TOKEN_EXPIRED": "Get a new token of its issuer.",
    "SCOPE_NOT_ALLOWED": "Use a credential whose scopes hold it: `tracechain keys credential "
    "--scope`.",
    "UNKNOWN_CERTIFICATE": "The operator registers it with `tracechain keys credential "
    "--certificate`.",
    "MISSING_CREDENTIAL": "Set TRACECHAIN_API_KEY, or pass --api-key.",
    "ROLE_NOT_ALLOWED": "Use the API key of a party whose role may do this.",
    "PARTY_NOT_FOUND": "Register it first: `tracechain register party`.",
    "PRODUCT_NOT_FOUND": "Register it first: `tracechain register product`.",
    "BATCH_NOT_FOUND": "Register it first: `tracechain register batch`.",
    "NO_SIGNING_KEY": "Make a key first: `tracechain keys create`.",
    "QUANTITY_EXCEEDED": "Raise what the batch may issue: `tracechain register quantity`.",
    "ORDER_NOT_FOUND": "Issue its codes first: `tracechain issue --order ID`, or --issue N.",
    "LABEL_TOO_SMALL": "Choose a larger --layout, fewer things on it (--no-text), or issue "
    "`--profile compact` codes.",
    "UNKNOWN_LAYOUT": "See `tracechain labels --help`.",
    "QUEUE_FULL": "The service is loaded; try again in a moment.",
    "PORT_TAKEN": "Stop what listens there, or choose another: --listen 127.0.0.1:50052.",
    "STORE_MISSING": "Set TRACECHAIN_DATA_DIR or TRACECHAIN_STORE_URL to where it is; see "
    "`tracechain config`.",
    "STORE_NOT_EMPTY": "Import into an empty database or folder; this one was left as it is.",
    "SCHEMA_TOO_OLD": "Bring it up to date first: `tracechain store migrate`.",
    "SCHEMA_TOO_NEW": "Use the release that wrote it, or a newer one.",
    "ARCHIVE_TOO_OLD": "Import it with the release that wrote it, then `tracechain store migrate`.",
    "ARCHIVE_CUT_OFF": "Export it again; nothing of it was kept.",
    "ARCHIVE_ALTERED": "Export it again; nothing of it was kept.",
    "ARCHIVE_UNKNOWN": "Name a file that `tracechain store export` wrote.",
    "IMPORT_DIFFERS": "Nothing of it was kept; see `tracechain store check` on the store that it "
    "came from, and report this.",
    "VALUE_REFUSED": "Nothing of it was kept; import it into the backend that it came from.",
    "STORE_EMBEDDED": "Set TRACECHAIN_STORE_URL to a PostgreSQL database; `tracechain store "
    "export` and `import` move this store there.",
    "CITUS_MISSING": "On the coordinator: load citus by shared_preload_libraries, then "
    "`CREATE EXTENSION citus` in this database.",
    "WORKERS_SEE_NOTHING": "On each worker, as a superuser: ALTER ROLE, the one of store_url, SET "
    "tracechain.tenant = 'service'; see docs/scale.md.",
    "DISTRIBUTED_OTHERWISE": "Bring the table back with `SELECT undistribute_table('…')`, then "
    "distribute again.",
    "LOG_UNREACHABLE": "Is it served there? What was kept so far stays as it is.",
    "LOG_FORK": "Publish the evidence: `tracechain log fork` checks it with the log's key alone.",
    "LOG_ROLLBACK": "An old answer of a cache passes; ask the log's operator if this does not.",
    "FALSE_TILE": "The server, or what is between, alters what the log signed; nothing was kept.",
    "FALSE_ENTRY": "The server, or what is between, alters what the log signed; nothing was kept.",
    "UNKNOWN_LOG": "Name the log's origin by --origin, or write its URL into the policy.",
    "OTHER_LOG": "Name another folder; or keep the log's former key in the policy, in a line of "
    "its own.",
    "STATE_DAMAGED": "A mirror heals its tiles with --verify. Keep the folder for whoever "
    "examines it, and begin in another one.",
    "FOLDER_IN_USE": "Stop the other process, or name another folder.",
    "LOG_KEY_MISSING": "Make it first: `tracechain log init`, or `tracechain witness init`.",
    "REQUEST_ID_USED": "Take another --request-id, or repeat the first request as it was.",
}
_CURES_BY_CODE = {
    grpc.StatusCode.UNAVAILABLE: "Is the service running there? Start it with `tracechain serve`, "
    "or name another: --server, TRACECHAIN_SERVER.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "The service took too long; the call may be repeated, "
    "nothing is done twice.",
    grpc.StatusCode.UNAUTHENTICATED: _CURES["MISSING_CREDENTIAL"],
    grpc.StatusCode.PERMISSION_DENIED: _CURES["ROLE_NOT_ALLOWED"],
}


class Stop(Exception):
    """A command cannot go on: cause, stable reason, cure."""

    def __init__(self, reason: str, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.cure = reason, message, cure


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed command in words. `reason` is stable, `fields` are wrong fields by path."""

    reason: str
    message: str
    cure: str = ""
    code: str = ""
    fields: tuple[dict[str, str], ...] = ()


def explain(error: Exception) -> Failure | None:
    """The failure that an error stands for; None where it is a defect."""
    match error:
        case Stop():
            return Failure(error.reason, error.message, error.cure)
        case grpc.RpcError():
            return _rpc(error)
        case InvalidArgument():
            return Failure(
                error.reason, error.message, _cure(error.reason), "", _fields(error.violations)
            )
        case TracechainError():
            return Failure(error.reason, error.message, _cure(error.reason))
        case ValidationError():
            return _settings(error)
        case TOMLDecodeError():
            return Failure(
                "INVALID_SETTING",
                f"the configuration file is no TOML: {error}",
                "It is tracechain.toml, or what TRACECHAIN_CONFIG names.",
            )
        case OSError():
            name = f"{error.filename}: " if error.filename else ""
            return Failure("FILE_ERROR", f"{name}{error.strerror or error}")
        case _:
            return None


def report(failure: Failure, *, as_json: bool) -> None:
    """Says it on standard error."""
    if as_json:
        print(json.dumps({"error": asdict(failure)}, ensure_ascii=False), file=sys.stderr)
        return
    console = Console(stderr=True, highlight=False)
    console.print(Text.assemble(("✗ ", "bold red"), failure.message), soft_wrap=True)
    for item in failure.fields[1:]:
        console.print(Text(f"  {item['field']}: {item['description']}"), soft_wrap=True)
    console.print(Text(f"  reason: {failure.reason}", style="dim"), soft_wrap=True)
    if failure.cure:
        console.print(Text(f"  → {failure.cure}"), soft_wrap=True)


def _cure(reason: str) -> str:
    return _CURES.get(reason, "")


def _fields(violations: Sequence[Violation]) -> tuple[dict[str, str], ...]:
    return tuple(
        {"field": v.field, "reason": v.reason, "description": v.description} for v in violations
    )


def _rpc(error: grpc.RpcError) -> Failure:
    code, details = error.code(), error.details()
    reason, fields = code.name, tuple[dict[str, str], ...]()
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == "grpc-status-details-bin":
            reason, fields = _details(value)
    cure = _cure(reason) or (_CURES_BY_CODE.get(code, "") if reason == code.name else "")
    return Failure(reason, details or code.name, cure, code.name, fields)


def _details(packed: bytes) -> tuple[str, tuple[dict[str, str], ...]]:
    status = status_pb2.Status.FromString(packed)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return info.reason, _fields(
        [Violation(v.field, v.reason, v.description) for v in bad.field_violations]
    )


def _settings(error: ValidationError) -> Failure:
    fields = tuple(
        {
            "field": ".".join(str(part) for part in item["loc"]),
            "reason": "INVALID_SETTING",
            "description": item["msg"],
        }
        for item in error.errors(include_input=False, include_url=False)
    )
    return Failure(
        "INVALID_SETTING",
        f"{fields[0]['field']}: {fields[0]['description']}",
        "See what each setting takes: `tracechain config --describe`.",
        "",
        fields,
    )
