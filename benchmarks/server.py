"""The service as a process of its own for a measurement, with a do-nothing twin of VerifyCode.

The twin has the same messages, the same gate and the same server; all it leaves out is the work.
Takes settings as JSON, and whether to make the parties (the first of several processes does).
Prints one JSON line once it serves, and stops when its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys

import grpc
import uvloop
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.types import Message, Receive, Scope, Send

from benchmarks.guarded import twins
from benchmarks.unrecorded import unrecorded
from tracechain import bootstrap, garbage
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import VerdictReason
from tracechain.domain.wording import words
from tracechain.rpc.admission import Admitted
from tracechain.settings import Settings
from tracechain.v1 import party_pb2, verification_pb2
from tracechain.web.app import Site

ISSUER = "6901234000023"
HANDLER = "6901234000030"
NOTHING = "/benchmarks.Nothing/VerifyCode"
# Behind this path stands that of a page, which is kept; behind the other one it is given again.
KEEP, KEPT = "/benchmarks/keep", "/benchmarks/kept"


class _Nothing:
    """VerifyCode without the work: the same answer each time, as long as a real one."""

    def __init__(self) -> None:
        said = words(VerdictReason.FIRST_SCAN)
        self._answer = verification_pb2.Verdict(
            outcome=verification_pb2.OUTCOME_GENUINE,
            issuance=verification_pb2.ISSUANCE_ISSUED,
            state=verification_pb2.UNIT_STATE_ACTIVE,
            history=verification_pb2.HISTORY_FIRST_SCAN,
            reasons=[verification_pb2.VERDICT_REASON_FIRST_SCAN],
            message=party_pb2.LocalizedText(zh=said.zh, en=said.en),
            gtin="06901234567892",
            serial="0" * 13,
            lot="VERIFY",
            product=party_pb2.LocalizedText(zh="测试白酒", en="Baijiu"),
            issuer=party_pb2.LocalizedText(zh="测试", en="Bench"),
            production_date="2026-09-15",
            verify_time=Timestamp(seconds=1_790_000_000, nanos=123_456_000),
        )

    async def VerifyCode(self, request: verification_pb2.VerifyCodeRequest) -> object:
        return self._answer


class _Twin:
    """The page of a code without the work: the messages of a real one, as they were sent."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept: list[Message] = []

    async def keep(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a page, and keeps it."""

        async def both(message: Message) -> None:
            self._kept.append(message)
            await send(message)

        path = scope["path"].removeprefix(KEEP)
        await self._site({**scope, "path": path, "raw_path": path.encode()}, receive, both)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same bytes again."""
        for message in self._kept:
            await send(message)


async def main() -> None:
    chosen = {
        "listen": "127.0.0.1:0",
        "http_listen": "",
        "log_level": "error",
        # What one generator sends is the load of many clients.
        "client_codes_per_second": 0,
        "client_looks_per_minute": 0,
        "party_calls_per_second": 0,
        "client_calls": 0,
        "client_streams": 0,
        "client_connections": 0,
        **json.loads(sys.argv[1]),
    }
    app = await bootstrap.build(Settings(**chosen))
    twin = _Twin(app.site)
    app.site.mount(KEEP, twin.keep)
    app.site.mount(KEPT, twin.answer)
    keys = await _prepare(app) if int(sys.argv[2]) else {}
    server = await bootstrap.serve(app, before_start=_beside(app), shared_port=True)
    garbage.settle()
    print(
        json.dumps({"port": server.port, "http_port": server.http_port, "keys": keys}), flush=True
    )
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(1.0)
    await app.close()


async def _prepare(app: bootstrap.App) -> dict[str, str]:
    """The parties, and an API key of each."""
    for gln, uscc, kind in (
        (ISSUER, "91210102MA0YB1234R", PartyKind.ISSUER),
        (HANDLER, "91210102MA0YB5678K", PartyKind.DISTRIBUTOR),
    ):
        await app.store.put_party(Party(gln, uscc, "210102", kind, LocalizedText("测试", "Bench")))
    keys = {}
    for name, gln, role in (
        ("issuer", ISSUER, Role.ISSUER),
        ("handler", HANDLER, Role.HANDLER),
    ):
        _, keys[name] = await app.credentials.create(gln, role, "", "bench", f"bench-{name}")
    return keys


def _beside(app: bootstrap.App) -> grpc.GenericRpcHandler:
    method = verification_pb2.DESCRIPTOR.services_by_name["VerificationService"]
    nothing = app.gate.method(method.methods_by_name["VerifyCode"], _Nothing().VerifyCode)
    return Admitted({NOTHING: nothing, **twins(app, ISSUER), **unrecorded(app)})


if __name__ == "__main__":
    uvloop.run(main())
