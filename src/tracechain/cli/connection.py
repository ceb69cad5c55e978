"""A connection to the service, and the options with which every command names it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import grpc
import typer

from tracechain.cli.failure import Stop
from tracechain.domain.address import is_loopback
from tracechain.v1 import (
    admin_pb2_grpc,
    audit_pb2_grpc,
    capture_pb2_grpc,
    issuance_pb2_grpc,
    provenance_pb2_grpc,
    supervision_pb2_grpc,
    verification_pb2_grpc,
)

DEFAULT_SERVER = "127.0.0.1:50051"
TIMEOUT = 30.0

Server = Annotated[
    str,
    typer.Option(
        envvar="TRACECHAIN_SERVER",
        help="host:port of the service; https://host:port for one behind TLS.",
        show_default=True,
    ),
]
ApiKey = Annotated[
    str,
    typer.Option(
        envvar="TRACECHAIN_API_KEY", help="API key of the party that acts.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

# Repeating is harmless by design, so what could not be served now is tried again.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "3s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
]


class Connection:
    """The services of a server, called with one API key. A context manager."""

    def __init__(self, server: str, api_key: str = "") -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise Stop(
                "INVALID_CREDENTIAL",
                "the API key holds characters that none has",
                "Set TRACECHAIN_API_KEY to the key as it was shown: tck_…",
            )
        if server.startswith("https://"):
            self._channel = grpc.secure_channel(
                server.removeprefix("https://").rstrip("/"),
                grpc.ssl_channel_credentials(
                    _pem("TRACECHAIN_TLS_ROOTS"),
                    _pem("TRACECHAIN_CLIENT_KEY"),
                    _pem("TRACECHAIN_CLIENT_CERT"),
                ),
                _OPTIONS,
            )
        else:
            if api_key and not is_loopback(server):
                raise Stop(
                    "PLAINTEXT_REFUSED",
                    f"the API key would travel readable to {server}",
                    "Name a server that does TLS: --server https://host:port.",
                )
            self._channel = grpc.insecure_channel(server, _OPTIONS)
        self._metadata = [("authorization", f"Bearer {api_key}")] if api_key else []
        self.admin = self._bound(admin_pb2_grpc.AdminServiceStub)
        self.audit = self._bound(audit_pb2_grpc.AuditServiceStub)
        self.issuance = self._bound(issuance_pb2_grpc.IssuanceServiceStub)
        self.events = self._bound(capture_pb2_grpc.EventServiceStub)
        self.verification = self._bound(verification_pb2_grpc.VerificationServiceStub)
        self.provenance = self._bound(provenance_pb2_grpc.ProvenanceServiceStub)
        self.supervision = self._bound(supervision_pb2_grpc.SupervisionServiceStub)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()

    def _bound(self, stub: type) -> Any:
        return _Bound(stub(self._channel), self._metadata)


def _pem(variable: str) -> bytes | None:
    """The file that an environment variable names: the authorities that the server's certificate
    may come from (the system's without it), and the client's own certificate and key."""
    file = os.environ.get(variable, "")
    return Path(file).read_bytes() if file else None


class _Bound:
    """A stub whose calls carry the credential and, unless told otherwise, a deadline."""

    def __init__(self, stub: Any, metadata: list[tuple[str, str]]) -> None:
        self._stub = stub
        self._metadata = metadata

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._stub, name)

        def bound(request: Any, timeout: float | None = TIMEOUT) -> Any:
            return call(request, timeout=timeout, metadata=self._metadata)

        return bound
