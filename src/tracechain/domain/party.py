"""Parties (主体), their credentials, and the principal that a credential makes.

The tenant of a call is the principal's party and nothing that a request says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.identifiers import gln, uscc
from tracechain.domain.region import Region
from tracechain.domain.text import LocalizedText


class PartyKind(StrEnum):
    """What a party does in the supply chain."""

    ISSUER = "issuer"
    CARRIER = "carrier"
    DISTRIBUTOR = "distributor"
    RETAILER = "retailer"
    REGULATOR = "regulator"


class Role(StrEnum):
    """What the bearer of a credential may do (design section 9)."""

    ISSUER = "issuer"
    HANDLER = "handler"
    INSPECTOR = "inspector"
    AUDITOR = "auditor"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Party:
    """A legal entity. `create_time` is microseconds since 1970 UTC, 0 before it is stored."""

    gln: str
    uscc: str
    region: str
    kind: PartyKind
    display_name: LocalizedText
    create_time: int = 0

    def checked(self, field: str = "party") -> Party:
        """The same party with every field validated and in canonical spelling.

        Raises InvalidArgument naming the field below `field`.
        """
        return Party(
            gln(self.gln, field=f"{field}.gln"),
            uscc(self.uscc, field=f"{field}.uscc"),
            Region.parse(self.region, field=f"{field}.region").code,
            self.kind,
            self.display_name.checked(f"{field}.display_name"),
            self.create_time,
        )


class CredentialKind(StrEnum):
    """What a caller shows."""

    API_KEY = "api_key"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a party calls with, without its secret. `secret_hash` is SHA-256 of an API key's
    256-bit random secret, or of the public key (SubjectPublicKeyInfo) of a client certificate.

    A plain hash is enough: the secret is random, so there is nothing to guess faster.
    `scopes` narrow what the role may; none: all of it. `expire_time` is when it ends by itself.
    `last_use_time` is kept to the minute.
    """

    credential_id: str
    party_gln: str
    role: Role
    region: str
    label: str
    secret_hash: bytes
    create_time: int
    revoke_time: int | None = None
    kind: CredentialKind = CredentialKind.API_KEY
    scopes: tuple[str, ...] = ()
    expire_time: int | None = None
    last_use_time: int | None = None

    def is_expired(self, now: int) -> bool:
        """Whether it has ended by itself; the moment of its end is behind it."""
        return self.expire_time is not None and now >= self.expire_time

    @property
    def principal(self) -> Principal:
        """Whom it makes of its bearer."""
        return Principal(
            self.party_gln, self.role, self.region, self.credential_id, frozenset(self.scopes)
        )


# Which roles a party of a kind may have; only the service's own party operates it.
ROLES_OF_KIND: dict[PartyKind, frozenset[Role]] = {
    PartyKind.ISSUER: frozenset({Role.ISSUER, Role.HANDLER}),
    PartyKind.CARRIER: frozenset({Role.HANDLER}),
    PartyKind.DISTRIBUTOR: frozenset({Role.HANDLER}),
    PartyKind.RETAILER: frozenset({Role.HANDLER}),
    PartyKind.REGULATOR: frozenset({Role.INSPECTOR, Role.AUDITOR, Role.OPERATOR}),
}


def check_role(kind: PartyKind, role: Role, region: str) -> None:
    """Raises InvalidArgument where a party of `kind` cannot have `role`, or a region is missing."""
    if role not in ROLES_OF_KIND[kind]:
        raise InvalidArgument.of(
            "credential.role", "INVALID_ROLE", f"a party of kind {kind} cannot be {role}"
        )
    if role is Role.INSPECTOR:
        Region.parse(region, field="credential.region")
    elif region:
        raise InvalidArgument.of(
            "credential.region", "INVALID_REGION", "only an inspector has a region"
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: party, role and, for inspectors, the division that it supervises. `scopes` narrow
    what the role may; none: all of it."""

    party_gln: str
    role: Role
    region: str = ""
    credential_id: str = ""
    scopes: frozenset[str] = frozenset()

    def supervises(self, region: str) -> bool:
        """True where the caller is an inspector whose division covers `region` (six digits)."""
        return self.role is Role.INSPECTOR and Region(self.region).covers(Region(region))
