"""RFC 3161 time stamps by rfc3161-client: asked for over HTTP, and verified against roots.

Promises that a stamp which passes is over exactly this data, by an authority that a given root
vouches for, with a certificate for time stamping that was good at that time. What is not checked:
whether the certificate was revoked since; for that its authority has to be asked.

RFC 3161 sections 2.4 (request and response) and 3.4 (over HTTP).
"""

from __future__ import annotations

import datetime
from hashlib import sha256

import httpx
import structlog
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimeStampRequest,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from tracechain.domain.errors import InvalidArgument, Unavailable
from tracechain.domain.evidence.manifest import STAMP

_LOG = structlog.get_logger(__name__)
_TIMEOUT = 10.0
_MAX_BYTES = 64 * 1024
_SHA_256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")


class HttpTimeStamps:
    """The TimeStamps port: an authority at a URL, believed where its stamps lead to these roots."""

    def __init__(self, url: str, roots: bytes) -> None:
        """`roots` are certificates in PEM. Raises Unavailable SETTING_INVALID for none."""
        try:
            self._roots = read_roots(roots)
        except InvalidArgument as error:
            raise Unavailable("SETTING_INVALID", f"tsa_roots: {error.message}") from None
        self._url = url

    async def stamp(self, data: bytes) -> bytes:
        """See TimeStamps."""
        request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
        try:
            answer = await self._ask(request)
            _check(answer, data, self._roots, request.nonce)
        except (httpx.HTTPError, InvalidArgument) as error:
            # What the authority said is for the operator, not for whoever exports.
            _LOG.warning("time_stamp_failed", error=type(error).__name__, why=str(error)[:200])
            raise Unavailable(
                "TSA_UNAVAILABLE", "the time stamping authority gave no good stamp", retry_after=5.0
            ) from error
        return answer

    async def _ask(self, request: TimeStampRequest) -> bytes:
        """The authority's answer. Raises httpx.HTTPError."""
        headers = {"content-type": "application/timestamp-query"}
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as client,
            client.stream(
                "POST", self._url, content=request.as_bytes(), headers=headers
            ) as response,
        ):
            response.raise_for_status()
            found = b""
            async for part in response.aiter_bytes():
                found += part
                if len(found) > _MAX_BYTES:
                    raise httpx.DecodingError("longer than any time stamp")
        return found


def read_roots(pem: bytes) -> list[x509.Certificate]:
    """Certificates in PEM. Raises InvalidArgument INVALID_CERTIFICATE."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise InvalidArgument.of(
            "roots", "INVALID_CERTIFICATE", "are no certificates in PEM"
        ) from None


def stamped_time(stamp: bytes, data: bytes, roots: list[x509.Certificate]) -> datetime.datetime:
    """The time in a stamp over this data. Raises InvalidArgument FALSE_TIME_STAMP."""
    return _check(stamp, data, roots, None)


def _check(
    stamp: bytes, data: bytes, roots: list[x509.Certificate], nonce: int | None
) -> datetime.datetime:
    try:
        response = decode_timestamp_response(stamp)
        info = response.tst_info
        if info.message_imprint.hash_algorithm != _SHA_256:
            raise _false("is over another kind of hash")
        VerifierBuilder(roots=roots, nonce=nonce).build().verify(response, sha256(data).digest())
    except (ValueError, TypeError, VerificationError) as error:
        raise _false(str(error)) from None
    return info.gen_time


def _false(why: str) -> InvalidArgument:
    return InvalidArgument.of(STAMP, "FALSE_TIME_STAMP", why)
