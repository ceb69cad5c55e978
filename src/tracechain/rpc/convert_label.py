"""Labels: requests to what is asked for, plans and files to messages."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tracechain.app.labelling import LabelOrder
from tracechain.app.ports import DrawnLabels
from tracechain.domain.label import LabelFormat, LabelSpec, LabelWarning, read_layout
from tracechain.domain.label_design import LabelPlan
from tracechain.domain.qr import ErrorCorrection
from tracechain.rpc import convert, names
from tracechain.v1 import issuance_pb2

# Bytes of one message: a page of many labels is far from the largest that is taken.
_PART = 1 << 20


def read_order(request: issuance_pb2.RenderLabelsRequest) -> LabelOrder:
    """What a request asks for. Raises InvalidArgument."""
    gtin, lot = names.read_batch(request.parent, "parent")
    return LabelOrder(gtin, lot, request.order, read_spec(request), request.offset, request.count)


def read_spec(request: issuance_pb2.RenderLabelsRequest) -> LabelSpec:
    """The form that a request asks for. Raises InvalidArgument."""
    level = None
    if request.error_correction:
        level = convert.member(
            ErrorCorrection,
            issuance_pb2.ErrorCorrection,
            request.error_correction,
            "error_correction",
        )
    return LabelSpec(
        convert.member(LabelFormat, issuance_pb2.LabelFormat, request.format, "format"),
        read_layout(request.layout) if request.layout else None,
        level,
        # Not a number is not zero either, and is refused as a size.
        request.module_mm if request.module_mm or math.isnan(request.module_mm) else None,
        request.dpi,
        not request.omit_text,
        request.include_pins,
        request.printer_font,
    )


def plan(value: LabelPlan, count: int) -> issuance_pb2.LabelPlan:
    """How `count` labels will look."""
    symbol = value.symbol
    return issuance_pb2.LabelPlan(
        label_count=count,
        page_count=-(-count // value.layout.per_page) if value.layout else 0,
        error_correction=convert.number(issuance_pb2.ErrorCorrection, symbol.level),  # type: ignore[arg-type]
        modules=symbol.modules,
        module_mm=symbol.module_mm,
        side_mm=symbol.side_mm,
        dpi=symbol.dpi,
        warnings=[_warning(one) for one in value.warnings],
    )


def _warning(value: LabelWarning) -> issuance_pb2.LabelWarning.ValueType:
    return convert.number(issuance_pb2.LabelWarning, value)  # type: ignore[return-value]


def drawn(value: DrawnLabels) -> Iterator[issuance_pb2.RenderLabelsResponse]:
    """Files in messages of a bounded size."""
    answer = issuance_pb2.RenderLabelsResponse(label_count=value.labels)
    size = 0
    for name, data in value.parts:
        for start in range(0, max(len(data), 1), _PART):
            piece = data[start : start + _PART]
            if size and size + len(piece) > _PART:
                yield answer
                answer, size = issuance_pb2.RenderLabelsResponse(), 0
            answer.parts.add(name=name, data=piece)
            size += len(piece)
    yield answer
