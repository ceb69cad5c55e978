"""Secrets that the store keeps wrapped: the service's own, and all of them wrapped anew.

A new key-encryption key takes the place of an old one while nodes serve. Each secret is changed by
itself, and only where it still is what was read; so the work may be cut off, repeated, and done by
two at once. When it ends without anything left, the old key is needed for backups alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracechain.app.ports import Clock, Directory, KeyVault, StoredSecret
from tracechain.app.working_key import key_context

_SERVICE = "service"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What became of the secrets: how many were wrapped anew now, how many there are."""

    kek_id: str
    rewrapped: int
    secrets: int


def secret_context(name: str) -> bytes:
    """What a wrapped secret is bound to: it cannot be moved to another name."""
    return f"tracechain/secret/v1/{name}".encode()


async def service_secret(
    directory: Directory, vault: KeyVault, clock: Clock, random_bytes: Callable[[int], bytes]
) -> bytes:
    """The service's own secret, made by the first node that asks. Raises DataCorrupted
    KEY_UNREADABLE, Unavailable."""
    for kept in await directory.list_secrets():
        if kept.name == _SERVICE:
            return vault.unwrap(kept.wrapped, secret_context(_SERVICE))
    made = vault.wrap(random_bytes(_SECRET_BYTES), secret_context(_SERVICE))
    first = await directory.put_secret(StoredSecret(_SERVICE, made, b"", clock()))
    return vault.unwrap(first.wrapped, secret_context(_SERVICE))


class Rewrapping:
    """Wraps every secret under the vault's present key-encryption key."""

    def __init__(self, directory: Directory, vault: KeyVault, clock: Clock) -> None:
        self._directory = directory
        self._vault = vault
        self._clock = clock

    async def run(self, *, dry: bool = False) -> Rewrapped:
        """Wraps anew what is under another key. Where it is `dry`, it counts only.

        Raises DataCorrupted KEY_UNREADABLE for a secret whose key is not configured: what was
        done before stays done.
        """
        changed = 0
        secrets = await self._directory.list_secrets()
        keys = await self._directory.list_keys(0)
        for secret in secrets:
            anew = self._vault.rewrap(secret.wrapped, secret_context(secret.name))
            if anew is not None and not dry:
                await self._directory.rewrap_secret(secret.name, secret.wrapped, anew)
            changed += anew is not None
        for key in keys:
            anew = self._vault.rewrap(key.wrapped_secret, key_context(key.key_id, key.issuer_gln))
            if anew is not None and not dry:
                await self._directory.rewrap_key(
                    key.key_id, key.wrapped_secret, anew, self._clock()
                )
            changed += anew is not None
        return Rewrapped(self._vault.kek_id, changed, len(secrets) + len(keys))
