"""Bearer tokens of the issuers that the settings name. Imported only where they name one: see
`shared`."""

from __future__ import annotations

from tracechain.adapters.jwks import HttpFetch, IssuerSignatures
from tracechain.app.known_callers import KnownCallers
from tracechain.app.tokens import BearerTokens
from tracechain.app.visibility import Visibility
from tracechain.bootstrap.stores import clock
from tracechain.domain.token import TokenIssuer
from tracechain.settings import Settings


def bearer_tokens(
    settings: Settings, visibility: Visibility, known: KnownCallers
) -> tuple[BearerTokens, HttpFetch]:
    """The tokens that the settings allow, and what fetches their issuers' keys, to be closed."""
    fetch = HttpFetch()
    issuers = [
        (
            TokenIssuer(
                one.issuer, one.audience, one.roles, frozenset(one.parties), one.party_claim,
                one.role_claim, one.region_claim, one.skew_s * 1_000_000,
            ),
            IssuerSignatures(one.jwks_uri, one.algorithms, fetch),
        )
        for one in settings.oidc
    ]  # fmt: skip
    return BearerTokens(issuers, visibility, clock, known), fetch
