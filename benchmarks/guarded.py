"""Twins of methods that differ in who is asked for a credential, and in nothing else.

VerifyCode is everybody's: its twin asks for a credential, to see what that would cost the method
that is called most. CaptureEvents asks for one: its twin believes everybody at once.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodOptions
from google.protobuf.descriptor_pool import Default

from tracechain import bootstrap
from tracechain.app.limits import Limits, Rates
from tracechain.domain.party import Principal, Role
from tracechain.rpc.admission import Admission, Room
from tracechain.rpc.gate import Gate
from tracechain.rpc.guard import Guard
from tracechain.v1 import annotations_pb2, capture_pb2, verification_pb2

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
VERIFY = "/benchmarks.Guarded/VerifyCode"
CAPTURE = "/benchmarks.Open/CaptureEvents"


class _Anybody:
    """Knows who calls before he is asked."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    def known(self, text: str) -> Principal:
        return self._principal

    async def bearer(self, text: str) -> Principal:
        return self._principal

    async def certificate(self, shown: bytes) -> Principal:
        return self._principal


class _NoRecord:
    """Takes what a record would be made of, and makes none."""

    principal: Principal | None = None
    request: object = None

    def call(self, peer: str) -> _NoRecord:
        return _NoRecord()

    async def look(self, principal: Principal) -> None:
        return None

    async def __aenter__(self) -> _NoRecord:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class _Asking(Gate):
    """Asks who calls, and writes nothing down: what records cost, `audit` measures."""

    def guard(self, method: MethodDescriptor, servicer: object | None = None) -> Guard:
        made = super().guard(method, servicer)
        made._recorder = cast("Any", _NoRecord())
        return made


def twins(app: bootstrap.App, issuer: str) -> dict[str, tuple[Handler, Room]]:
    """Both by path, over the use cases of a running service."""
    services = {servicer.service.name: servicer for servicer in app.servicers}
    verify = services["VerificationService"].VerifyCode  # type: ignore[attr-defined]

    async def guarded(request: verification_pb2.VerifyCodeRequest, principal: Principal) -> object:
        return await verify(request)

    capture = services["EventService"].CaptureEvents  # type: ignore[attr-defined]
    events = capture_pb2.DESCRIPTOR.services_by_name["EventService"]
    admission = Admission(app.settings.max_calls, app.settings.max_streams)
    # The service that is measured has no limits per client either.
    limits = Limits(Rates(), lambda rule, rate: _none(rule))
    anybody = Gate(_Anybody(Principal(issuer, Role.ISSUER)), admission, limits, app.auditing)
    # What everybody may ask leaves no record; to ask who calls must not be billed for one.
    asking = _Asking(app.gate._authenticator, admission, app.gate._limits, app.auditing)
    return {
        VERIFY: asking.method(_asking(), guarded),
        CAPTURE: anybody.method(events.methods_by_name["CaptureEvents"], capture),
    }


def _none(rule: str) -> NoReturn:
    raise RuntimeError(f"no buckets are made where there is no rate: {rule}")


def _asking() -> MethodDescriptor:
    """VerifyCode as it would be for issuers alone."""
    file = FileDescriptorProto(
        name="benchmarks/guarded.proto",
        package="benchmarks",
        syntax="proto3",
        dependency=[verification_pb2.DESCRIPTOR.name, annotations_pb2.DESCRIPTOR.name],
    )
    method = file.service.add(name="Guarded").method.add(
        name="VerifyCode",
        input_type=".tracechain.v1.VerifyCodeRequest",
        output_type=".tracechain.v1.Verdict",
    )
    # It reads, to its record: what a record of a change costs `audit` measures.
    method.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
    method.options.Extensions[annotations_pb2.access].roles.append(annotations_pb2.ROLE_ISSUER)
    Default().AddSerializedFile(file.SerializeToString())
    found: MethodDescriptor = Default().FindMethodByName("benchmarks.Guarded.VerifyCode")
    return found
