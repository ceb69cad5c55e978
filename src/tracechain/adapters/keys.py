"""Secrets of the service: the key-encryption key, and what is derived from it.

The key-encryption key comes from the environment or a file and never enters the store, so a
stolen database gives away no signing key. Losing it makes every issuer key unusable: back it up
apart from the store. Salts and the cache's MAC key are derived from it by HKDF, so that all nodes
that share it agree.
"""

from __future__ import annotations

import base64
import datetime
import hmac
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tracechain.domain.errors import DataCorrupted, Unavailable

KEK_BYTES = 32
_NONCE = 12


class MasterKey:
    """The key-encryption key, and keys derived from it for other ends."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEK_BYTES:
            raise Unavailable("KEK_INVALID", f"the key-encryption key must have {KEK_BYTES} bytes")
        self.secret = secret

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose (HKDF-SHA256, RFC 5869)."""
        return HKDF(hashes.SHA256(), 32, b"", b"tracechain/" + purpose.encode()).derive(self.secret)


def master_key_from_text(text: str) -> MasterKey:
    """From base64, as it stands in a file or a variable. Raises Unavailable KEK_INVALID."""
    try:
        return MasterKey(base64.b64decode(text.strip(), validate=True))
    except ValueError:
        raise Unavailable("KEK_INVALID", "the key-encryption key is not base64") from None


def master_key_from_file(path: Path, *, create: bool) -> MasterKey:
    """From a file that only its owner may read; made where it is missing and `create` is set.

    Raises Unavailable: KEK_MISSING, KEK_INVALID, KEK_EXPOSED (others may read the file).
    """
    if create and not path.exists():
        _make(path)
    try:
        if path.stat().st_mode & 0o077:
            raise Unavailable("KEK_EXPOSED", f"others may read {path}; make it chmod 600")
        return master_key_from_text(path.read_text())
    except FileNotFoundError:
        raise Unavailable("KEK_MISSING", f"there is no key-encryption key at {path}") from None


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written whole under another name: who dies here, or looks meanwhile, finds no half of a key.
    handle, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(base64.b64encode(os.urandom(KEK_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        # Of processes that start together the first gives it its name, and the others read it.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class AesGcmVault:
    """The KeyVault port by AES-256-GCM: nonce, then ciphertext with its tag."""

    def __init__(self, master: MasterKey, random_bytes: Callable[[int], bytes] = os.urandom):
        self._aead = AESGCM(master.derive("key-vault/v1"))
        self._random = random_bytes

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """See KeyVault."""
        nonce = self._random(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """See KeyVault."""
        try:
            return self._aead.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
        except (InvalidTag, ValueError):
            raise DataCorrupted(
                "KEY_UNREADABLE", "a key cannot be unwrapped: wrong key-encryption key, or damage"
            ) from None


class HmacDigester:
    """The Digester port: marks that say "the same" and nothing else."""

    def __init__(self, master: MasterKey) -> None:
        self._device_key = master.derive("device-mark/v1")
        self._claim_key = master.derive("claim-mark/v1")
        self._origin_key = master.derive("origin-mark/v1")
        self._month: tuple[int, HMAC] | None = None

    def device_mark(self, device_id: str, time: int) -> bytes:
        """See Digester. The salt rotates with the calendar month, UTC."""
        if not device_id:
            return b""
        day = time // 86_400_000_000
        if self._month is None or self._month[0] != day:
            salt = _of_month(self._device_key, time)
            self._month = (day, HMAC(salt, hashes.SHA256()))
        # A copy of a keyed state: setting up the key would cost more than the mark.
        mark = self._month[1].copy()
        mark.update(device_id.encode())
        return mark.finalize()[:8]

    def claim_mark(self, device_id: str, gtin: str, serial: str) -> bytes:
        """See Digester."""
        text = f"{gtin}\x00{serial}\x00{device_id}".encode()
        return hmac.digest(self._claim_key, text, "sha256")[:8]

    def origin_mark(self, network: str, time: int) -> bytes:
        """See Digester. The salt rotates as that of devices, and is another one."""
        if not network:
            return b""
        return hmac.digest(_of_month(self._origin_key, time), network.encode(), "sha256")[:8]


def _of_month(key: bytes, time: int) -> bytes:
    """The salt of the calendar month, UTC."""
    moment = datetime.datetime.fromtimestamp(time / 1e6, datetime.UTC)
    return hmac.digest(key, moment.strftime("%Y-%m").encode(), "sha256")
