"""The gRPC server of one process: limits, health, reflection, graceful stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tracechain.app.ports import ServerIdentity, TlsMaterial
from tracechain.domain.address import refuse_plaintext
from tracechain.domain.errors import Unavailable
from tracechain.rpc.gate import Gate

_MAX_METADATA = 16 * 1024
# For TLS and HTTP/2 to begin; gRPC would wait two minutes, and each waits with a connection.
_HANDSHAKE_MS = 10_000
_IDLE_MS = 300_000
_AGE_MS, _AGE_GRACE_MS = 3_600_000, 600_000
# Calls that gRPC itself may keep unread. Its own refusal beyond has no reason and no time to come
# back, so ours must come first: this is more than connections have places for.
_MAX_UNREAD = 1 << 20


class Servicer(Protocol):
    """What answers the methods of one service of the protos."""

    @property
    def service(self) -> ServiceDescriptor:
        """The service's descriptor."""


class RpcServer:
    """Serves until it is stopped. Several processes may listen on one port."""

    def __init__(
        self,
        gate: Gate,
        servicers: Sequence[Servicer],
        listen: str,
        *,
        max_message_bytes: int,
        max_calls_per_connection: int,
        allow_plaintext: bool,
        identity: ServerIdentity | None = None,
        mtls_listen: str = "",
        shared_port: bool = False,
    ) -> None:
        """With an `identity` all is TLS; on `mtls_listen` clients must show a certificate. That is
        a port of its own, for gRPC has no handshake in which they may.
        Raises Unavailable PLAINTEXT_REFUSED."""
        if identity is None and not allow_plaintext:
            refuse_plaintext(listen)
        self._listen = listen
        self._mtls_listen = mtls_listen
        self._identity = identity
        self._health = health.aio.HealthServicer()
        self._names = [servicer.service.full_name for servicer in servicers]
        self._server = grpc.aio.server(
            options=[
                # Shared only where it is meant: else a second service on the same port would
                # quietly take half of the calls.
                ("grpc.so_reuseport", int(shared_port)),
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.max_metadata_size", _MAX_METADATA),
                # What is beyond waits in the client, where its deadline runs and its memory is.
                ("grpc.max_concurrent_streams", max_calls_per_connection),
                # Else calls that have ended and are not yet cleared away count as well, and a
                # client that keeps to the limit sees its next call reset.
                ("grpc.http.overload_protection", 0),
                ("grpc.server.max_pending_requests", _MAX_UNREAD),
                ("grpc.server.max_pending_requests_hard_limit", _MAX_UNREAD),
                # A client may ask for signs of life no more often than this.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                # Who connects and says nothing, or has nothing more to say, makes room; and no
                # connection stays for ever, so that those who drip are gone in the end.
                ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
                ("grpc.max_connection_idle_ms", _IDLE_MS),
                ("grpc.max_connection_age_ms", _AGE_MS),
                ("grpc.max_connection_age_grace_ms", _AGE_GRACE_MS),
            ],
        )
        self._server.add_generic_rpc_handlers(
            [gate.handler(servicer.service, servicer) for servicer in servicers]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        self.port = self.mtls_port = 0

    def add(self, handler: grpc.GenericRpcHandler) -> None:
        """Adds a service that is not of the protos, before the start."""
        self._server.add_generic_rpc_handlers([handler])

    async def start(self) -> None:
        """Opens the ports. Raises Unavailable PORT_TAKEN."""
        self.port = self._open(self._listen, must_show=False)
        if self._mtls_listen:
            self.mtls_port = self._open(self._mtls_listen, must_show=True)
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def _open(self, listen: str, *, must_show: bool) -> int:
        try:
            if self._identity is None:
                return self._server.add_insecure_port(listen)
            return self._server.add_secure_port(listen, _credentials(self._identity, must_show))
        except RuntimeError:
            raise Unavailable("PORT_TAKEN", f"cannot listen on {listen}") from None

    async def stop(self, grace: float) -> None:
        """Says NOT_SERVING, takes no new call, and gives those under way `grace` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)

    async def wait(self) -> None:
        """Returns once the server has stopped."""
        await self._server.wait_for_termination()


def _credentials(identity: ServerIdentity, must_show: bool) -> grpc.ServerCredentials:
    """Credentials that each handshake asks for the certificate of today."""
    given = identity.material()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        material = identity.material()
        if material is given:
            return None
        given = material
        return _configuration(material)

    # None for "as before" is documented, and missing in the stubs.
    return grpc.dynamic_ssl_server_credentials(_configuration(given), changed, must_show)  # type: ignore[arg-type]


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.certificates)], root_certificates=material.client_ca or None
    )
