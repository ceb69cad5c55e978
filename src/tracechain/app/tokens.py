"""The use case behind a bearer token: who its issuer is, whether it is his, whom it makes.

A token that was checked is believed for some seconds, and never past its end: its caller is known
(`known_callers.py`), and checking a signature with each of his calls would cost more than many of
the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tracechain.app.known_callers import KnownCallers
from tracechain.app.ports import Clock
from tracechain.app.visibility import Visibility
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.party import Principal, check_role
from tracechain.domain.token import Token, TokenIssuer, invalid

# In microseconds. A key that its issuer withdraws stops within it, once it is seen to be gone.
_BELIEVED = 10_000_000


class SignatureCheck(Protocol):
    """Tells an issuer's tokens from others."""

    async def verify(self, token: Token) -> None:
        """Returns where the issuer signed the token. Raises Unauthenticated INVALID_TOKEN, and
        Unavailable TOKEN_ISSUER_UNAVAILABLE where his keys cannot be had."""


class BearerTokens:
    """See tracechain.app.authenticating.Tokens."""

    def __init__(
        self,
        issuers: Sequence[tuple[TokenIssuer, SignatureCheck]],
        visibility: Visibility,
        clock: Clock,
        known: KnownCallers,
    ) -> None:
        self._issuers = {issuer.issuer: (issuer, check) for issuer, check in issuers}
        self._visibility = visibility
        self._clock = clock
        self._known = known

    async def authenticate(self, text: str) -> Principal:
        """The principal of a token. Raises Unauthenticated INVALID_TOKEN and TOKEN_EXPIRED,
        Unavailable TOKEN_ISSUER_UNAVAILABLE."""
        now = self._clock()
        token = Token.parse(text)
        trusted = self._issuers.get(token.issuer)
        if trusted is None:
            raise invalid("its issuer is not known here")
        issuer, check = trusted
        # First the signature: what is amiss with a token is told to nobody who could not have one.
        await check.verify(token)
        end = token.check(issuer, now)
        principal = await self._principal(token, issuer)
        self._known.keep(text, principal, min(end, now + _BELIEVED))
        return principal

    async def _principal(self, token: Token, issuer: TokenIssuer) -> Principal:
        gln, role, region = token.party(issuer)
        party = await self._visibility.name_of(gln)
        if party is None:
            raise invalid("the party that it names is not registered here")
        try:
            check_role(party.kind, role, region)
        except InvalidArgument as error:
            raise invalid(error.violations[0].description) from None
        return Principal(gln, role, region, f"{token.issuer}#{token.claims['sub']}")
