"""Four processes on one store, and how long a decision takes from one to the last of them.

Each process has an address of its own: it is asked directly, not whoever a shared port picks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.node import Node, Nursery
from tests.support.service import TIMEOUT, Lot, gtin_of, reasons
from tracechain.v1 import admin_pb2, issuance_pb2, party_pb2, verification_pb2

PROCESSES = 4


@dataclass
class Fleet:
    """Processes that serve from one folder."""

    nodes: list[Node]
    made: int = 0
    slowest: float = 0.0
    """Seconds of the slowest scan so far: what this machine, as busy as it is, takes for one."""

    async def goods(self) -> tuple[Lot, issuance_pb2.Code]:
        """A batch of its own and a code of it, which every process has in its memory."""
        self.made += 1
        issuer, gtin = self.nodes[0].issuer, gtin_of(1)
        if self.made == 1:
            await issuer.admin.CreateIssuerKey(
                admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{issuer.gln}", request_id="first")
            )
            name = party_pb2.LocalizedText(zh="白酒", en="Baijiu")
            await issuer.issuance.CreateProduct(
                issuance_pb2.CreateProductRequest(
                    product=issuance_pb2.Product(gtin=gtin, display_name=name)
                )
            )
        batch = await issuer.issuance.CreateBatch(
            issuance_pb2.CreateBatchRequest(
                parent=f"products/{gtin}",
                batch=issuance_pb2.Batch(
                    lot=f"L{self.made}", authorized_quantity=10, production_date="2026-01-05"
                ),
            )
        )
        lot = Lot(issuer, gtin, f"L{self.made}", batch.batch_number)
        (code,) = await lot.issue(1)
        return lot, code

    async def shown(self, code: str, reason: str, seconds: float = TIMEOUT) -> float:
        """Seconds until the last process shows a reason, each asked again and again."""
        start = time.monotonic()

        async def one(node: Node) -> None:
            while reason not in await self.scanned(node, code):  # noqa: ASYNC110
                await asyncio.sleep(0.002)

        async with asyncio.timeout(seconds):
            await asyncio.gather(*(one(node) for node in self.nodes))
        return time.monotonic() - start

    async def scanned(self, node: Node, code: str) -> list[str]:
        """The reasons of a process's verdict, which it took so long to give."""
        start = time.monotonic()
        found = await scanned(node, code)
        self.slowest = max(self.slowest, time.monotonic() - start)
        return found

    async def recall(self, number: int) -> float:
        """Seconds from a recall's return at one process until the last shows it."""
        lot, code = await self.goods()
        for node in self.nodes:
            assert "RECALLED_BATCH" not in await self.scanned(node, code.uri)
        await lot.recall(self.nodes[number % len(self.nodes)].issuer)
        return await self.shown(code.uri, "RECALLED_BATCH")


async def scanned(node: Node, code: str) -> list[str]:
    """The reasons of a process's verdict."""
    request = verification_pb2.VerifyCodeRequest(
        code=code, context=verification_pb2.ScanContext(device_id="device")
    )
    return reasons(await node.nobody.verification.VerifyCode(request))


@asynccontextmanager
async def fleet(nursery: Nursery, folder: Path, **fields: Any) -> AsyncIterator[Fleet]:
    """Processes on the store of a folder; killed at the end."""
    made = Fleet([])
    try:
        # One after the other: the first makes the store.
        for _ in range(PROCESSES):
            made.nodes.append(await nursery.node(folder, **fields))
        yield made
    finally:
        for node in made.nodes:
            await node.kill()
