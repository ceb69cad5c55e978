"""What parties call with: API keys and client certificates, and the principals that they make.

An API key reads `tck_{id}_{secret}`: the id finds the record, the secret (256 random bits) is
compared by its hash in constant time. A certificate is found by its public key, so renewing it
over the same key needs nothing here. The tenant of a call comes from the credential alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

from tracechain.app.known_callers import KnownCallers
from tracechain.app.last_use import LastUses
from tracechain.app.ports import Clock, Directory
from tracechain.app.visibility import Visibility
from tracechain.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unauthenticated,
)
from tracechain.domain.party import Credential, CredentialKind, Principal, Role, check_role
from tracechain.domain.text import bounded

KEY_PREFIX = "tck_"
# How long a look-up is believed, in microseconds: a revocation reaches every node within it.
_BELIEVED = 1_000_000
_RENEWED = _BELIEVED // 2
_MAX_BELIEVED = 10_000
# How long a key may live beside the one that replaces it, in seconds.
_MAX_OVERLAP = 90 * 86_400


class Credentials:
    """Makes, replaces, revokes and checks credentials."""

    def __init__(
        self,
        directory: Directory,
        visibility: Visibility,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        uses: LastUses,
        known: KnownCallers,
    ) -> None:
        self._directory = directory
        self._visibility = visibility
        self._clock = clock
        self._random = random_bytes
        self._uses = uses
        self._known = known
        self._believed: dict[str, tuple[int, Credential | None]] = {}
        # Look-ups under way, and when they began.
        self._loads: dict[str, tuple[int, asyncio.Task[Credential | None]]] = {}

    async def create(
        self,
        gln: str,
        role: Role,
        region: str,
        label: str,
        request_id: str,
        *,
        scopes: tuple[str, ...] = (),
        expire_time: int | None = None,
    ) -> tuple[Credential, str]:
        """A new API key of a party as (record, key). The key is not kept. `scopes` are believed.

        Raises NotFound, InvalidArgument, and AlreadyExists REQUEST_ID_USED for a request id that
        made one before: its secret cannot be shown again.
        """
        request_id = bounded(request_id, "request_id", 64, required=True)
        label = await self._checked(gln, role, region, label, expire_time)
        credential, key = self._made(
            Credential(
                _id_of(f"{gln}\x00{request_id}".encode()), gln, role, region, label, b"",
                self._clock(), scopes=scopes, expire_time=expire_time,
            )
        )  # fmt: skip
        if not await self._directory.put_credential(credential):
            raise _request_id_used()
        self._forget(credential.credential_id)
        return credential, key

    async def register(
        self,
        gln: str,
        role: Role,
        region: str,
        label: str,
        public_key: bytes,
        *,
        scopes: tuple[str, ...] = (),
        expire_time: int | None = None,
    ) -> Credential:
        """Takes certificates over `public_key` (SubjectPublicKeyInfo, DER) for a party's; the same
        again gives the same record.

        Raises NotFound, InvalidArgument, and AlreadyExists CERTIFICATE_REGISTERED for a public key
        that stands for something else: one key has one party, role and region.
        """
        label = await self._checked(gln, role, region, label, expire_time)
        credential = Credential(
            _id_of(public_key), gln, role, region, label, hashlib.sha256(public_key).digest(),
            self._clock(), kind=CredentialKind.CERTIFICATE, scopes=scopes, expire_time=expire_time,
        )  # fmt: skip
        if await self._directory.put_credential(credential):
            self._forget(credential.credential_id)
            return credential
        known = await self._directory.get_credential(credential.credential_id)
        if known is None or _content(known) != _content(credential):
            raise AlreadyExists(
                "CERTIFICATE_REGISTERED", "this public key is registered with other content"
            )
        return known

    async def rotate(
        self,
        gln: str,
        credential_id: str,
        overlap: int,
        request_id: str,
        *,
        expire_time: int | None = None,
    ) -> tuple[Credential, str]:
        """A new API key in place of one of a party, as (record, key): it may what that one may.
        The old one ends after `overlap` seconds, or when it would have where that is sooner.

        Raises NotFound, InvalidArgument, FailedPrecondition CREDENTIAL_ENDED for a key that is
        revoked or expired, and NO_API_KEY for a certificate; AlreadyExists as `create` does.
        """
        request_id = bounded(request_id, "request_id", 64, required=True)
        now = self._clock()
        if not 0 <= overlap <= _MAX_OVERLAP:
            raise InvalidArgument.of(
                "overlap_seconds", "INVALID_LIFETIME", f"0 to {_MAX_OVERLAP} seconds"
            )
        _check_expiry(expire_time, now, "expire_time")
        old = await self._of(gln, credential_id)
        if old.kind is not CredentialKind.API_KEY:
            raise FailedPrecondition(
                "NO_API_KEY", "a certificate is replaced by registering the next one"
            )
        new_id = _id_of(f"{gln}\x00{request_id}".encode())
        # Before the state: who repeats a rotation without overlap is told what became of it.
        if await self._directory.get_credential(new_id) is not None:
            raise _request_id_used()
        if old.revoke_time is not None or old.is_expired(now):
            raise FailedPrecondition("CREDENTIAL_ENDED", "this API key was revoked or has expired")
        credential, key = self._made(
            Credential(
                new_id, gln, old.role, old.region, old.label, b"", now,
                scopes=old.scopes, expire_time=expire_time,
            )
        )  # fmt: skip
        until = now + overlap * 1_000_000
        if not await self._directory.replace_credential(credential_id, until, credential):
            raise _request_id_used()
        self._forget(credential.credential_id)
        self._forget(credential_id)
        return credential, key

    async def authenticate(self, api_key: str) -> Principal:
        """The principal of an API key. Raises Unauthenticated INVALID_CREDENTIAL, and
        CREDENTIAL_EXPIRED to its bearer alone."""
        credential_id, _, secret = api_key.removeprefix(KEY_PREFIX).partition("_")
        refused = Unauthenticated("INVALID_CREDENTIAL", "this API key is not known or was revoked")
        if not api_key.startswith(KEY_PREFIX) or len(credential_id) != 16 or not secret.isascii():
            raise refused
        digest = hashlib.sha256(secret.encode()).digest()
        credential = await self._shown(CredentialKind.API_KEY, credential_id, digest, refused)
        return self._kept(api_key, credential)

    async def recognise(self, public_key: bytes) -> Principal:
        """The principal of a certificate's public key (SubjectPublicKeyInfo, DER), whose private
        half the caller has shown to have. Raises Unauthenticated UNKNOWN_CERTIFICATE and
        CREDENTIAL_EXPIRED."""
        refused = Unauthenticated(
            "UNKNOWN_CERTIFICATE", "the client certificate is not registered or was revoked"
        )
        digest = hashlib.sha256(public_key).digest()
        credential_id = _id_of(public_key)
        return (
            await self._shown(CredentialKind.CERTIFICATE, credential_id, digest, refused)
        ).principal

    async def _shown(
        self, kind: CredentialKind, credential_id: str, digest: bytes, refused: Unauthenticated
    ) -> Credential:
        now = self._clock()
        credential = await self._look_up(credential_id, now)
        if credential is None or credential.kind is not kind:
            raise refused
        # In this order: what has become of it is told to its bearer alone.
        if not hmac.compare_digest(digest, credential.secret_hash):
            raise refused
        if credential.revoke_time is not None:
            raise refused
        if credential.is_expired(now):
            raise Unauthenticated("CREDENTIAL_EXPIRED", "this credential has expired")
        self._uses.note(credential_id)
        return credential

    def _kept(self, api_key: str, credential: Credential) -> Principal:
        """Whom the key makes; known from now on, until it is time to look its record up anew."""
        principal = credential.principal
        looked_up, believed = self._believed.get(credential.credential_id, (0, None))
        # Not one that was changed while it was looked up: this caller came before, others did not.
        if believed is credential:
            until = looked_up + _RENEWED
            if credential.expire_time is not None:
                until = min(until, credential.expire_time)
            self._known.keep(api_key, principal, until)
        return principal

    async def _look_up(self, credential_id: str, now: int) -> Credential | None:
        """The record, at most a second old. Who goes on calling does not wait for it: it is looked
        up anew, beside the calls, while it is still believed; those who wait look once."""
        known = self._believed.get(credential_id)
        age = now - known[0] if known is not None else _BELIEVED
        if known is not None and age < _BELIEVED:
            if age >= _RENEWED and credential_id not in self._loads:
                self._begin(credential_id, now)
            return known[1]
        began, load = self._loads.get(credential_id, (0, None))
        # What a slow one has read may be as old as it is.
        if load is None or now - began >= _BELIEVED:
            load = self._begin(credential_id, now)
        return await asyncio.shield(load)

    def _begin(self, credential_id: str, now: int) -> asyncio.Task[Credential | None]:
        load = asyncio.create_task(self._load(credential_id, now))
        self._loads[credential_id] = (now, load)
        load.add_done_callback(lambda done: self._end(credential_id, now, done))
        return load

    async def _load(self, credential_id: str, now: int) -> Credential | None:
        credential = await self._directory.get_credential(credential_id)
        # Unless it was changed meanwhile: then this is what it was before.
        if self._loads.get(credential_id) == (now, asyncio.current_task()):
            if len(self._believed) >= _MAX_BELIEVED:
                self._believed.clear()
            self._believed[credential_id] = (now, credential)
        return credential

    def _end(self, credential_id: str, began: int, load: asyncio.Task[Credential | None]) -> None:
        if self._loads.get(credential_id) == (began, load):
            del self._loads[credential_id]
        if not load.cancelled():
            # Where all callers have left, its failure is nobody's.
            load.exception()

    def _forget(self, credential_id: str) -> None:
        """It has changed: what was looked up before is not believed, nor what is on its way."""
        self._believed.pop(credential_id, None)
        self._loads.pop(credential_id, None)
        self._known.forget(credential_id)

    async def list_of(self, gln: str) -> list[Credential]:
        """The credentials of a party, newest last. Raises NotFound."""
        if await self._directory.get_party(gln) is None:
            raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")
        return await self._directory.list_credentials(gln)

    async def revoke(self, gln: str, credential_id: str) -> Credential:
        """Revokes a credential of a party, once. Raises NotFound."""
        await self._of(gln, credential_id)
        revoked = await self._directory.revoke_credential(credential_id, self._clock())
        assert revoked is not None
        self._forget(credential_id)
        return revoked

    async def _of(self, gln: str, credential_id: str) -> Credential:
        known = await self._directory.get_credential(credential_id)
        if known is None or known.party_gln != gln:
            raise NotFound("CREDENTIAL_NOT_FOUND", f"there is no credential {credential_id}")
        return known

    async def _checked(
        self, gln: str, role: Role, region: str, label: str, expire_time: int | None
    ) -> str:
        party = await self._directory.get_party(gln)
        if party is None:
            raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")
        check_role(party.kind, role, region)
        _check_expiry(expire_time, self._clock(), "credential.expire_time")
        return bounded(label, "credential.label", 100)

    def _made(self, without_secret: Credential) -> tuple[Credential, str]:
        secret = base64.b32encode(self._random(32)).decode().lower().rstrip("=")
        credential = replace(without_secret, secret_hash=hashlib.sha256(secret.encode()).digest())
        return credential, f"{KEY_PREFIX}{credential.credential_id}_{secret}"


def _id_of(source: bytes) -> str:
    return base64.b32encode(hashlib.sha256(source).digest()[:10]).decode().lower()


def _content(credential: Credential) -> tuple[object, ...]:
    c = credential
    return (
        c.kind, c.secret_hash, c.party_gln, c.role, c.region, c.label, c.scopes, c.expire_time
    )  # fmt: skip


def _check_expiry(expire_time: int | None, now: int, field: str) -> None:
    if expire_time is not None and expire_time <= now:
        raise InvalidArgument.of(field, "INVALID_LIFETIME", "it would have expired already")


def _request_id_used() -> AlreadyExists:
    return AlreadyExists(
        "REQUEST_ID_USED", "this request id made a key before; its secret is not kept"
    )
