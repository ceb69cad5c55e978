"""Labels of an order of codes, drawn as they are read: the memory is that of a few pages.

Nothing is issued here and nothing is stored: labels of an order are the same whenever they are
asked for, so a call that was cut off is made again. How they look is decided, and warned of,
before the first is drawn.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from tracechain.app.ahead import in_order
from tracechain.app.issuing import CodePress
from tracechain.app.keyring import Keyring
from tracechain.app.ports import DrawnLabels, LabelPress, Tenants
from tracechain.app.visibility import Visibility
from tracechain.app.working_key import WorkingKey
from tracechain.domain.code import code_length
from tracechain.domain.code_run import CodeRun
from tracechain.domain.errors import InvalidArgument, NotFound
from tracechain.domain.label import Label, LabelSpec, LabelText
from tracechain.domain.label_design import LabelPlan, plan_labels
from tracechain.domain.party import Principal
from tracechain.domain.product import Allocation
from tracechain.domain.text import bounded

# About so many labels are drawn at a time, in whole pages; and so many times are begun ahead.
# Who comes next waits for what was begun, some hundred codes of ten milliseconds for each core.
CHUNK = 48
AHEAD = 6

LabelSource = Callable[[], Coroutine[Any, Any, list[Label]]]


@dataclass(frozen=True, slots=True)
class LabelOrder:
    """Labels for codes of an order: those from `offset` on, `count` of them or (0) all the rest."""

    gtin: str
    lot: str
    order: str
    spec: LabelSpec
    offset: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class OpenLabels:
    """An order whose labels are planned."""

    plan: LabelPlan
    gtin: str
    allocation: Allocation
    key: WorkingKey
    offset: int
    count: int


class Labelling:
    """Labels of an issuer's codes."""

    def __init__(
        self,
        tenants: Tenants,
        keyring: Keyring,
        visibility: Visibility,
        codes: CodePress,
        labels: LabelPress,
        resolver: str,
    ) -> None:
        self._tenants = tenants
        self._keyring = keyring
        self._visibility = visibility
        self._codes = codes
        self._labels = labels
        self._resolver = resolver

    async def open(self, principal: Principal, wanted: LabelOrder) -> OpenLabels:
        """Finds an order of codes and plans its labels.

        Raises NotFound BATCH_NOT_FOUND and ORDER_NOT_FOUND; InvalidArgument INVALID_OFFSET,
        INVALID_QUANTITY, and as `plan_labels` does.
        """
        order = bounded(wanted.order, "order", 64, required=True)
        batch = await self._visibility.batch(principal, wanted.gtin, wanted.lot)
        product = await self._visibility.product(principal, wanted.gtin)
        taken = await self._allocation(principal, batch.batch_number, order)
        if not 0 <= wanted.offset < taken.count:
            raise InvalidArgument.of(
                "offset", "INVALID_OFFSET", f"is {wanted.offset}, must be 0 to {taken.count - 1}"
            )
        left = taken.count - wanted.offset
        if not 0 <= wanted.count <= left:
            raise InvalidArgument.of(
                "count",
                "INVALID_QUANTITY",
                f"is {wanted.count}; from {wanted.offset} on the order has {left} codes",
            )
        text = LabelText(batch.gtin, batch.lot, batch.expiration_date, product.display_name)
        plan = plan_labels(wanted.spec, text, code_length(self._resolver, taken.profile))
        plan.check_count(wanted.count or left)
        key = self._keyring.of_order(taken)
        return OpenLabels(plan, batch.gtin, taken, key, wanted.offset, wanted.count or left)

    async def stream(self, opened: OpenLabels) -> AsyncGenerator[DrawnLabels, None]:
        """The files, in parts, computed a little ahead of the reader."""
        async with aclosing(
            draw_in_order(self._labels, opened.plan, self._sources(opened))
        ) as parts:
            async for drawn in parts:
                yield drawn

    def _sources(self, opened: OpenLabels) -> Iterator[LabelSource]:
        end = opened.offset + opened.count
        step = chunk_of(opened.plan)
        for offset in range(opened.offset, end, step):
            yield self._source(opened, offset, min(step, end - offset))

    def _source(self, opened: OpenLabels, offset: int, count: int) -> LabelSource:
        taken = opened.allocation
        run = CodeRun(
            self._resolver,
            opened.gtin,
            taken.batch_number,
            taken.first_index + offset,
            count,
            taken.profile,
            opened.plan.spec.pins,
        )

        async def labels() -> list[Label]:
            made = await self._codes.make(opened.key, run)
            pins = made.pins or [""] * count
            return list(map(Label, made.uris, made.serials, pins))

        return labels

    async def _allocation(self, principal: Principal, batch_number: int, order: str) -> Allocation:
        for allocation in await self._tenants.within(principal).list_allocations(batch_number):
            if allocation.request_id == order:
                return allocation
        raise NotFound("ORDER_NOT_FOUND", f"no codes of this batch were ordered as {order!r}")


def chunk_of(plan: LabelPlan) -> int:
    """How many labels to draw at a time: whole pages, so that only the last may have gaps."""
    per_page = plan.layout.per_page if plan.layout else 1
    return max(1, CHUNK // per_page) * per_page


async def draw_in_order(
    press: LabelPress, plan: LabelPlan, sources: Iterable[LabelSource]
) -> AsyncGenerator[DrawnLabels, None]:
    """Draws and binds labels. Each source but the last gives `chunk_of(plan)` labels."""

    def job(source: LabelSource) -> Callable[[], Coroutine[Any, Any, DrawnLabels]]:
        async def draw() -> DrawnLabels:
            labels = await source()
            return DrawnLabels(len(labels), await press.draw(plan, labels))

        return draw

    async with (
        aclosing(in_order(map(job, sources), AHEAD)) as drawn,
        aclosing(press.bind(plan, drawn)) as bound,
    ):
        async for part in bound:
            yield part
