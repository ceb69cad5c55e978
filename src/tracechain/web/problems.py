"""Errors of the domain as HTTP: the one table, and problem details for programs (RFC 9457)."""

from __future__ import annotations

import json
import math

from starlette.responses import Response

from tracechain.domain import errors

STATUS: dict[type[errors.TracechainError], int] = {
    errors.InvalidArgument: 400,
    errors.Unauthenticated: 401,
    errors.PermissionDenied: 403,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.FailedPrecondition: 409,
    errors.ResourceExhausted: 429,
    errors.Unavailable: 503,
    errors.DataCorrupted: 500,
}
# Reasons that HTTP has a word of its own for.
OWN_STATUS = {
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WRONG_HOST": 421,
}
_TITLES = {
    400: "Bad request",
    401: "Unauthenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}
_MAX_VIOLATIONS = 20


def status_of(error: errors.TracechainError) -> int:
    """The HTTP status of an error: by its reason, else by the nearest class in the table."""
    own = OWN_STATUS.get(error.reason)
    return own or next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def headers_of(error: errors.TracechainError) -> dict[str, str]:
    """What an error says in headers; a refusal is never kept by a cache."""
    headers = {"cache-control": "no-store"}
    if isinstance(error, errors.ResourceExhausted | errors.Unavailable):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return headers | {
        name: value for name, value in error.metadata.items() if name in ("allow", "connection")
    }


def problem(error: errors.TracechainError) -> Response:
    """Problem details of an error: `reason` is stable, `detail` is for people."""
    status = status_of(error)
    said: dict[str, object] = {
        "type": "about:blank",
        "title": _TITLES[status],
        "status": status,
        "detail": error.message,
        "reason": error.reason,
    }
    if isinstance(error, errors.InvalidArgument):
        said["violations"] = [
            {"field": v.field, "reason": v.reason, "description": v.description}
            for v in error.violations[:_MAX_VIOLATIONS]
        ]
    return _answer(status, said, headers_of(error))


def internal(incident: str) -> Response:
    """For what should not have happened: a number that the log knows, and nothing else."""
    said = {
        "type": "about:blank",
        "title": _TITLES[500],
        "status": 500,
        "detail": f"internal error; ask the operator about incident {incident}",
        "reason": "INTERNAL",
        "incident": incident,
    }
    return _answer(500, said, {"cache-control": "no-store"})


def _answer(status: int, said: dict[str, object], headers: dict[str, str]) -> Response:
    return Response(
        json.dumps(said, ensure_ascii=False), status, headers, "application/problem+json"
    )
