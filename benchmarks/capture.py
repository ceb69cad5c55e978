"""Durable capture: single-unit events, and units that move by the pallet."""

from __future__ import annotations

import datetime
import time

from benchmarks.server import HANDLER, ISSUER
from benchmarks.stand import GTIN, Stand, stand
from tracechain.domain.identifiers import gs1_check_digit
from tracechain.v1 import capture_pb2, capture_pb2_grpc, event_pb2

PER_CALL = 200
PALLET = 10_000
_CHINA = datetime.timezone(datetime.timedelta(hours=8))


def measure(singles: int = 20_000, pallets: int = 200) -> dict[str, object]:
    """Events and units a second, each durable before its answer."""
    with stand() as made:
        quantity = max(singles, pallets * PALLET)
        batch = made.batch("CAPTURE", quantity)
        codes = made.codes(batch.name, singles, 2)
        if quantity > singles:
            made.order(batch.name, quantity - singles)
        single_rate = _singles(made, codes)
        pallet_rate = _pallets(made, pallets)
    return {
        "single_unit_events_per_second": round(single_rate),
        "units_hopped_by_pallet_per_second": round(pallet_rate),
        "events": singles,
        "pallets": pallets,
        "units_per_pallet": PALLET,
        "floor": {
            "single_unit_events_per_second": 2000,
            "units_hopped_by_pallet_per_second": 20_000,
        },
    }


def _singles(made: Stand, codes: list[str]) -> float:
    events = [inspected(i, code) for i, code in enumerate(codes)]
    started = time.perf_counter()
    send(made, "issuer", [events[i : i + PER_CALL] for i in range(0, len(events), PER_CALL)])
    return len(events) / (time.perf_counter() - started)


def inspected(second: int, code: str) -> event_pb2.Event:
    """An event of one unit."""
    return _event(second, biz_step="inspecting", epc_list=[code.partition("?")[0]])


def _pallets(made: Stand, pallets: int) -> float:
    lot = f"https://id.gs1.org/01/{GTIN}/10/CAPTURE"
    destination = [
        event_pb2.Destination(
            type="possessing_party", destination=f"https://id.gs1.org/417/{HANDLER}"
        )
    ]
    by_issuer, by_handler = [], []
    for i in range(pallets):
        digits = f"06901234{i:09}"
        sscc = f"https://id.gs1.org/00/{digits}{gs1_check_digit(digits)}"
        packed = _event(i, biz_step="packing", type=event_pb2.EVENT_TYPE_AGGREGATION)
        packed.action, packed.parent_id = event_pb2.ACTION_ADD, sscc
        packed.code_ranges.add(epc_class=lot, first_index=i * PALLET, count=PALLET)
        shipped = _event(i + 1, biz_step="shipping", epc_list=[sscc], destination_list=destination)
        by_issuer += [packed, shipped]
        by_handler.append(_event(i + 2, biz_step="receiving", epc_list=[sscc]))
    started = time.perf_counter()
    send(made, "issuer", [by_issuer[i : i + 20] for i in range(0, len(by_issuer), 20)])
    send(made, "handler", [by_handler[i : i + 20] for i in range(0, len(by_handler), 20)])
    # Every unit made three hops: into the pallet, away, and in at the other end.
    return 3 * pallets * PALLET / (time.perf_counter() - started)


def _event(second: int, **fields: object) -> event_pb2.Event:
    moment = datetime.datetime(2026, 10, 1, 8, tzinfo=_CHINA) + datetime.timedelta(seconds=second)
    event = event_pb2.Event(
        type=event_pb2.EVENT_TYPE_OBJECT,
        action=event_pb2.ACTION_OBSERVE,
        event_time=moment.isoformat(timespec="milliseconds"),
        event_time_zone_offset="+08:00",
        read_point=event_pb2.Location(id=f"https://id.gs1.org/414/{ISSUER}"),
    )
    event.MergeFrom(event_pb2.Event(**fields))  # type: ignore[arg-type]
    return event


def send(made: Stand, role: str, calls: list[list[event_pb2.Event]]) -> None:
    """Captures events, some calls at a time; each must be accepted."""
    stub = capture_pb2_grpc.EventServiceStub(made.channel)
    under_way = []
    for events in calls:
        under_way.append(
            stub.CaptureEvents.future(
                capture_pb2.CaptureEventsRequest(events=events), metadata=made.metadata(role)
            )
        )
        if len(under_way) >= 8:
            _check(under_way.pop(0).result())
    for call in under_way:
        _check(call.result())


def _check(answer: capture_pb2.CaptureEventsResponse) -> None:
    for result in answer.results:
        if result.status != capture_pb2.CAPTURE_STATUS_ACCEPTED or result.conflicts:
            raise RuntimeError(f"not accepted: {result}")
