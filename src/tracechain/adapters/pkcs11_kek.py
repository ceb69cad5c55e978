"""A key-encryption key in a PKCS #11 token: a hardware security module, a smart card, SoftHSM.

The key never leaves the token, which does AES-256-GCM itself (CKM_AES_GCM); a process has a session
and a PIN. It is named by a PKCS #11 URI (RFC 7512): `token` and `object` are labels, `module-path`
is the vendor's library, the PIN comes from `pin-source` (a file) or `pin-value`. The object's label
names it in what is wrapped: give a new key a new label.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tracechain.adapters.kek import unreadable
from tracechain.domain.errors import Unavailable

_NONCE, _TAG = 12, 16
_LABEL = re.compile(r"[\x21-\x7e]{1,100}")
_PATH = ("token", "object", "type")
_QUERY = ("module-path", "pin-source", "pin-value")


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Where a key is: what a URI says. The PIN is read at each opening of the token."""

    module: str
    token: str
    label: str
    pin_source: str
    pin_value: str

    @classmethod
    def of(cls, uri: str) -> TokenKey:
        """Raises Unavailable KEK_INVALID, never with the URI in it: it may hold the PIN."""
        path, _, query = uri.removeprefix("pkcs11:").partition("?")
        found = {**_attributes(path, ";", _PATH), **_attributes(query, "&", _QUERY)}
        if not all(found.get(name) for name in ("token", "object", "module-path")):
            raise _invalid("needs token, object and module-path")
        if not _LABEL.fullmatch(found["object"]):
            raise _invalid("object has 1 to 100 visible ASCII characters")
        if found.get("type", "secret-key") != "secret-key":
            raise _invalid("type is secret-key")
        if bool(found.get("pin-source")) == bool(found.get("pin-value")):
            raise _invalid("needs one of pin-source and pin-value")
        return cls(
            found["module-path"], found["token"], found["object"],
            found.get("pin-source", "").removeprefix("file:"), found.get("pin-value", ""),
        )  # fmt: skip

    def pin(self) -> str:
        """Raises Unavailable KEK_MISSING, KEK_EXPOSED."""
        if self.pin_value:
            return self.pin_value
        path = Path(self.pin_source)
        try:
            if path.stat().st_mode & 0o077:
                raise Unavailable("KEK_EXPOSED", f"others may read {path}; make it chmod 600")
            return path.read_text().strip()
        except OSError:
            raise Unavailable("KEK_MISSING", f"the PIN's file {path} cannot be read") from None


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, text.split(separator)):
        name, _, value = item.partition("=")
        if name not in known or name in found:
            raise _invalid(f"each of {', '.join(known)} stands at most once, and nothing else")
        found[name] = unquote(value)
    return found


def _invalid(words: str) -> Unavailable:
    return Unavailable("KEK_INVALID", f"the PKCS #11 URI of the key-encryption key {words}")


class Pkcs11Kek:
    """See Kek. Opens the token when it is made, and again where it went away."""

    def __init__(self, uri: str, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._at = TokenKey.of(uri)
        self.text = uri
        self.kek_id = f"pkcs11-{self._at.label}"
        self._random = random_bytes
        self._key = self._opened()

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """See Kek."""
        nonce = self._random(_NONCE)
        return nonce + self._asked("encrypt", plain, nonce, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """See Kek."""
        from pkcs11 import PKCS11Error

        if len(wrapped) < _NONCE + _TAG:
            raise unreadable()
        try:
            return self._asked("decrypt", wrapped[_NONCE:], wrapped[:_NONCE], context)
        except Unavailable as error:
            if isinstance(error.__cause__, PKCS11Error):
                # The token is there and refuses. For a false tag each vendor has an error of his
                # own, SoftHSM a general one.
                raise unreadable() from None
            raise

    def _asked(self, what: str, data: bytes, nonce: bytes, context: bytes) -> bytes:
        from pkcs11 import GCMParams, Mechanism, PKCS11Error

        def ask() -> bytes:
            parameters = GCMParams(nonce, context, _TAG * 8)
            answer = getattr(self._key, what)(
                data, mechanism=Mechanism.AES_GCM, mechanism_param=parameters
            )
            return bytes(answer)

        try:
            return ask()
        except PKCS11Error:
            # Perhaps its session is over: then it is opened, and asked once more.
            self._key = self._opened()
        try:
            return ask()
        except PKCS11Error as error:
            raise _unusable(error) from error

    def _opened(self) -> Any:
        return _find(_session(self._at), self._at.label)


def make_in_token(uri: str) -> str:
    """Makes an AES-256 key in a token, one that cannot be taken out; its id. Raises Unavailable,
    KEK_INVALID also where the token has a key of this label."""
    at = TokenKey.of(uri)
    session = _session(at, writes=True)
    from pkcs11 import Attribute, KeyType, PKCS11Error

    try:
        if _has(session, at.label):
            raise _invalid("names a key that is there")
        wanted = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        session.generate_key(KeyType.AES, 256, label=at.label, store=True, template=wanted)
    except PKCS11Error as error:
        raise _unusable(error) from error
    finally:
        session.close()
    return f"pkcs11-{at.label}"


def _session(at: TokenKey, *, writes: bool = False) -> Any:
    try:
        import pkcs11
    except ImportError:
        raise Unavailable(
            "KEK_UNAVAILABLE", "PKCS #11 needs python-pkcs11: install tracechain[pkcs11]"
        ) from None
    pin = at.pin()
    try:
        token = pkcs11.lib(at.module).get_token(token_label=at.token)
        try:
            return token.open(rw=writes, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:
            # A login is the whole process's: another session has it already.
            return token.open(rw=writes)
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        # A library that cannot be loaded, or one that has no such token, or not now.
        raise _unusable(error) from None


def _has(session: Any, label: str) -> bool:
    try:
        _find(session, label)
    except Unavailable as error:
        if error.reason == "KEK_MISSING":
            return False
        raise
    return True


def _find(session: Any, label: str) -> Any:
    from pkcs11 import KeyType, NoSuchKey, ObjectClass, PKCS11Error

    try:
        return session.get_key(
            object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=label
        )
    except NoSuchKey:
        raise Unavailable("KEK_MISSING", "the token has no AES key of this label") from None
    except PKCS11Error as error:
        raise _unusable(error) from None


def _unusable(error: Exception) -> Unavailable:
    # The library's errors come without words.
    name = type(error).__name__
    return Unavailable("KEK_UNAVAILABLE", f"the PKCS #11 token cannot be used: {name}")
