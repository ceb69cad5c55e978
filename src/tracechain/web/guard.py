"""What stands in front of forms: where a request came from, and how often.

Promises that a form is acted on only where this site gave it out, to that device, for that code,
not long ago; and that one client, or many for one code, cannot send them without end. The
counting is in memory and by process: it bounds, it does not bill.
"""

from __future__ import annotations

import base64
import hmac
import struct
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from tracechain.app.ports import Clock
from tracechain.domain.errors import PermissionDenied, ResourceExhausted

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


def client_of(request: Request, proxies: int) -> str:
    """The address of the client, behind so many proxies of ours. Kept in memory alone."""
    if proxies:
        heard = request.headers.get("x-forwarded-for", "").split(",")
        if len(heard) >= proxies and (address := heard[-proxies].strip()):
            return address[:64]
    client = request.client
    return client.host if client else ""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    time: int


class Limit:
    """A token bucket for each name: `burst` at once, and `per_hour` in the long run. Of too many
    names the one that was quiet longest is forgotten."""

    def __init__(self, burst: int, per_hour: float, clock: Clock, *, most: int = 50_000) -> None:
        self._burst = burst
        self._per_micro = per_hour / 3600 / _SECOND
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str) -> None:
        """Takes one. Raises ResourceExhausted TOO_MANY_REQUESTS with the time to come back."""
        now = self._clock()
        bucket = self._buckets.pop(name, None) or _Bucket(self._burst, now)
        grown = bucket.tokens + (now - bucket.time) * self._per_micro
        bucket.tokens, bucket.time = min(grown, float(self._burst)), now
        self._buckets[name] = bucket
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            wait = (1 - bucket.tokens) / self._per_micro / _SECOND
            raise ResourceExhausted(
                "TOO_MANY_REQUESTS", "too many forms were sent; try again later", retry_after=wait
            )
        bucket.tokens -= 1
