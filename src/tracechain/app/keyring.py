"""The keys of all issuers, in memory: what arithmetic on a code needs, without any look-up.

A code that names an unknown key is answered from here alone; nobody can make the service read
its store by guessing. Keys made by other nodes arrive by polling, so a key is good everywhere
within the polling interval of being made or revoked.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracechain.app.ports import Clock, Directory, KeyVault
from tracechain.app.visibility import Visibility
from tracechain.domain.code import Algorithm, CodeKey, Profile, ScannedCode, VerifyingKey
from tracechain.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tracechain.domain.keys import MAX_KEY_ID, IssuerKey, code_key, generate
from tracechain.domain.party import PartyKind, Principal, Role
from tracechain.domain.text import bounded


@dataclass(frozen=True, slots=True)
class WorkingKey:
    """A key with its secret half unwrapped. Never leaves the process, never in a log: who makes
    codes elsewhere is given the record and unwraps it there."""

    record: IssuerKey
    secret: CodeKey
    public: VerifyingKey

    def verify(self, code: ScannedCode) -> bool:
        """True where this key made the code's token."""
        if code.profile is Profile.COMPACT:
            return self.secret.verify_compact(code)
        return self.public.verify(code)

    def position(self, code: ScannedCode) -> tuple[int, int] | None:
        """(batch number, index) of a code whose token this key made; None where it did not."""
        return self.secret.position(code.serial_value) if self.verify(code) else None

    def revoked_at(self, time: int) -> bool:
        """True where the key was revoked at or before `time` (microseconds)."""
        return self.record.revoke_time is not None and self.record.revoke_time <= time


def _context(key_id: int, issuer: str) -> bytes:
    # Bound to the ciphertext: a wrapped key cannot be moved to another id or issuer.
    return f"tracechain/issuer-key/v1/{key_id}/{issuer}".encode()


def sealed(key_id: int, issuer: str, secret: bytes, vault: KeyVault) -> bytes:
    """The secret half of a key as it is kept, for this id and issuer alone."""
    return vault.wrap(secret, _context(key_id, issuer))


def working(record: IssuerKey, vault: KeyVault) -> WorkingKey:
    """A key with its secret half unwrapped. Raises DataCorrupted KEY_UNREADABLE."""
    plain = vault.unwrap(record.wrapped_secret, _context(record.key_id, record.issuer_gln))
    public = VerifyingKey.from_der(record.key_id, record.algorithm, record.public_key)
    return WorkingKey(record, code_key(record, plain), public)


class Keyring:
    """Makes, revokes and holds issuer keys."""

    def __init__(
        self, directory: Directory, vault: KeyVault, visibility: Visibility, clock: Clock
    ) -> None:
        self._directory = directory
        self._vault = vault
        self._visibility = visibility
        self._clock = clock
        self._records: dict[int, IssuerKey] = {}
        self._working: dict[int, WorkingKey] = {}
        self._by_issuer: dict[str, list[int]] = {}
        self._seen = 0

    async def refresh(self) -> None:
        """Takes in what changed since the last time. A minute of overlap forgives clocks."""
        for record in await self._directory.list_keys(max(0, self._seen - 60_000_000)):
            self._take(record)

    def _take(self, record: IssuerKey) -> None:
        known = self._records.get(record.key_id)
        if known == record:
            return
        self._records[record.key_id] = record
        self._working.pop(record.key_id, None)
        if known is None:
            self._by_issuer.setdefault(record.issuer_gln, []).append(record.key_id)
        self._seen = max(self._seen, record.create_time, self._clock())

    def get(self, key_id: int) -> WorkingKey | None:
        """The key with this id, unwrapped at its first use; None where there is none."""
        found = self._working.get(key_id)
        if found is None:
            record = self._records.get(key_id)
            if record is None:
                return None
            found = working(record, self._vault)
            self._working[key_id] = found
        return found

    def of_issuer(self, gln: str) -> list[WorkingKey]:
        """All keys of an issuer, revoked ones too, oldest first."""
        found = (self.get(key_id) for key_id in sorted(self._by_issuer.get(gln, ())))
        return [key for key in found if key is not None]

    def current(self, gln: str) -> WorkingKey:
        """The newest good key of an issuer. Raises FailedPrecondition NO_SIGNING_KEY."""
        now = self._clock()
        for key in reversed(self.of_issuer(gln)):
            if not key.revoked_at(now):
                return key
        raise FailedPrecondition(
            "NO_SIGNING_KEY", "the issuer has no key to sign with; make one with CreateIssuerKey"
        )

    def records(self) -> list[IssuerKey]:
        """All keys in the order of their ids."""
        return [self._records[key_id] for key_id in sorted(self._records)]

    async def create(
        self, principal: Principal, gln: str, algorithm: Algorithm, request_id: str
    ) -> IssuerKey:
        """Makes a key for an issuer; the same request id gives the same key.

        Raises NotFound for a party that the caller may not see, InvalidArgument for one that is
        no issuer, FailedPrecondition KEY_IDS_EXHAUSTED, AlreadyExists REQUEST_ID_USED where the
        request id made a key of another algorithm.
        """
        party = await self._visibility.party(principal, gln)
        if principal.role is Role.ISSUER and principal.party_gln != gln:
            raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")
        if party.kind is not PartyKind.ISSUER:
            raise InvalidArgument.of("parent", "NOT_AN_ISSUER", "only an issuer has signing keys")
        request_id = bounded(request_id, "request_id", 64, required=True)
        for known in self._records.values():
            if (known.issuer_gln, known.request_id) == (gln, request_id):
                return _asked_for(known, algorithm)
        key_id = await self._directory.reserve_key_id()
        if key_id > MAX_KEY_ID:
            raise FailedPrecondition("KEY_IDS_EXHAUSTED", "all 65535 key ids have been given out")
        public, secret = generate(algorithm)
        record = await self._directory.put_key(
            IssuerKey(
                key_id,
                gln,
                algorithm,
                public,
                sealed(key_id, gln, secret, self._vault),
                request_id,
                self._clock(),
            )
        )
        self._take(record)
        return _asked_for(record, algorithm)

    async def revoke(
        self, principal: Principal, gln: str, key_id: int, time: int | None, reason: str
    ) -> IssuerKey:
        """Revokes a key from `time` on (None: now). Raises NotFound, InvalidArgument."""
        now = self._clock()
        if time is not None and time > now:
            raise InvalidArgument.of("revoke_time", "TIME_IN_FUTURE", "is in the future")
        await self._owned(principal, gln)
        known = self._records.get(key_id)
        if known is None or known.issuer_gln != gln:
            raise NotFound("KEY_NOT_FOUND", f"there is no key {key_id} of this issuer")
        reason = bounded(reason, "reason", 500)
        record = await self._directory.revoke_key(
            key_id, now if time is None else time, reason, now
        )
        assert record is not None
        self._take(record)
        return record

    async def list_of(self, principal: Principal, gln: str) -> list[IssuerKey]:
        """The keys of one issuer. Raises NotFound where the caller may not see it."""
        await self._owned(principal, gln)
        await self.refresh()
        return [key.record for key in self.of_issuer(gln)]

    async def _owned(self, principal: Principal, gln: str) -> None:
        await self._visibility.party(principal, gln)
        if principal.role is Role.ISSUER and principal.party_gln != gln:
            raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")


def _asked_for(record: IssuerKey, algorithm: Algorithm) -> IssuerKey:
    if record.algorithm is not algorithm:
        raise AlreadyExists(
            "REQUEST_ID_USED", f"this request id made a key of algorithm {record.algorithm}"
        )
    return record
