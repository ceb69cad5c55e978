"""A server process, an issuer with goods, and the codes that a measurement needs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

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
    """A running server. `keys` are API keys by role; `folder` holds its store."""

    port: int
    keys: dict[str, str]
    folder: Path
    process: subprocess.Popen[str]
    channel: grpc.Channel

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

    def order(self, parent: str, quantity: int) -> None:
        """Takes indices of a batch without reading their codes."""
        stub = issuance_pb2_grpc.IssuanceServiceStub(self.channel)
        stream = stub.IssueCodes(
            issuance_pb2.IssueCodesRequest(
                parent=parent, request_id=uuid.uuid4().hex, quantity=quantity
            ),
            metadata=self.metadata("issuer"),
        )
        next(stream)
        stream.cancel()


@contextmanager
def stand() -> Iterator[Stand]:
    """A server on a fresh store, with an issuer, its key and a product."""
    with tempfile.TemporaryDirectory(prefix="tracechain-bench-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            channel = grpc.insecure_channel(
                f"127.0.0.1:{ready['port']}",
                options=[("grpc.max_receive_message_length", 16 << 20)],
            )
            made = Stand(ready["port"], ready["keys"], Path(folder), process, channel)
            admin = admin_pb2_grpc.AdminServiceStub(channel)
            admin.CreateIssuerKey(
                admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{ISSUER}", request_id="bench"),
                metadata=made.metadata("issuer"),
            )
            issuance_pb2_grpc.IssuanceServiceStub(channel).CreateProduct(
                issuance_pb2.CreateProductRequest(
                    product=issuance_pb2.Product(
                        gtin=GTIN, display_name=party_pb2.LocalizedText(zh="测试白酒", en="Baijiu")
                    )
                ),
                metadata=made.metadata("issuer"),
            )
            yield made
            channel.close()
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=30)
