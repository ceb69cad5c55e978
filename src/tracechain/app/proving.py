"""The arithmetic of a code: is its token right, and which unit does its serial name.

A code that fails costs this and nothing else: no cache, no store. A token that was right stays
right, so proofs are remembered; the key is looked up anew each time, for it may be revoked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tracechain.app.keyring import Keyring
from tracechain.app.working_key import WorkingKey
from tracechain.domain.code import CodeDefect, MalformedCode, ScannedCode, parse_code
from tracechain.domain.verdict import (
    Verdict,
    VerdictReason,
    counterfeit,
    unproved,
    unreadable,
)

_REMEMBERED = 100_000


class Proved(NamedTuple):
    """A code whose token is right, and the position that its serial inverts to."""

    code: ScannedCode
    batch_number: int
    index: int  # type: ignore[assignment]  # hides a method of tuples that nobody needs here


@dataclass(frozen=True, slots=True)
class Claimed:
    """A well-formed code that names a known key: what is left is to check its token."""

    text: str
    code: ScannedCode
    key: WorkingKey


Finding = tuple[Proved, WorkingKey] | Verdict
# Proves texts among those of others, beside the event loop. Raises ResourceExhausted.
Prove = Callable[[Sequence[str]], Awaitable[Sequence[Finding]]]


class Prover:
    """Proves codes: `read`, then `WorkingKey.position`, which is the costly part and may be done
    anywhere, then `judge`."""

    def __init__(self, keyring: Keyring, resolver: str) -> None:
        self._keyring = keyring
        self.resolver = resolver
        self._proved: dict[str, Proved] = {}

    def remembered(self, text: str) -> Finding | None:
        """What was proved of this text before; None where it has to be proved."""
        proved = self._proved.get(text)
        if proved is None:
            return None
        key = self._keyring.get(proved.code.key_id)
        return None if key is None else (proved, key)

    def read(self, text: str) -> Claimed | Verdict:
        """What a text claims, or the verdict on one that claims nothing that can be checked."""
        try:
            code = parse_code(text, self.resolver)
        except MalformedCode as error:
            if error.detail is CodeDefect.UNKNOWN_RESOLVER:
                return unreadable(VerdictReason.UNKNOWN_RESOLVER)
            return unreadable(VerdictReason.MALFORMED_CODE)
        key = self._keyring.get(code.key_id)
        if key is None:
            return unproved(code, VerdictReason.UNKNOWN_KEY)
        return Claimed(text, code, key)

    def judge(self, claimed: Claimed, position: tuple[int, int] | None) -> Finding:
        """What is proved by the position that the code's key gives it."""
        if position is None:
            return counterfeit(claimed.code, VerdictReason.TOKEN_FALSE)
        proved = Proved(claimed.code, *position)
        if len(self._proved) >= _REMEMBERED:
            self._proved.clear()
        self._proved[claimed.text] = proved
        return proved, claimed.key
