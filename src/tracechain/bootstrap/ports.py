"""The ports of one process, opened around its running parts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc

from tracechain.bootstrap.access import tls_files
from tracechain.bootstrap.app import App
from tracechain.domain.errors import Unavailable
from tracechain.rpc.server import RpcServer
from tracechain.web.server import HttpServer


@dataclass(frozen=True, slots=True)
class Ports:
    """The open ports of one process; 0 for one that is not."""

    rpc: RpcServer
    http: HttpServer | None

    @property
    def port(self) -> int:
        """Where gRPC is."""
        return self.rpc.port

    @property
    def http_port(self) -> int:
        """Where HTTP is."""
        return self.http.port if self.http else 0

    @property
    def mtls_port(self) -> int:
        """Where gRPC is for clients with a certificate."""
        return self.rpc.mtls_port

    async def stop(self, grace: float) -> None:
        """Takes nothing new, and gives what is under way `grace` seconds."""
        ends = [self.rpc.stop(grace)]
        if self.http is not None:
            ends.append(self.http.stop(grace))
        await asyncio.gather(*ends)


async def serve(
    app: App,
    before_start: grpc.GenericRpcHandler | None = None,
    *,
    shared_port: bool = False,
) -> Ports:
    """Opens the ports of one process and serves. Raises Unavailable where one is taken, and for
    TLS that cannot be.

    `before_start` is a further handler: a benchmark measures beside the service's own methods.
    With `shared_port` other processes may listen on the same ports.
    """
    s = app.settings
    tls = tls_files(s)
    server = RpcServer(
        app.gate,
        app.servicers,
        s.listen,
        max_message_bytes=s.max_message_bytes,
        max_calls_per_connection=s.max_calls_per_connection,
        allow_plaintext=s.allow_plaintext,
        identity=tls,
        mtls_listen=s.mtls_listen,
        shared_port=shared_port,
    )
    if before_start is not None:
        server.add(before_start)
    http = None
    if s.http_listen:
        http = HttpServer(
            app.site,
            s.http_listen,
            max_connections=s.http_connections,
            # All come from the proxy where there is one: it has to see to that.
            max_client_connections=0 if s.http_proxies else s.client_connections,
            allow_plaintext=s.allow_plaintext,
            tls=tls.context() if tls else None,
            shared_port=shared_port,
        )
    await server.start()
    if http is not None:
        try:
            await http.start()
        except Unavailable:
            await server.stop(0)
            raise
    return Ports(server, http)
