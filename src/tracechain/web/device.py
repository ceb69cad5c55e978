"""The mark of a device: a random number in a cookie of this site, for a month.

It tells a second look by the same phone from a look by another one, and nothing else: it is not
derived from the phone or the person, it is stored as a salted hash that changes every month
(tracechain.app.ports.Digester), no other site sees it, and a phone without it is served as well.
"""

from __future__ import annotations

import re
import secrets

from starlette.types import Scope

_COOKIE = "__Host-device"
_SECONDS = 31 * 86_400
_VALUE = re.compile(rb"(?:^|;\s*)" + _COOKIE.encode() + rb"=([A-Za-z0-9_-]{22})(?:;|$)")


def device_of(scope: Scope) -> str:
    """The mark that a request carries; empty where it carries none, or something else."""
    for name, value in scope["headers"]:
        if name == b"cookie" and (found := mark_in(value)):
            return found
    return ""


def mark_in(cookies: bytes) -> str:
    """The mark among cookies; empty where it is not there, or something else is."""
    found = _VALUE.search(cookies)
    return found[1].decode() if found else ""


def fresh() -> str:
    """A new mark."""
    return secrets.token_urlsafe(16)


def cookie(mark: str) -> tuple[bytes, bytes]:
    """The header that gives a device its mark. Browsers take Secure cookies from loopback too."""
    said = f"{_COOKIE}={mark}; Max-Age={_SECONDS}; Path=/; Secure; HttpOnly; SameSite=Lax"
    return b"set-cookie", said.encode()
