# Copied from src/tracechain/domain/errors.py by `./dev generate`. Do not edit.
"""The one error tree.

TracechainError
├── InvalidArgument      a field is wrong; carries field violations
├── Unauthenticated      no credential, or one that is not ours
├── PermissionDenied     the role may not do this
├── NotFound             does not exist, or belongs to another tenant
├── AlreadyExists        the same name with other content
├── FailedPrecondition   the state forbids it (quantity exhausted, key revoked)
├── ResourceExhausted    a queue or a limit is full; retry later
├── Unavailable          the store cannot serve now (locked, disk full); retry later
└── DataCorrupted        what was read back is not what was written

A suspect product is never an error: that is a verdict. `reason` is stable and part of the
API (ErrorReason in protos/tracechain/v1/errors.proto; a test keeps the two equal).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field: its path (`batches[2].gtin`), a stable reason, and words for a person."""

    field: str
    reason: str
    description: str


class TracechainError(Exception):
    """Root of the tree. `reason` is stable, `message` is for people, `metadata` for programs."""

    def __init__(
        self, reason: str, message: str, *, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata: Mapping[str, str] = dict(metadata or {})

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between processes; an exception's own way back calls it with the message.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[Exception], args: tuple[Any, ...], state: Mapping[str, Any]) -> Exception:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InvalidArgument(TracechainError):
    """One or more fields are wrong. The first violation names the error's reason."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        first = violations[0]
        words = f"{first.field}: {first.description}" if first.field else first.description
        super().__init__(first.reason, words)
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, reason: str, description: str) -> InvalidArgument:
        return cls([Violation(field, reason, description)])

    def under(self, prefix: str) -> InvalidArgument:
        """The same error with every field path moved below `prefix` (`events[3]`)."""
        return InvalidArgument(
            [
                Violation(f"{prefix}.{v.field}" if v.field else prefix, v.reason, v.description)
                for v in self.violations
            ]
        )


class Unauthenticated(TracechainError):
    """No credential, or one that is unknown, expired or revoked."""


class PermissionDenied(TracechainError):
    """The credential is good, but its role may not do this."""


class NotFound(TracechainError):
    """Does not exist, or belongs to another tenant: the two look the same from outside."""


class AlreadyExists(TracechainError):
    """The name is taken by something with other content."""


class FailedPrecondition(TracechainError):
    """The present state forbids it; repeating without a change will not help."""


class ResourceExhausted(TracechainError):
    """A bounded queue or a limit is full. Retry after `retry_after` seconds."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        retry_after: float,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, metadata=metadata)
        self.retry_after = retry_after


class Unavailable(TracechainError):
    """The store cannot serve this now (locked, disk full). Retry after `retry_after` seconds."""

    def __init__(self, reason: str, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class DataCorrupted(TracechainError):
    """What was read back is not what was written; an operator has to look."""
