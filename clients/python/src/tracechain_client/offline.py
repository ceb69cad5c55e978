"""Verification of signed codes without a network, and the keys that it needs.

Promises that AUTHENTIC is said only of a text that the holder of that key signed, for exactly
that GTIN and serial. The keys are what it rests on: who can write the file they are kept in can
make any code authentic, so keep it as you keep a list of trusted certificates, and fetch it anew
often enough for revocations to arrive.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tracechain_client._code import (
    ALGORITHMS,
    ED25519,
    ES256,
    Malformed,
    PublicKey,
    is_signed_by,
    load_public_key,
    read_code,
)
from tracechain_client.v1.party_pb2 import ALGORITHM_ED25519, ALGORITHM_ES256, IssuerKey

_FORMAT = "tracechain-keys/v1"
_KNOWN = {ALGORITHM_ES256: ES256, ALGORITHM_ED25519: ED25519}


class OfflineStatus(StrEnum):
    """What can be told of a code without asking the service."""

    AUTHENTIC = "AUTHENTIC"
    """The holder of that key signed this GTIN and serial. Not: that these goods are genuine."""
    FALSE = "FALSE"
    """The signature is false: the code is forged."""
    UNKNOWN_KEY = "UNKNOWN_KEY"
    """The key set does not hold the key that the code names; it may be older than the key."""
    KEY_REVOKED = "KEY_REVOKED"
    """Signed with a key that was revoked; nothing tells whether before or after."""
    NOT_SIGNED = "NOT_SIGNED"
    """A compact code, which the service alone can check."""
    MALFORMED = "MALFORMED"
    """Not a code of this resolver in its one canonical spelling."""


@dataclass(frozen=True, slots=True)
class OfflineVerdict:
    """What was found. True in a condition only where it is AUTHENTIC.

    Everything but `status` is what the code says, proved by AUTHENTIC alone; None where it says
    nothing. `issuer` is the GLN of the party that the key belongs to.
    """

    status: OfflineStatus
    gtin: str | None = None
    serial: str | None = None
    key_id: int | None = None
    issuer: str | None = None
    detail: str = ""

    def __bool__(self) -> bool:
        return self.status is OfflineStatus.AUTHENTIC


@dataclass(frozen=True, slots=True)
class OfflineKey:
    """One public key of an issuer. Checks itself: ValueError where it is no key."""

    key_id: int
    issuer: str
    algorithm: str
    der: bytes
    revoke_time: datetime.datetime | None = None
    loaded: PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if type(self.key_id) is not int or not 0 <= self.key_id <= 0xFFFF:
            raise ValueError(f"{self.key_id!r} is no key id")
        if self.algorithm not in ALGORITHMS or not isinstance(self.issuer, str):
            raise ValueError(f"key {self.key_id}: algorithm or issuer is none")
        object.__setattr__(self, "loaded", load_public_key(self.algorithm, self.der))


class KeySet:
    """The public keys of all issuers, as of `fetch_time`. Does not change."""

    def __init__(
        self, keys: Iterable[OfflineKey], fetch_time: datetime.datetime | None = None
    ) -> None:
        self._keys: dict[int, OfflineKey] = {}
        self.fetch_time = fetch_time
        """When the service gave them: what was revoked later is not known to be."""
        for key in keys:
            if self._keys.setdefault(key.key_id, key) != key:
                raise ValueError(f"two keys have the id {key.key_id}")

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[OfflineKey]:
        return iter(self._keys.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeySet):
            return NotImplemented
        return (self._keys, self.fetch_time) == (other._keys, other.fetch_time)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"KeySet({len(self)} keys, fetch_time={self.fetch_time})"

    def get(self, key_id: int) -> OfflineKey | None:
        """The key of this id, or None."""
        return self._keys.get(key_id)

    @classmethod
    def from_messages(
        cls, keys: Iterable[IssuerKey], fetch_time: datetime.datetime | None = None
    ) -> KeySet:
        """From `ListVerificationKeys`. Keys of algorithms that this version does not know are
        left out: codes under them are UNKNOWN_KEY or MALFORMED, never AUTHENTIC."""
        return cls(
            (
                OfflineKey(
                    key.key_id,
                    key.issuer_gln,
                    _KNOWN[key.algorithm],
                    key.public_key,
                    key.revoke_time.ToDatetime(datetime.UTC)
                    if key.HasField("revoke_time")
                    else None,
                )
                for key in keys
                if key.algorithm in _KNOWN
            ),
            fetch_time,
        )

    def to_json(self) -> str:
        """The text of a key file."""
        keys = [
            {
                "key_id": key.key_id,
                "issuer": key.issuer,
                "algorithm": key.algorithm,
                "public_key": base64.b64encode(key.der).decode("ascii"),
                "revoke_time": _time_text(key.revoke_time),
            }
            for key in sorted(self, key=lambda key: key.key_id)
        ]
        document = {"format": _FORMAT, "fetch_time": _time_text(self.fetch_time), "keys": keys}
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> KeySet:
        """From the text of a key file; ValueError where it is none."""
        try:
            document = json.loads(text)
            if document["format"] != _FORMAT:
                raise ValueError(f"its format is not {_FORMAT}")
            keys = [
                OfflineKey(
                    entry["key_id"],
                    entry["issuer"],
                    entry["algorithm"],
                    base64.b64decode(entry["public_key"], validate=True),
                    _time(entry["revoke_time"]),
                )
                for entry in document["keys"]
            ]
            return cls(keys, _time(document["fetch_time"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no key file: {error!r}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a key file in the place of the one that was there, whole or not at all."""
        target = Path(path)
        draft = target.with_name(f"{target.name}.{os.getpid()}.new")
        try:
            with draft.open("w", encoding="ascii", newline="\n") as file:
                file.write(self.to_json())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KeySet:
        """Reads a key file; ValueError where it is none."""
        return cls.from_json(Path(path).read_bytes())


