"""What stands in front of forms: where a request came from.

Promises that a form is acted on only where this site gave it out, to that device, for that code,
not long ago. How often is for `tracechain.app.limits`.
"""

from __future__ import annotations

import base64
import hmac
import struct
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import Scope

from tracechain.app.limits import client_of
from tracechain.app.ports import Clock
from tracechain.domain.address import behind_proxies
from tracechain.domain.errors import PermissionDenied

_SECOND = 1_000_000
LIFETIME_SECONDS = 2 * 3600
_MAC_BYTES = 16
_TIME = struct.Struct(">I")


class FormTokens:
    """Tokens in forms: bound to the device, to what the form is about, and to the time."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def make(self, device: str, subject: str) -> str:
        """A token; 27 characters that need no escaping."""
        time = _TIME.pack(self._clock() // _SECOND & 0xFFFFFFFF)
        return (
            base64.urlsafe_b64encode(time + self._mac(time, device, subject)).decode().rstrip("=")
        )

    def check(self, token: str, device: str, subject: str) -> int:
        """When the token was made, in seconds since 1970. Raises PermissionDenied FORM_REFUSED
        for any but a fresh one that was made for the same."""
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=", b"-_", validate=True)
        except ValueError:
            raw = b""
        time, mac = raw[: _TIME.size], raw[_TIME.size :]
        if len(mac) != _MAC_BYTES or not device:
            raise _refused()
        made: int = _TIME.unpack(time)[0]
        age = (self._clock() // _SECOND - made) & 0xFFFFFFFF
        if age > LIFETIME_SECONDS or not hmac.compare_digest(mac, self._mac(time, device, subject)):
            raise _refused()
        return made

    def _mac(self, time: bytes, device: str, subject: str) -> bytes:
        said = time + device.encode() + b"\0" + subject.encode()
        return hmac.digest(self._key, said, "sha256")[:_MAC_BYTES]


def _refused() -> PermissionDenied:
    return PermissionDenied(
        "FORM_REFUSED",
        "this form was not given out by this site to this browser, or too long ago; cookies of "
        "this site are needed; open the page of the product again",
    )


def require_own_site(request: Request) -> None:
    """Raises PermissionDenied FOREIGN_ORIGIN where another site sent the form. A browser that
    says nothing of either kind is left to the token."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "").lower()
    if site not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc.lower() != host
    ):
        raise PermissionDenied("FOREIGN_ORIGIN", "another site sent this form")


def client_in(scope: Scope, proxies: int) -> str:
    """The client behind so many proxies of ours, as limits count it."""
    direct = scope["client"][0] if scope["client"] else ""
    if proxies:
        heard = (v.decode("latin-1") for k, v in scope["headers"] if k == b"x-forwarded-for")
        direct = behind_proxies(",".join(heard), direct, proxies)
    return client_of(direct)
