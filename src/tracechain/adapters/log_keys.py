"""Keys that sign notes, in a file: wrapped under a key-encryption key, as all that signs is.

Promises that a key is used under the name and the type that its verifier key tells, or not at all.
Whoever has the file and the key-encryption key can speak for the log, or for the witness.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519

from tracechain.adapters.kek import kek_from_file
from tracechain.adapters.keys import Vault
from tracechain.adapters.log_heads import write_durably
from tracechain.domain.errors import DataCorrupted, InvalidArgument, Unavailable
from tracechain.domain.log.cosignature import Cosigner
from tracechain.domain.log.note import NoteSigner, SignatureType, VerifierKey, public_half
from tracechain.domain.log.signing import SigningKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import mldsa

_VERSION = 1
_MODE = 0o600


def make_key(name: str, type_: SignatureType) -> SigningKey:
    """A new key. Raises InvalidArgument INVALID_VERIFIER_KEY for what is no name of a key, and
    UNSUPPORTED_ALGORITHM where this build of `cryptography` has no ML-DSA."""
    return _signing_key(name, type_, os.urandom(32))


def has_ml_dsa() -> bool:
    """Whether this build of `cryptography` can sign by ML-DSA-44."""
    try:
        make_key("probe", SignatureType.COSIGNATURE_ML_DSA_44)
    except InvalidArgument:
        return False
    return True


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of keys. Where no vault is given, its key-encryption key is beside it, made once, in a
    file that only its owner may read."""

    path: Path

    def write(self, keys: Sequence[SigningKey], vault: Vault | None) -> None:
        """Replaces the file, durably. Raises Unavailable as the vault does; OSError."""
        wrapping = vault or self._own_vault(create=True)
        entries = [
            {
                "vkey": str(key.key),
                "wrapped": base64.b64encode(
                    wrapping.wrap(key.private_key.private_bytes_raw(), _context(str(key.key)))
                ).decode(),
            }
            for key in keys
        ]
        content = json.dumps({"version": _VERSION, "keys": entries}, indent=1) + "\n"
        write_durably(self.path, content.encode(), _MODE)

    def read(self, vault: Vault | None) -> list[SigningKey]:
        """The keys. What is under another key-encryption key than the vault's present one, its
        previous one or that beside the file, is wrapped anew on the way.

        Raises Unavailable LOG_KEY_MISSING, KEK_EXPOSED, KEK_MISSING, KEK_UNAVAILABLE; DataCorrupted
        LOG_KEY_UNREADABLE, KEY_UNREADABLE; InvalidArgument UNSUPPORTED_ALGORITHM.
        """
        keys, stale = [], False
        for public, wrapped in self._entries():
            context = _context(str(public))
            opening = vault or self._own_vault()
            try:
                secret = opening.unwrap(wrapped, context)
                stale = stale or opening.rewrap(wrapped, context) is not None
            except DataCorrupted:
                if vault is None or not self._own_kek.exists():
                    raise
                # From before one was configured.
                secret, stale = self._own_vault().unwrap(wrapped, context), True
            key = _signing_key(public.name, public.type, secret)
            if key.key != public:
                raise _unreadable(self.path, "has a private key of another verifier key")
            keys.append(key)
        if stale:
            self.write(keys, vault)
        return keys

    def public(self) -> list[VerifierKey]:
        """The verifier keys, which need no vault. Raises Unavailable LOG_KEY_MISSING,
        DataCorrupted LOG_KEY_UNREADABLE."""
        return [public for public, _ in self._entries()]

    @property
    def _own_kek(self) -> Path:
        return self.path.with_name(f"{self.path.name}.kek")

    def _own_vault(self, *, create: bool = False) -> Vault:
        return Vault(kek_from_file(self._own_kek, create=create))

    def _entries(self) -> list[tuple[VerifierKey, bytes]]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            raise Unavailable(
                "LOG_KEY_MISSING", f"there is no key at {self.path}; make one by `init`"
            ) from None
        try:
            found = json.loads(content)
            if found["version"] != _VERSION:
                raise _unreadable(self.path, "is of another version")
            entries = [
                (VerifierKey.parse(one["vkey"]), base64.b64decode(one["wrapped"], validate=True))
                for one in found["keys"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError, InvalidArgument):
            raise _unreadable(self.path, "is no file of keys") from None
        if not entries or len({public.name for public, _ in entries}) != 1:
            raise _unreadable(self.path, "has not one key or more of one name")
        return entries


def _signing_key(name: str, type_: SignatureType, secret: bytes) -> SigningKey:
    if type_ is SignatureType.COSIGNATURE_ML_DSA_44:
        made: SigningKey = Cosigner(name, _ml_dsa(secret))
    else:
        private = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
        kind = NoteSigner if type_ is SignatureType.ED25519 else Cosigner
        made = kind(name, private)
    public_half(name, type_, made.private_key)  # the name is one, or this refuses it
    return made


def _ml_dsa(seed: bytes) -> mldsa.MLDSA44PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa

        return mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
    except (ImportError, UnsupportedAlgorithm):
        raise InvalidArgument.of(
            "vkey.type", "UNSUPPORTED_ALGORITHM", "ML-DSA-44 is not in this `cryptography`"
        ) from None


def _context(vkey: str) -> bytes:
    """What a wrapped key is bound to: it cannot be moved to another name or type."""
    return f"tracechain/log-key/v1/{vkey}".encode()


def _unreadable(path: Path, why: str) -> DataCorrupted:
    return DataCorrupted("LOG_KEY_UNREADABLE", f"{path} {why}")
