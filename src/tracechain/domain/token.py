"""Bearer tokens that others issue (JWT, RFC 7519; as access tokens RFC 9068): what may be believed.

A token is parsed before anybody knows who wrote it: size, alphabet and shape are bounded first.
Nothing in it chooses how it is checked: the issuer is looked up among those configured, its
algorithms are pinned there, and `jku`, `x5u`, `jwk`, `x5c` are not read (RFC 8725, 3.1, 3.10).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tracechain.domain.errors import InvalidArgument, Unauthenticated
from tracechain.domain.identifiers import gln
from tracechain.domain.party import Role

MAX_TOKEN = 8 * 1024
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# What is no token of an API says so by its type (RFC 8725, 3.11).
_TYPES = {"", "jwt", "at+jwt", "application/jwt", "application/at+jwt"}
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """One who may say who calls, and how far he is believed.

    `roles` are those that he may give, by the words that he has for them. `parties` are those that
    he may speak for; empty: every party that is registered. `skew` is how far clocks may differ,
    in microseconds.
    """

    issuer: str
    audience: str
    roles: Mapping[str, Role]
    parties: frozenset[str] = frozenset()
    party_claim: str = "tracechain_party"
    role_claim: str = "tracechain_role"
    region_claim: str = "tracechain_region"
    skew: int = 60_000_000


@dataclass(frozen=True, slots=True)
class Token:
    """A token's parts as it was sent: nobody has vouched for them yet."""

    text: str = field(repr=False)
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> Token:
        """Raises Unauthenticated INVALID_TOKEN for what is no token that could be checked."""
        if len(text) > MAX_TOKEN or not _COMPACT.fullmatch(text):
            raise invalid("this is no token in the compact form")
        header, claims, _ = text.split(".")
        token = cls(text, _object(header), _object(claims))
        if "crit" in token.header or "b64" in token.header:
            raise invalid("it asks for extensions that are not known here")
        kind = token.header.get("typ", "")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise invalid("its type is not that of an access token")
        return token

    @property
    def issuer(self) -> str:
        """Who it says issued it."""
        return self._text("iss")

    def check(self, issuer: TokenIssuer, now: int) -> int:
        """When it ends, in microseconds. Raises Unauthenticated INVALID_TOKEN where it is not
        `issuer`'s for us and for this time, TOKEN_EXPIRED where its time is over."""
        if self.issuer != issuer.issuer:
            raise invalid("it is another issuer's")
        audience = self.claims.get("aud")
        if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
            raise invalid("it was issued for somebody else (aud)")
        if not self._text("sub"):
            raise invalid("it does not say for whom it was issued (sub)")
        for claim in ("nbf", "iat"):
            if self.claims.get(claim) is not None and self._time(claim) > now + issuer.skew:
                raise invalid(f"it does not hold yet ({claim})")
        end = self._time("exp") + issuer.skew
        if now >= end:
            raise Unauthenticated("TOKEN_EXPIRED", "this token has expired")
        return end

    def party(self, issuer: TokenIssuer) -> tuple[str, Role, str]:
        """GLN, role and region that it names. Raises Unauthenticated INVALID_TOKEN for what its
        issuer may not give."""
        try:
            named = gln(self._text(issuer.party_claim), field=issuer.party_claim)
        except InvalidArgument:
            raise invalid(f"its claim {issuer.party_claim} is no GLN") from None
        role = issuer.roles.get(self._text(issuer.role_claim))
        if role is None or (issuer.parties and named not in issuer.parties):
            raise invalid("its issuer may not speak for this party in this role")
        return named, role, self._text(issuer.region_claim)

    def _text(self, claim: str) -> str:
        found = self.claims.get(claim, "")
        return found if isinstance(found, str) and len(found) <= _MAX_TEXT else ""

    def _time(self, claim: str) -> int:
        found = self.claims.get(claim)
        # NumericDate; what is beyond the year 9999 is no date.
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise invalid(f"its time {claim} is missing or no number")
        if not 0 <= found < 253_402_300_800:
            raise invalid(f"its time {claim} is none")
        return int(found * 1_000_000)


def invalid(why: str) -> Unauthenticated:
    """The refusal of a token."""
    return Unauthenticated("INVALID_TOKEN", f"the bearer token is not accepted: {why}")


def _object(part: str) -> Mapping[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        raise invalid("its parts are no JSON") from None
    if not isinstance(found, dict):
        raise invalid("its parts are no JSON objects")
    return found
