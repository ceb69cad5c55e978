"""Many things over an API that takes a thousand at once: chunks, pages, parts, and their checks.

Promises that nothing is lost, doubled or reordered on the way; an answer that does not fit what
was asked is a ProtocolError, never a result.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from tracechain_client._plan import END, Plan, Pull
from tracechain_client.errors import ProtocolError
from tracechain_client.v1.issuance_pb2 import Code, IssueCodesResponse

MAX_BATCH = 1000
MAX_BYTES = 3 << 20  # gRPC takes messages of 4 MiB where nobody said otherwise

T = TypeVar("T")


class Chunks(Generic[T]):
    """Takes from the caller's items, of whichever kind, what the service takes at once."""

    def __init__(self, items: Iterable[T] | AsyncIterable[T], size: int = MAX_BATCH) -> None:
        self._source = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        self._size = size
        self._left_over: list[T] = []

    def next(self) -> Plan[list[T]]:
        """The next items, at most so many and so large altogether; empty at the end."""
        chunk, self._left_over = self._left_over, []
        total = sum(map(_weight, chunk))
        while len(chunk) < self._size:
            item = yield Pull(self._source)
            if item is END:
                break
            total += _weight(item)
            if chunk and total > MAX_BYTES:
                self._left_over = [item]
                break
            chunk.append(item)
        return chunk


def _weight(item: Any) -> int:
    return len(item.encode()) if isinstance(item, str) else item.ByteSize()


def one_each(asked: Sequence[Any], answers: Sequence[T]) -> Sequence[T]:
    """The answers, where there is one for each thing that was asked."""
    if len(answers) != len(asked):
        raise ProtocolError(message=f"{len(asked)} were asked, {len(answers)} were answered")
    return answers


def fresh_codes(expected: int, quantity: int, part: IssueCodesResponse) -> Sequence[Code]:
    """The codes of a part from offset `expected` on: none twice, no gap, none that nobody asked."""
    end = part.offset + len(part.codes)
    if part.offset > expected or end > quantity:
        raise ProtocolError(
            message=f"codes {part.offset} to {end} came where {expected} to {quantity} were due"
        )
    return part.codes[expected - part.offset :]


def turn(request: Any, token: str) -> bool:
    """Makes `request` ask for the next page; whether there is one."""
    if token and token == request.page_token:
        raise ProtocolError(message="a page names itself as the next one")
    request.page_token = token
    return bool(token)


def numbered(request_id: str, number: int) -> str:
    """An id for each request of a call; the same ones whenever the call is repeated."""
    if number == 0:
        return request_id
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{request_id}/{number}"))
