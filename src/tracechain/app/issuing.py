"""Issuing codes: one allocation in the store, then arithmetic on all cores.

The same request id gives the same codes from any offset, on any node, at any time: an order that
was cut off is resumed, not repeated.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from tracechain.app.ahead import in_order
from tracechain.app.changing import Changes
from tracechain.app.keyring import Keyring
from tracechain.app.ports import Clock, Tenants
from tracechain.app.visibility import Visibility
from tracechain.app.working_key import WorkingKey
from tracechain.domain.code import Profile
from tracechain.domain.code_run import CodeRun, IssuedCodes
from tracechain.domain.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from tracechain.domain.party import Principal
from tracechain.domain.product import Allocation, check_quantity
from tracechain.domain.text import bounded

# Codes of one message of the stream, and how many messages are computed ahead of the reader.
CHUNK = 1000
AHEAD = 4


class CodePress(Protocol):
    """Makes codes beside the event loop."""

    async def make(self, key: WorkingKey, run: CodeRun) -> IssuedCodes:
        """The codes of a run under a key, in the order of their indices."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of codes: what the caller asks for. `offset` codes are left out at the start."""

    gtin: str
    lot: str
    request_id: str
    quantity: int
    profile: Profile
    offset: int = 0
    include_pins: bool = False


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order whose indices are taken, durable, and ready to be computed."""

    order: Order
    allocation: Allocation
    key: WorkingKey


class Issuing:
    """Orders of codes."""

    def __init__(
        self,
        tenants: Tenants,
        keyring: Keyring,
        visibility: Visibility,
        changes: Changes,
        clock: Clock,
        press: CodePress,
        resolver: str,
    ) -> None:
        self._tenants = tenants
        self._keyring = keyring
        self._visibility = visibility
        self._changes = changes
        self._clock = clock
        self._press = press
        self._resolver = resolver

    async def open(self, principal: Principal, order: Order) -> OpenOrder:
        """Takes the indices of an order, or finds those that its request id took before.

        Raises InvalidArgument, NotFound, FailedPrecondition (QUANTITY_EXCEEDED, NO_SIGNING_KEY,
        KEY_REVOKED where nobody would believe the codes), AlreadyExists REQUEST_ID_USED where the
        request id stands for another order.
        """
        check_quantity(order.quantity, "quantity")
        request_id = bounded(order.request_id, "request_id", 64, required=True)
        if not 0 <= order.offset <= order.quantity:
            raise InvalidArgument.of(
                "offset", "INVALID_OFFSET", f"is {order.offset}, must be 0 to {order.quantity}"
            )
        batch = await self._visibility.batch(principal, order.gtin, order.lot)
        # What another node retired or revoked a moment ago must not sign here.
        await self._keyring.refresh()
        key = self._keyring.current(principal.party_gln)
        wanted = Allocation(
            batch.batch_number,
            request_id,
            0,
            order.quantity,
            order.profile,
            key.record.key_id,
            self._clock(),
        )
        answer = await self._changes.make(
            batch.batch_number, self._tenants.within(principal).allocate(wanted)
        )
        taken = answer.allocation
        if taken is None:
            left = answer.batch.authorized_quantity - answer.batch.issued_quantity
            raise FailedPrecondition(
                "QUANTITY_EXCEEDED",
                f"{order.quantity} codes were asked for and {left} are left of "
                f"{answer.batch.authorized_quantity}; the attempt is on record",
                metadata={"left": str(left)},
            )
        if (taken.count, taken.profile) != (order.quantity, order.profile):
            raise AlreadyExists(
                "REQUEST_ID_USED",
                f"this request id ordered {taken.count} codes in profile {taken.profile}",
            )
        return OpenOrder(order, taken, self._keyring.of_order(taken))

    async def stream(self, opened: OpenOrder) -> AsyncGenerator[tuple[int, IssuedCodes], None]:
        """The codes as (offset, codes), in order, computed a few messages ahead of the reader."""

        def job(offset: int) -> Callable[[], Coroutine[Any, Any, tuple[int, IssuedCodes]]]:
            async def make() -> tuple[int, IssuedCodes]:
                return offset, await self._press.make(opened.key, self._run(opened, offset))

            return make

        offsets = range(opened.order.offset, opened.allocation.count, CHUNK)
        async with aclosing(in_order(map(job, offsets), AHEAD)) as parts:
            async for part in parts:
                yield part

    def _run(self, opened: OpenOrder, offset: int) -> CodeRun:
        taken = opened.allocation
        return CodeRun(
            self._resolver,
            opened.order.gtin,
            taken.batch_number,
            taken.first_index + offset,
            min(CHUNK, taken.count - offset),
            taken.profile,
            opened.order.include_pins,
        )