def verify_offline(code_text: str, key_set: KeySet, resolver: str) -> OfflineVerdict:
    """Checks a code of the signed profile with no network. `resolver` is the host on the code.

    AUTHENTIC proves that the holder of the issuer's key signed this GTIN and this serial. It does
    NOT prove any of this, which only the service can tell (`Client.verify`):

    - that the label is the original: a printed code can be copied, and every copy verifies;
    - the state of the unit: recalled, blocked, expired, sold, consumed, stolen, destroyed, or not
      yet on sale;
    - that the serial lies within the quantity that was authorised for its batch;
    - that the GTIN belongs to `issuer`: compare it with the issuer you expect;
    - that the key was not revoked after the key set was fetched (`KeySet.fetch_time`).
    """
    try:
        code = read_code(code_text, resolver)
    except Malformed as error:
        return OfflineVerdict(OfflineStatus.MALFORMED, detail=str(error))
    key = key_set.get(code.key_id)

    def found(status: OfflineStatus, detail: str) -> OfflineVerdict:
        issuer = key.issuer if key else None
        return OfflineVerdict(status, code.gtin, code.serial, code.key_id, issuer, detail)

    if code.algorithm is None:
        return found(OfflineStatus.NOT_SIGNED, "only the service can check a compact code")
    if key is None:
        return found(OfflineStatus.UNKNOWN_KEY, f"key {code.key_id} is not in the key set")
    # The algorithm is the key's; a token that claims another one is false, not another way in.
    if code.algorithm != key.algorithm or not is_signed_by(code, key.loaded):
        return found(OfflineStatus.FALSE, "the signature is false")
    if key.revoke_time is not None:
        return found(OfflineStatus.KEY_REVOKED, f"revoked as of {_time_text(key.revoke_time)}")
    return found(OfflineStatus.AUTHENTIC, "signed by the issuer's key")


def _time_text(time: datetime.datetime | None) -> str | None:
    if time is None:
        return None
    return time.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def _time(text: Any) -> datetime.datetime | None:
    if text is None:
        return None
    time = datetime.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return time
