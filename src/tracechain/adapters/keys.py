"""Secrets of the service: what wraps them, and what is derived from one of them.

What is wrapped names the key-encryption key (KEK) that it is wrapped under, so that one KEK can
take the place of another while nodes serve: both are configured until all is wrapped anew. Marks
and the cache's MAC key are derived from a secret of the service's own that is kept wrapped like
the others; were they derived from the KEK, a new one would make every claim a stranger's.
"""

from __future__ import annotations

import datetime
import hmac
import json
from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tracechain.adapters.kek import Kek, LocalKek, kek_from_text
from tracechain.domain.errors import DataCorrupted

# What is wrapped: this, the length of the KEK's id in a byte, the id, what the KEK made of it.
_MAGIC = b"TCW1"


class Vault:
    """The KeyVault port. It wraps under `current` and unwraps what is under any of `others` too."""

    def __init__(self, current: Kek, others: Sequence[Kek] = ()) -> None:
        self._current = current
        self._keks = {kek.kek_id: kek for kek in (*others, current)}

    @property
    def kek_id(self) -> str:
        """See KeyVault."""
        return self._current.kek_id

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """See KeyVault."""
        name = self.kek_id.encode()
        return _MAGIC + bytes((len(name),)) + name + self._current.wrap(plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """See KeyVault."""
        kek_id, body = _opened(wrapped)
        if not kek_id:
            return self._unnamed(wrapped, context)
        kek = self._keks.get(kek_id)
        if kek is None:
            raise DataCorrupted(
                "KEY_UNREADABLE",
                f"a key is wrapped under the key-encryption key {kek_id}, which is not configured",
            )
        return kek.unwrap(body, context)

    def rewrap(self, wrapped: bytes, context: bytes) -> bytes | None:
        """See KeyVault."""
        if _opened(wrapped)[0] == self.kek_id:
            return None
        return self.wrap(self.unwrap(wrapped, context), context)

    def _unnamed(self, wrapped: bytes, context: bytes) -> bytes:
        # From before KEKs had names.
        error: DataCorrupted | None = None
        for kek in self._keks.values():
            if isinstance(kek, LocalKek):
                try:
                    return kek.unwrap(wrapped, context)
                except DataCorrupted as failed:
                    error = failed
        raise error or DataCorrupted(
            "KEY_UNREADABLE",
            "a key names no key-encryption key, and those here are in tokens",
        )

    def greeting(self) -> bytes:
        """What a process of ours makes the same vault from; secret."""
        others = [kek.text for kek in self._keks.values() if kek is not self._current]
        return json.dumps([self._current.text, *others]).encode()


def vault_from(greeting: bytes) -> Vault:
    """The vault that greets like this. Raises Unavailable."""
    current, *others = (kek_from_text(text) for text in json.loads(greeting))
    return Vault(current, others)


def _opened(wrapped: bytes) -> tuple[str, bytes]:
    """Id of the KEK, and what it made; an empty id where none is named."""
    if not wrapped.startswith(_MAGIC) or len(wrapped) <= len(_MAGIC):
        return "", wrapped
    at = len(_MAGIC) + 1
    end = at + wrapped[at - 1]
    return wrapped[at:end].decode("ascii", "replace"), wrapped[end:]


class ServiceSecret:
    """The service's own 32 bytes, and keys derived from them: all nodes agree on them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose (HKDF-SHA256, RFC 5869)."""
        return HKDF(hashes.SHA256(), 32, b"", b"tracechain/" + purpose.encode()).derive(
            self._secret
        )


class HmacDigester:
    """The Digester port: marks that say "the same" and nothing else."""

    def __init__(self, secret: ServiceSecret) -> None:
        self._devices = _Monthly(secret.derive("device-mark/v1"))
        self._claim_key = secret.derive("claim-mark/v1")
        self._origins = _Monthly(secret.derive("origin-mark/v1"))

    def device_mark(self, device_id: str, time: int) -> bytes:
        """See Digester. The salt rotates with the calendar month, UTC."""
        return self._devices.mark(device_id, time) if device_id else b""

    def claim_mark(self, device_id: str, gtin: str, serial: str) -> bytes:
        """See Digester."""
        text = f"{gtin}\x00{serial}\x00{device_id}".encode()
        return hmac.digest(self._claim_key, text, "sha256")[:8]

    def origin_mark(self, network: str, time: int) -> bytes:
        """See Digester. The salt rotates as that of devices, and is another one."""
        return self._origins.mark(network, time) if network else b""


class _Monthly:
    """Marks under a salt that is derived from a key for each calendar month, UTC."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._day = -1
        self._keyed: HMAC | None = None

    def mark(self, text: str, time: int) -> bytes:
        """Eight bytes, the same for the same text within a month."""
        day = time // 86_400_000_000
        if self._keyed is None or self._day != day:
            moment = datetime.datetime.fromtimestamp(time / 1e6, datetime.UTC)
            salt = hmac.digest(self._key, moment.strftime("%Y-%m").encode(), "sha256")
            self._day, self._keyed = day, HMAC(salt, hashes.SHA256())
        # A copy of a keyed state: setting up the key would cost more than the mark.
        mark = self._keyed.copy()
        mark.update(text.encode())
        return mark.finalize()[:8]
