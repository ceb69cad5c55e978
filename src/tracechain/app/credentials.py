"""API keys: made once, stored hashed, and turned into the principal of a call.

A key reads `tck_{id}_{secret}`: the id finds the record, the secret (256 random bits) is compared
by its hash in constant time. The tenant of a call comes from here and from nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

from tracechain.app.ports import Clock, Directory
from tracechain.app.visibility import Visibility
from tracechain.domain.errors import AlreadyExists, NotFound, Unauthenticated
from tracechain.domain.party import Credential, Principal, Role, check_role
from tracechain.domain.text import bounded

_PREFIX = "tck_"
# How long a look-up is believed, in microseconds: a revocation reaches every node within it.
_BELIEVED = 1_000_000
_MAX_BELIEVED = 10_000


class Credentials:
    """Makes, revokes and checks API keys."""

    def __init__(
        self,
        directory: Directory,
        visibility: Visibility,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._directory = directory
        self._visibility = visibility
        self._clock = clock
        self._random = random_bytes
        self._believed: dict[str, tuple[int, Credential | None]] = {}

    async def create(
        self, gln: str, role: Role, region: str, label: str, request_id: str
    ) -> tuple[Credential, str]:
        """A new API key of a party as (record, key). The key is not kept.

        Raises NotFound, InvalidArgument, and AlreadyExists REQUEST_ID_USED for a request id that
        made one before: its secret cannot be shown again.
        """
        party = await self._directory.get_party(gln)
        if party is None:
            raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")
        check_role(party.kind, role, region)
        request_id = bounded(request_id, "request_id", 64, required=True)
        digest = hashlib.sha256(f"{gln}\x00{request_id}".encode()).digest()
        credential_id = base64.b32encode(digest[:10]).decode().lower()
        secret = base64.b32encode(self._random(32)).decode().lower().rstrip("=")
        credential = Credential(
            credential_id,
            gln,
            role,
            region,
            bounded(label, "credential.label", 100),
            hashlib.sha256(secret.encode()).digest(),
            self._clock(),
        )
        if not await self._directory.put_credential(credential):
            raise AlreadyExists(
                "REQUEST_ID_USED", "this request id made a key before; its secret is not kept"
            )
        self._believed.pop(credential_id, None)
        return credential, f"{_PREFIX}{credential_id}_{secret}"

    async def authenticate(self, api_key: str) -> Principal:
        """The principal of an API key. Raises Unauthenticated INVALID_CREDENTIAL."""
        credential_id, _, secret = api_key.removeprefix(_PREFIX).partition("_")
        refused = Unauthenticated("INVALID_CREDENTIAL", "this API key is not known or was revoked")
        if not api_key.startswith(_PREFIX) or len(credential_id) != 16 or not secret.isascii():
            raise refused
        credential = await self._look_up(credential_id)
        if credential is None or credential.revoke_time is not None:
            raise refused
        digest = hashlib.sha256(secret.encode()).digest()
        if not hmac.compare_digest(digest, credential.secret_hash):
            raise refused
        return Principal(
            credential.party_gln, credential.role, credential.region, credential.credential_id
        )

    async def _look_up(self, credential_id: str) -> Credential | None:
        now = self._clock()
        known = self._believed.get(credential_id)
        if known is not None and now - known[0] < _BELIEVED:
            return known[1]
        credential = await self._directory.get_credential(credential_id)
        if len(self._believed) >= _MAX_BELIEVED:
            self._believed.clear()
        self._believed[credential_id] = (now, credential)
        return credential

    async def list_of(self, gln: str) -> list[Credential]:
        """The credentials of a party, newest last. Raises NotFound."""
        if await self._directory.get_party(gln) is None:
            raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")
        return await self._directory.list_credentials(gln)

    async def revoke(self, gln: str, credential_id: str) -> Credential:
        """Revokes a credential of a party, once. Raises NotFound."""
        known = await self._directory.get_credential(credential_id)
        if known is None or known.party_gln != gln:
            raise NotFound("CREDENTIAL_NOT_FOUND", f"there is no credential {credential_id}")
        revoked = await self._directory.revoke_credential(credential_id, self._clock())
        assert revoked is not None
        self._believed.pop(credential_id, None)
        return revoked
