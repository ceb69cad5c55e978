"""What a call can fail with: one tree, one class for each gRPC status.

TracechainError
├── Cancelled           ├── PermissionDenied     ├── OutOfRange
├── Unknown             ├── Unauthenticated      ├── Unimplemented
├── InvalidArgument     ├── ResourceExhausted *  ├── Internal
├── DeadlineExceeded    ├── FailedPrecondition   ├── Unavailable *
├── NotFound            ├── Aborted *            ├── DataLoss
├── AlreadyExists       └── ProtocolError        the answer breaks the API's own promises
                            └── FalseProof                    it does not prove what it has to
                                └── LogForked                 the log has two histories
                                    └── LogRolledBack         or a shorter one than before

Those marked * are tried again by the client before they get here. A suspect product is never an
error: that is a verdict. `reason` is stable (ErrorReason in errors.proto): decide on the class
and on it, never on the text of `message`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from tracechain_client._status import read_status

DOMAIN = "tracechain"


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field of a request: its path, a stable reason, words for a person."""

    field: str
    reason: str
    description: str


class TracechainError(Exception):
    """Root of the tree. The gRPC error, where there was one, is its `__cause__`."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str = "",
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        """The gRPC status."""
        self.reason = reason
        """Stable, such as `QUANTITY_EXCEEDED`; empty where the service did not speak itself."""
        self.message = message
        """For people."""
        self.metadata: Mapping[str, str] = dict(metadata or {})
        """For programs: what `reason` is about."""
        self.violations = tuple(violations)
        """The fields that are wrong."""
        self.retry_after = retry_after
        """Seconds after which the service asks to try again; None where it did not say."""

    def __str__(self) -> str:
        head = f"{self.code.name} {self.reason}".rstrip()
        return f"{head}: {self.message}" if self.message else head

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        fields = (self.reason, self.message, self.metadata, self.violations, self.retry_after)
        return type(self), (self.code, *fields)


class Cancelled(TracechainError):
    """The call was cancelled."""


class Unknown(TracechainError):
    """A failure without a status of its own."""


class InvalidArgument(TracechainError):
    """Fields of the request are wrong: see `violations`."""


class DeadlineExceeded(TracechainError):
    """No answer in time. What was asked may have been done all the same."""


class NotFound(TracechainError):
    """Does not exist, or belongs to another tenant: the two look the same from outside."""


class AlreadyExists(TracechainError):
    """The name is taken by something with other content."""


class PermissionDenied(TracechainError):
    """The credential is good, but its role may not do this."""


class Unauthenticated(TracechainError):
    """No credential, or one that is unknown, expired or revoked."""


class ResourceExhausted(TracechainError):
    """A queue or a limit is full; it stayed so through all tries."""


class FailedPrecondition(TracechainError):
    """The present state forbids it; repeating without a change will not help."""


class Aborted(TracechainError):
    """Others were faster; they stayed so through all tries."""


class OutOfRange(TracechainError):
    """Beyond the end of what there is."""


class Unimplemented(TracechainError):
    """The service at this address does not have this method."""


class Internal(TracechainError):
    """The service failed; an operator has to look."""


class Unavailable(TracechainError):
    """The service could not be reached or cannot serve now; it stayed so through all tries."""


class DataLoss(TracechainError):
    """What the service read back is not what it wrote; an operator has to look."""


class ProtocolError(TracechainError):
    """The answer breaks a promise of the API (answers missing, a page that names itself next)."""

    def __init__(
        self, code: grpc.StatusCode = grpc.StatusCode.INTERNAL, reason: str = "", message: str = ""
    ) -> None:
        super().__init__(code, reason, message)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.code, self.reason, self.message)


class FalseProof(ProtocolError):
    """What the service gave as a proof proves nothing: do not believe the verdict by it."""

    def __init__(
        self,
        code: grpc.StatusCode = grpc.StatusCode.INTERNAL,
        reason: str = "FALSE_LOG_PROOF",
        message: str = "",
    ) -> None:
        super().__init__(code, reason, message)


class LogForked(FalseProof):
    """The log shows another history than it did before, or a shorter one. Both notes were kept by
    the pin; they are evidence, signed by the log itself."""

    def __init__(self, message: str, pinned: bytes, seen: bytes) -> None:
        super().__init__(reason="LOG_FORKED", message=message)
        self.pinned = pinned
        """The note that was seen before."""
        self.seen = seen
        """The note that was seen now."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.message, self.pinned, self.seen)


class LogRolledBack(LogForked):
    """The log's tree is smaller than one that it had signed, and cannot be shown to be its
    beginning: as when an old backup was restored."""


BY_STATUS: Mapping[grpc.StatusCode, type[TracechainError]] = {
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNKNOWN: Unknown,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.INTERNAL: Internal,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DATA_LOSS: DataLoss,
}


def from_rpc_error(error: grpc.RpcError) -> TracechainError:
    """The error of this tree for one that gRPC raised; also for calls made through `stubs`."""
    code = error.code()
    trailers: Any = error.trailing_metadata() or ()
    raw = dict(trailers).get("grpc-status-details-bin", b"")
    status = read_status(raw if isinstance(raw, bytes) else b"", code.value[0])
    ours = status.info is not None and status.info.domain == DOMAIN
    found = BY_STATUS.get(code, Unknown)(
        code,
        status.info.reason if status.info and ours else "",
        error.details() or "",
        {entry.key: entry.value for entry in status.info.metadata} if status.info and ours else {},
        [Violation(v.field, v.reason, v.description) for v in status.violations],
        status.retry_after,
    )
    found.__cause__ = error
    return found
