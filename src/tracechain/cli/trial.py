"""A trial: a service on a store of its own that notes what it is sent, goods, and calls to look at.

The store is a schema in the configured database, gone at the end; what lies in the store proper
is not touched. The goods are made up, and everything goes over the wire, as any client's calls do.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracechain.cli.connection import Connection
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.text import LocalizedText
from tracechain.v1 import (
    admin_pb2,
    capture_pb2,
    event_pb2,
    issuance_pb2,
    party_pb2,
    provenance_pb2,
    verification_pb2,
)

if TYPE_CHECKING:
    from tracechain.adapters.postgres.recording import Recorder
    from tracechain.bootstrap import App
    from tracechain.settings import Settings

ISSUER = Party(
    "6901234120127", "91210105MA0TC1D2E4", "210105", PartyKind.ISSUER,
    LocalizedText("试验", "Trial"),
)  # fmt: skip
ROLE = Role.ISSUER
_GTIN, _LOT = "06901234500110", "TRIAL"
_CASE = "https://id.gs1.org/00/069012345000000028"
_PALLET = "https://id.gs1.org/00/069012345000000011"
_PLACE = f"https://id.gs1.org/414/{ISSUER.gln}"


@dataclass(frozen=True, slots=True)
class Place:
    """`settings` lead to the store, which notes in `recorder` what it is sent."""

    settings: Settings
    recorder: Recorder

    async def build(self) -> App:
        """A service that remembers nothing yet."""
        from tracechain import bootstrap
        from tracechain.adapters.postgres import open_store
        from tracechain.domain.scan import ScanRules

        url = self.settings.store_url.get_secret_value()
        store = await open_store(url, ScanRules(), transaction=self.recorder.transaction)
        return await bootstrap.build(self.settings, store)

    async def shards_of(self, keys: Iterable[int], shards: int) -> dict[int, int]:
        """On which of so many shards each batch key lies."""
        from tracechain.adapters.postgres.recording import shards_of

        return await shards_of(self.settings.store_url.get_secret_value(), keys, shards)


@asynccontextmanager
async def place(settings: Settings) -> AsyncIterator[Place]:
    """A place in the database that the settings name. Raises StoreRefused STORE_EMBEDDED, and
    Unavailable, also where the user may make no schema there."""
    # Here: a command that only calls a server does not pay for what makes one.
    from pydantic import SecretStr

    from tracechain.adapters.postgres.recording import Recorder, trial_schema
    from tracechain.bootstrap import server_of

    async with trial_schema(server_of(settings)) as url:
        with tempfile.TemporaryDirectory(prefix="tracechain-trial-") as folder:
            apart = settings.model_copy(
                update={
                    "listen": "127.0.0.1:0",
                    "http_listen": "",
                    "data_dir": Path(folder),
                    "store_url": SecretStr(url),
                    "redis_url": "",
                    "kek": SecretStr(""),
                    "kek_file": None,
                    # Nobody else makes keys there, and asking for them would be noted too.
                    "key_poll_ms": 3_600_000,
                    "log_poll_ms": 3_600_000,
                }
            )
            yield Place(apart, Recorder())


@dataclass(frozen=True, slots=True)
class Goods:
    """Codes: of a unit that stands alone, and of one two containers deep."""

    loose: str
    packed: str


def make_goods(server: str, api_key: str) -> Goods:
    """Registers, issues and moves the goods. Blocks."""
    with Connection(server, api_key) as to:
        to.admin.CreateIssuerKey(
            admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{ISSUER.gln}", request_id="trial")
        )
        name = party_pb2.LocalizedText(zh="试验", en="Trial")
        to.issuance.CreateProduct(
            issuance_pb2.CreateProductRequest(
                product=issuance_pb2.Product(gtin=_GTIN, display_name=name)
            )
        )
        batch = to.issuance.CreateBatch(
            issuance_pb2.CreateBatchRequest(
                parent=f"products/{_GTIN}",
                batch=issuance_pb2.Batch(
                    lot=_LOT,
                    production_date="2026-01-05",
                    authorized_quantity=10,
                    activation_required=True,
                ),
            )
        )
        order = issuance_pb2.IssueCodesRequest(
            parent=batch.name,
            request_id="trial",
            quantity=10,
            profile=issuance_pb2.CODE_PROFILE_SIGNED,
        )
        codes = [code for part in to.issuance.IssueCodes(order) for code in part.codes]
        made = _event(0, "commissioning", event_pb2.ACTION_ADD)
        made.code_ranges.add(
            epc_class=f"https://id.gs1.org/01/{_GTIN}/10/{_LOT}", first_index=0, count=10
        )
        unit = f"https://id.gs1.org/01/{_GTIN}/21/{codes[1].serial}"
        events = [made, _packing(1, _CASE, unit), _packing(2, _PALLET, _CASE)]
        events.append(_event(3, "departing", event_pb2.ACTION_OBSERVE))
        events[-1].epc_list.append(_PALLET)
        to.events.CaptureEvents(capture_pb2.CaptureEventsRequest(events=events))
    return Goods(codes[0].uri, codes[1].uri)


def verify(server: str, code: str) -> verification_pb2.Verdict:
    """One scan."""
    with Connection(server) as to:
        verdict: verification_pb2.Verdict = to.verification.VerifyCode(
            verification_pb2.VerifyCodeRequest(
                code=code,
                context=verification_pb2.ScanContext(device_id="trial", region="210102"),
            )
        )
    return verdict


def trace(server: str, api_key: str, code: str) -> provenance_pb2.Trace:
    """One trace."""
    with Connection(server, api_key) as to:
        found: provenance_pb2.Trace = to.provenance.TraceUnit(
            provenance_pb2.TraceUnitRequest(epc=code)
        )
    return found


def _packing(minutes: int, container: str, content: str) -> event_pb2.Event:
    event = _event(minutes, "packing", event_pb2.ACTION_ADD, event_pb2.EVENT_TYPE_AGGREGATION)
    event.parent_id = container
    event.child_epcs.append(content)
    return event


def _event(
    minutes: int,
    step: str,
    action: event_pb2.Action.ValueType,
    kind: event_pb2.EventType.ValueType = event_pb2.EVENT_TYPE_OBJECT,
) -> event_pb2.Event:
    time = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=60 - minutes)
    place = event_pb2.Location(id=_PLACE)
    return event_pb2.Event(
        type=kind,
        action=action,
        event_time=time.isoformat(timespec="milliseconds"),
        event_time_zone_offset="+00:00",
        biz_step=step,
        read_point=place,
        biz_location=place,
    )
