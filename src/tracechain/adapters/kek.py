"""The key-encryption key (KEK): where it comes from, and what it does.

It never enters the store, so a stolen database gives away no signing key. Losing it makes every
issuer key unusable: back it up apart from the store. It is 32 bytes from the environment or a
file, or a key that never leaves a PKCS #11 token (`pkcs11_kek.py`).
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tracechain.domain.errors import DataCorrupted, Unavailable

KEK_BYTES = 32
_NONCE = 12
_PKCS11, _FILE = "pkcs11:", "file:"


class Kek(Protocol):
    """Wraps by AES-256-GCM: nonce, then ciphertext with its tag."""

    @property
    def kek_id(self) -> str:
        """Names it for as long as anything is wrapped under it; tells nothing of it."""

    @property
    def text(self) -> str:
        """What `kek_from_text` makes it from again, in a process of ours. Secret."""

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Authenticated ciphertext of `plain`, bound to `context`. Raises Unavailable
        KEK_UNAVAILABLE."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The plain bytes. Raises DataCorrupted KEY_UNREADABLE, Unavailable KEK_UNAVAILABLE."""


class LocalKek:
    """A KEK that this process knows. What encrypts and what names it are derived from it by
    HKDF-SHA256 (RFC 5869), apart from each other."""

    def __init__(self, secret: bytes, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        if len(secret) != KEK_BYTES:
            raise Unavailable("KEK_INVALID", f"the key-encryption key must have {KEK_BYTES} bytes")
        self._aead = AESGCM(_derived(secret, b"key-vault/v1"))
        self._random = random_bytes
        self.text = base64.b64encode(secret).decode()
        self.kek_id = "local-" + _derived(secret, b"kek-id/v1")[:8].hex()

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """See Kek."""
        nonce = self._random(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """See Kek."""
        try:
            return self._aead.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
        except (InvalidTag, ValueError):
            raise unreadable() from None


def unreadable() -> DataCorrupted:
    """What no KEK can unwrap."""
    return DataCorrupted(
        "KEY_UNREADABLE", "a key cannot be unwrapped: wrong key-encryption key, or damage"
    )


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, b"", b"tracechain/" + purpose).derive(secret)


def kek_from_text(text: str) -> Kek:
    """A KEK as settings name it: 32 bytes in base64, `file:` and a path, or a `pkcs11:` URI
    (RFC 7512).

    Raises Unavailable: KEK_INVALID, KEK_MISSING, KEK_EXPOSED, KEK_UNAVAILABLE (no such token now).
    """
    text = text.strip()
    if text.startswith(_PKCS11):
        # Imported here: most have no token, and no library for one.
        from tracechain.adapters.pkcs11_kek import Pkcs11Kek

        return Pkcs11Kek(text)
    if text.startswith(_FILE):
        return kek_from_file(Path(text.removeprefix(_FILE)), create=False)
    try:
        return LocalKek(base64.b64decode(text, validate=True))
    except ValueError:
        raise Unavailable("KEK_INVALID", "the key-encryption key is not base64") from None


def kek_from_file(path: Path, *, create: bool) -> Kek:
    """From a file that only its owner may read; made where it is missing and `create` is set.

    Raises Unavailable: KEK_MISSING, KEK_INVALID, KEK_EXPOSED (others may read the file).
    """
    if create and not path.exists():
        _make(path)
    try:
        if path.stat().st_mode & 0o077:
            raise Unavailable("KEK_EXPOSED", f"others may read {path}; make it chmod 600")
        return kek_from_text(path.read_text())
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
