"""The things that an event names, each with its part in the event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tracechain.app.resolving import Resolver
from tracechain.domain.epcis.model import CodeRange, Event, EventType, QuantityElement
from tracechain.domain.identifiers import Epc, parse_epc
from tracechain.domain.touch import Thing, TouchRole


@dataclass(frozen=True, slots=True)
class Named:
    """A thing in an event. `quantity` is None where it is not told; 1.0 for a single unit."""

    thing: Thing
    role: TouchRole
    quantity: float | None
    uom: str


async def named_things(
    resolver: Resolver, event: Event, parsed: Mapping[str, Epc] | None = None
) -> tuple[Named, ...]:
    """All that the event names, each thing once a role, in the order of the event.

    `parsed` are identifiers that were parsed before. Raises InvalidArgument for a code range of
    a batch that is not registered here (UNKNOWN_BATCH), and for what is no identifier.
    """
    collector = _Collector(resolver, parsed or {})
    child = event.type in (EventType.AGGREGATION, EventType.ASSOCIATION)
    role = TouchRole.CHILD if child else TouchRole.ITEM
    if event.parent_id:
        parent_role = TouchRole.PARENT if child else TouchRole.ITEM
        await collector.epcs([event.parent_id], parent_role)
    await collector.epcs(event.epc_list, role)
    await collector.epcs(event.child_epcs, role)
    await collector.quantities(event.quantity_list, role)
    await collector.quantities(event.child_quantity_list, role)
    await collector.ranges(event.code_ranges, role, "code_ranges")
    await collector.epcs(event.input_epc_list, TouchRole.INPUT)
    await collector.quantities(event.input_quantity_list, TouchRole.INPUT)
    await collector.ranges(event.input_code_ranges, TouchRole.INPUT, "input_code_ranges")
    await collector.epcs(event.output_epc_list, TouchRole.OUTPUT)
    await collector.quantities(event.output_quantity_list, TouchRole.OUTPUT)
    await collector.ranges(event.output_code_ranges, TouchRole.OUTPUT, "output_code_ranges")
    return tuple(collector.found.values())


class _Collector:
    """Resolves the lists of one event, leaving out what was named before in the same part."""

    def __init__(self, resolver: Resolver, parsed: Mapping[str, Epc]) -> None:
        self._resolver = resolver
        self._parsed = parsed
        self.found: dict[tuple[int, int, int, TouchRole], Named] = {}

    async def _thing(self, uri: str) -> Thing:
        epc = self._parsed.get(uri)
        return await self._resolver.thing(parse_epc(uri) if epc is None else epc)

    def _add(self, thing: Thing, role: TouchRole, quantity: float | None, uom: str = "") -> None:
        key = (thing.batch_key, thing.first, thing.end, role)
        self.found.setdefault(key, Named(thing, role, quantity, uom))

    async def epcs(self, uris: Iterable[str], role: TouchRole) -> None:
        for uri in uris:
            self._add(await self._thing(uri), role, 1.0)

    async def quantities(self, elements: Iterable[QuantityElement], role: TouchRole) -> None:
        for element in elements:
            # Whatever is counted is a class, also where its identifier could be a unit's.
            thing = replace(await self._thing(element.epc_class), is_class=True)
            self._add(thing, role, element.quantity, element.uom)

    async def ranges(self, ranges: Iterable[CodeRange], role: TouchRole, field: str) -> None:
        for i, item in enumerate(ranges):
            thing = await self._resolver.code_range(
                item.epc_class, item.first_index, item.count, f"{field}[{i}]"
            )
            self._add(thing, role, float(item.count))
