"""Client for a tracechain service, and verification of its codes without a network.

`Client` and `AsyncClient` have the same methods. `verify_offline` needs a `KeySet` and nothing
else. Errors are one tree under `TracechainError`, see `tracechain_client.errors`. Messages and
enums are those of the protos, in `tracechain_client.v1.*_pb2`.
"""

from tracechain_client._retry import RetryPolicy, full_jitter
from tracechain_client._stubs import Stubs
from tracechain_client._version import __version__
from tracechain_client.client import AsyncClient, Client
from tracechain_client.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    FalseProof,
    Internal,
    InvalidArgument,
    LogForked,
    LogRolledBack,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ProtocolError,
    ResourceExhausted,
    TracechainError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
    Violation,
)
from tracechain_client.offline import (
    KeySet,
    OfflineKey,
    OfflineStatus,
    OfflineVerdict,
    verify_offline,
)
from tracechain_client.trust import (
    FilePin,
    LogTrust,
    MemoryPin,
    Pin,
    ProvedIssue,
    ProvedVerdict,
)

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "Cancelled",
    "Client",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FalseProof",
    "FilePin",
    "Internal",
    "InvalidArgument",
    "KeySet",
    "LogForked",
    "LogRolledBack",
    "LogTrust",
    "MemoryPin",
    "NotFound",
    "OfflineKey",
    "OfflineStatus",
    "OfflineVerdict",
    "OutOfRange",
    "PermissionDenied",
    "Pin",
    "ProtocolError",
    "ProvedIssue",
    "ProvedVerdict",
    "ResourceExhausted",
    "RetryPolicy",
    "Stubs",
    "TracechainError",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "Violation",
    "__version__",
    "full_jitter",
    "verify_offline",
]
