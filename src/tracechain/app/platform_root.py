"""The platform's root: its key signs certificates of issuers' keys, and nothing else.

It is made by the first node that starts. Its secret is unwrapped for each signature and not kept. A
new root takes the place of an old one by an act of two people; issuers' keys get certificates under
it, and the old roots go on being listed, for whoever has pinned one.
"""

from __future__ import annotations

import hashlib

from tracechain.app.ports import Clock, Directory, KeyVault, StoredSecret
from tracechain.app.secrets import secret_context
from tracechain.domain.certificates import PlatformRoot, certify, is_under, new_root
from tracechain.domain.keys import IssuerKey

_PREFIX = "root-"


class PlatformRoots:
    """The roots of one platform, named by the host that its codes point to."""

    def __init__(self, directory: Directory, vault: KeyVault, clock: Clock, platform: str) -> None:
        self._directory = directory
        self._vault = vault
        self._clock = clock
        self._platform = platform
        self._roots: list[PlatformRoot] = []
        self._wrapped: dict[str, bytes] = {}

    async def refresh(self) -> None:
        """Reads the roots, and makes the first one where there is none."""
        if not await self._read():
            await self.make("first")

    async def _read(self) -> bool:
        found = [
            one for one in await self._directory.list_secrets() if one.name.startswith(_PREFIX)
        ]
        self._wrapped = {one.name: one.wrapped for one in found}
        self._roots = sorted(
            (PlatformRoot(one.name, one.public, one.create_time) for one in found),
            key=lambda root: (root.create_time, root.name),
        )
        return bool(found)

    def roots(self) -> list[PlatformRoot]:
        """All roots, the one that signs last."""
        return list(self._roots)

    async def make(self, request_id: str) -> PlatformRoot:
        """A root that signs from now on; the same request id gives the same."""
        name = _PREFIX + hashlib.sha256(request_id.encode()).hexdigest()[:32]
        certificate, secret = new_root(self._platform, self._clock())
        wrapped = self._vault.wrap(secret, secret_context(name))
        await self._directory.put_secret(StoredSecret(name, wrapped, certificate, self._clock()))
        await self._read()
        return next(root for root in self._roots if root.name == name)

    async def rotate(self, request_id: str) -> PlatformRoot:
        """A new root, and certificates under it for all keys; a repetition ends what was cut
        off."""
        root = await self.make(f"rotation {request_id}")
        await self.certify_all()
        return root

    def certify(self, key: IssuerKey) -> bytes:
        """The certificate of a key under the root that signs. Raises DataCorrupted."""
        root = self._roots[-1]
        secret = self._vault.unwrap(self._wrapped[root.name], secret_context(root.name))
        return certify(root, secret, key)

    async def certify_all(self) -> int:
        """Gives a certificate to each key that has none under the root that signs; how many. It
        may be cut off and repeated."""
        given = 0
        for key in await self._directory.list_keys(0):
            if not is_under(self._roots[-1], key):
                await self._directory.certify_key(key.key_id, self.certify(key), self._clock())
                given += 1
        return given
