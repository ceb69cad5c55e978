"""Errors of the domain as gRPC status: the one table, with ErrorInfo, BadRequest and RetryInfo."""

from __future__ import annotations

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from tracechain.domain import errors

DOMAIN = "tracechain"

CODES: dict[type[errors.TracechainError], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DataCorrupted: grpc.StatusCode.DATA_LOSS,
}
# Violations beyond this are not sent: a trailer is no place for a thousand of them.
_MAX_VIOLATIONS = 20

Trailers = tuple[grpc.StatusCode, str, tuple[tuple[str, str | bytes], ...]]


def code_of(error: errors.TracechainError) -> grpc.StatusCode:
    """The status code of an error: that of the nearest class above it in the table."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def trailers(error: errors.TracechainError) -> Trailers:
    """Code, text and trailing metadata for an error."""
    code = code_of(error)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if isinstance(error, errors.InvalidArgument):
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=v.field, description=v.description, reason=v.reason
                    )
                    for v in error.violations[:_MAX_VIOLATIONS]
                ]
            )
        )
    if isinstance(error, errors.ResourceExhausted | errors.Unavailable):
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return _packed(code, error.message, details)


def internal(incident: str) -> Trailers:
    """For what should not have happened: a number that the log knows, and nothing else."""
    return _packed(
        grpc.StatusCode.INTERNAL,
        f"internal error; ask the operator about incident {incident}",
        [
            error_details_pb2.ErrorInfo(
                reason="INTERNAL", domain=DOMAIN, metadata={"incident": incident}
            )
        ],
    )


def described(code: grpc.StatusCode, reason: str, message: str) -> Trailers:
    """For what is wrong before a method is known: no error of the domain."""
    return _packed(code, message, [error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)])


def _packed(code: grpc.StatusCode, message: str, details: list[Message]) -> Trailers:
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return code, message, (("grpc-status-details-bin", status.SerializeToString()),)
