"""Who calls: one answer for every transport, whatever the caller showed."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from tracechain.app.credentials import Credentials
from tracechain.app.known_callers import KnownCallers
from tracechain.domain.certificate import public_key_of
from tracechain.domain.errors import InvalidArgument, Unauthenticated
from tracechain.domain.party import Principal


class Tokens(Protocol):
    """Bearer tokens that others issue."""

    async def authenticate(self, token: str) -> Principal:
        """The principal of a token. Raises Unauthenticated, and Unavailable where nobody can tell
        at present."""


class Authenticating:
    """API keys, tokens and client certificates, each turned into a principal."""

    def __init__(
        self, credentials: Credentials, tokens: Tokens | None, known: KnownCallers
    ) -> None:
        """`known` is where those two keep whom they found."""
        self._credentials = credentials
        self._tokens = tokens
        self._known = known

    def known(self, text: str) -> Principal | None:
        """Whom `authorization: Bearer {text}` made a moment ago; None where `bearer` has to find
        it out."""
        return self._known.get(text)

    async def bearer(self, text: str) -> Principal:
        """The principal of `authorization: Bearer {text}`. Raises Unauthenticated, Unavailable."""
        # Three parts with dots are a token (RFC 7519, 3); no API key has a dot.
        if self._tokens is not None and text.count(".") == 2:
            return await self._tokens.authenticate(text)
        return await self._credentials.authenticate(text)

    async def certificate(self, shown: bytes) -> Principal:
        """The principal of a client certificate (PEM or DER) that the TLS handshake has checked.
        Raises Unauthenticated."""
        return await self._credentials.recognise(_public_key(shown))


@lru_cache(maxsize=1024)
def _public_key(certificate: bytes) -> bytes:
    # Shown again with each call of a connection.
    try:
        return public_key_of(certificate)
    except InvalidArgument as error:
        raise Unauthenticated("UNKNOWN_CERTIFICATE", error.message) from None
