"""A server process, an issuer with goods, and the codes that a measurement needs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.backends import SQLITE, Backend
from benchmarks.server import ISSUER
from tracechain.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    issuance_pb2,
    issuance_pb2_grpc,
    party_pb2,
)

GTIN = "06901234567892"


@dataclass
class Stand:
    """A running server. `keys` are API keys by role; `folder` holds its store, and `settings`
    lead another process to it. `beside` are the servers that the service uses, by name."""

    port: int
    keys: dict[str, str]
    folder: Path
    processes: list[subprocess.Popen[str]]
    channel: grpc.Channel
    settings: dict[str, Any]
    beside: Mapping[str, int]
    http_port: int = 0
    """Where the pages are, with the setting `http_listen`."""

    @property
    def pids(self) -> list[int]:
        """The server's processes."""
        return [process.pid for process in self.processes]

    def prepare(self) -> None:
        """The issuer's key and its product."""
        admin_pb2_grpc.AdminServiceStub(self.channel).CreateIssuerKey(
            admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{ISSUER}", request_id="bench"),
            metadata=self.metadata("issuer"),
        )
        issuance_pb2_grpc.IssuanceServiceStub(self.channel).CreateProduct(
            issuance_pb2.CreateProductRequest(
                product=issuance_pb2.Product(
                    gtin=GTIN, display_name=party_pb2.LocalizedText(zh="测试白酒", en="Baijiu")
                )
            ),
            metadata=self.metadata("issuer"),
        )

    def metadata(self, role: str) -> list[tuple[str, str]]:
        """The credential of a role."""
        return [("authorization", f"Bearer {self.keys[role]}")]

    def batch(self, lot: str, quantity: int) -> issuance_pb2.Batch:
        """A batch of the issuer, registered now."""
        stub = issuance_pb2_grpc.IssuanceServiceStub(self.channel)
        return stub.CreateBatch(
            issuance_pb2.CreateBatchRequest(
                parent=f"products/{GTIN}",
                batch=issuance_pb2.Batch(
                    lot=lot, production_date="2026-09-15", authorized_quantity=quantity
                ),
            ),
            metadata=self.metadata("issuer"),
        )

    def codes(self, parent: str, quantity: int, profile: int = 1) -> list[str]:
        """Codes of a batch, issued now."""
        stub = issuance_pb2_grpc.IssuanceServiceStub(self.channel)
        stream = stub.IssueCodes(
            issuance_pb2.IssueCodesRequest(
                parent=parent,
                request_id=uuid.uuid4().hex,
                quantity=quantity,
                profile=profile,  # type: ignore[arg-type]
            ),
            metadata=self.metadata("issuer"),
        )
        return [code.uri for part in stream for code in part.codes]

    def order(self, parent: str, quantity: int, request_id: str = "") -> None:
        """Takes indices of a batch without reading their codes."""
        stub = issuance_pb2_grpc.IssuanceServiceStub(self.channel)
        stream = stub.IssueCodes(
            issuance_pb2.IssueCodesRequest(
                parent=parent, request_id=request_id or uuid.uuid4().hex, quantity=quantity
            ),
            metadata=self.metadata("issuer"),
        )
        next(stream)
        stream.cancel()


@contextmanager
def stand(backend: Backend = SQLITE, workers: int = 1, **settings: Any) -> Iterator[Stand]:
    """A server on a fresh store, with an issuer, its key and a product.

    With several workers they share the port, as those of `tracechain serve --workers` do.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tracechain-bench-") as folder,
        backend.start(Path(folder)) as running,
        ExitStack() as stack,
    ):
        chosen = {**running.settings, **settings, "data_dir": folder}
        first, ready = _start(stack, chosen, prepare=True)
        processes = [first]
        for _ in range(workers - 1):
            listen = f"127.0.0.1:{ready['port']}"
            processes.append(_start(stack, {**chosen, "listen": listen}, prepare=False)[0])
        channel = stack.enter_context(
            grpc.insecure_channel(
                f"127.0.0.1:{ready['port']}",
                options=[("grpc.max_receive_message_length", 16 << 20)],
            )
        )
        made = Stand(
            ready["port"],
            ready["keys"],
            Path(folder),
            processes,
            channel,
            chosen,
            running.beside,
            ready["http_port"],
        )
        made.prepare()
        yield made


def _start(
    stack: ExitStack, settings: dict[str, Any], *, prepare: bool
) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A process of the service, stopped with the stack, and what it said once it served."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", json.dumps(settings), str(int(prepare))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def stop() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=60)

    stack.callback(stop)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the server did not start; its own words are above")
    return process, json.loads(line)
