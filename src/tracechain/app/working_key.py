"""An issuer key that is ready to work: its secret half unwrapped, in this process alone.

Here and nowhere else is a key in the clear. It is bound to its id and its issuer when it is
wrapped, so that whoever can write to the store cannot give one issuer the key of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracechain.app.ports import KeyVault
from tracechain.domain.code import CodeKey, Profile, ScannedCode, VerifyingKey
from tracechain.domain.keys import IssuerKey, code_key


@dataclass(frozen=True, slots=True)
class WorkingKey:
    """A key with its secret half unwrapped. Never leaves the process, never in a log: who makes
    codes elsewhere is given the record and unwraps it there."""

    record: IssuerKey
    secret: CodeKey
    public: VerifyingKey

    def verify(self, code: ScannedCode) -> bool:
        """True where this key made the code's token."""
        if code.profile is Profile.COMPACT:
            return self.secret.verify_compact(code)
        # What we issued is known at once, and that is nearly all that is scanned.
        return self.secret.would_issue(code) or self.public.verify(code)

    def position(self, code: ScannedCode) -> tuple[int, int] | None:
        """(batch number, index) of a code whose token this key made; None where it did not."""
        return self.secret.position(code.serial_value) if self.verify(code) else None

    def positions(self, codes: Sequence[ScannedCode]) -> list[tuple[int, int] | None]:
        """`position` of each of many codes."""
        right = [self.verify(code) for code in codes]
        found = iter(
            self.secret.positions(
                [c.serial_value for c, is_right in zip(codes, right, strict=True) if is_right]
            )
        )
        return [next(found) if is_right else None for is_right in right]


def key_context(key_id: int, issuer: str) -> bytes:
    """What a wrapped key is bound to: it cannot be moved to another id or issuer."""
    return f"tracechain/issuer-key/v1/{key_id}/{issuer}".encode()


def sealed(key_id: int, issuer: str, secret: bytes, vault: KeyVault) -> bytes:
    """The secret half of a key as it is kept, for this id and issuer alone."""
    return vault.wrap(secret, key_context(key_id, issuer))


def working(record: IssuerKey, vault: KeyVault) -> WorkingKey:
    """A key with its secret half unwrapped. Raises DataCorrupted KEY_UNREADABLE."""
    plain = vault.unwrap(record.wrapped_secret, key_context(record.key_id, record.issuer_gln))
    public = VerifyingKey.from_der(record.key_id, record.algorithm, record.public_key)
    return WorkingKey(record, code_key(record, plain), public)
