"""`tracechain labels`: labels of an order, drawn by the service, or of a file of codes, drawn here.

Both are the same drawing; the file is for who has codes and prints where they are.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from tracechain.app.labelling import LabelSource, chunk_of, draw_in_order
from tracechain.app.ports import DrawnLabels
from tracechain.cli.code_file import CodeFile, read_code_file
from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Stop
from tracechain.cli.goods import BATCH_HELP, batch_name
from tracechain.cli.label_files import label_files
from tracechain.cli.output import done, note, plain, print_json, progress
from tracechain.domain.code import Algorithm, VerifyingKey
from tracechain.domain.label import (
    LAYOUT_HELP,
    WARNING_WORDS,
    Label,
    LabelFormat,
    LabelText,
    LabelWarning,
)
from tracechain.domain.label_design import LabelPlan, plan_labels
from tracechain.domain.qr import ErrorCorrection
from tracechain.domain.text import LocalizedText
from tracechain.rpc import convert, convert_label
from tracechain.v1 import issuance_pb2, party_pb2, provenance_pb2, verification_pb2

_SUFFIXES = {".pdf": LabelFormat.PDF, ".zpl": LabelFormat.ZPL}


def labels(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File to write; for SVG and PNG a folder, or a .zip archive."
        ),
    ],
    batch: Annotated[str, typer.Argument(help=BATCH_HELP)] = "",
    order: Annotated[str, typer.Option(help="The order whose codes are printed.")] = "",
    issue: Annotated[
        int, typer.Option(help="Issue so many codes under this order first, if it is new.")
    ] = 0,
    codes: Annotated[
        Path | None, typer.Option(help="Instead of an order: a file of `tracechain issue`.")
    ] = None,
    offset: Annotated[int, typer.Option(help="Leave out the first so many codes.")] = 0,
    count: Annotated[int, typer.Option(help="So many labels; 0: all the rest.")] = 0,
    format: Annotated[
        LabelFormat | None,
        typer.Option(help="By default what the file's name says, else SVG.", case_sensitive=False),
    ] = None,
    layout: Annotated[str, typer.Option(help=LAYOUT_HELP)] = "",
    error_correction: Annotated[
        ErrorCorrection | None,
        typer.Option(
            help="By default the highest with which modules stay as large as GS1 asks for.",
            case_sensitive=False,
        ),
    ] = None,
    module_mm: Annotated[
        float, typer.Option(help="Width of a module in mm; 0: as large as fits.")
    ] = 0.0,
    dpi: Annotated[int, typer.Option(help="Of the printer; 0: 600, for PNG 300, for ZPL 203.")] = 0,
    text: Annotated[bool, typer.Option(help="Product, GTIN, serial, lot and expiry.")] = True,
    pins: Annotated[
        bool, typer.Option("--pins", help="Also the PIN, in a frame for the scratch layer.")
    ] = False,
    printer_font: Annotated[
        str,
        typer.Option(help="ZPL: a font in the printer, for Chinese names. Like E:SIMSUN.TTF."),
    ] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Make labels for codes (issuer): SVG, PNG, PDF sheets or rolls, ZPL.

    Either BATCH and --order, or --codes. Of a file every code is checked before anything is
    drawn; its lot is asked for by its first and its last code.
    """
    if (codes is None) != bool(batch and order) or (codes and (batch or order)):
        raise Stop(
            "WHICH_CODES",
            "name the codes: BATCH with --order ID, or --codes FILE",
            "The order is what `tracechain issue` printed, or was told by --order.",
        )
    if issue and codes is not None:
        raise Stop("WHICH_CODES", "--issue needs BATCH and --order: a file's codes are issued")
    chosen = format or _SUFFIXES.get(output.suffix, LabelFormat.SVG)
    request = issuance_pb2.RenderLabelsRequest(
        order=order,
        offset=offset,
        count=count,
        format=convert.number(issuance_pb2.LabelFormat, chosen),  # type: ignore[arg-type]
        layout=layout,
        error_correction=convert.number(issuance_pb2.ErrorCorrection, error_correction),  # type: ignore[arg-type]
        module_mm=module_mm,
        dpi=dpi,
        omit_text=not text,
        include_pins=pins,
        printer_font=printer_font,
    )
    with Connection(server, api_key) as to:
        if codes is None:
            request.parent = batch_name(batch)
            if issue:
                _take(to, request, issue)
            plan = _from_order(to, request, output, chosen)
        else:
            plan = _from_file(to, request, codes, output, chosen)
    if as_json:
        print_json({"file": str(output), **plain(plan)})
    else:
        _say(plan, output)


def _take(to: Connection, request: issuance_pb2.RenderLabelsRequest, quantity: int) -> None:
    """Takes the codes of the order; none of them is sent."""
    order = issuance_pb2.IssueCodesRequest(
        parent=request.parent, request_id=request.order, quantity=quantity, offset=quantity
    )
    for _ in to.issuance.IssueCodes(order):
        pass


def _from_order(
    to: Connection,
    request: issuance_pb2.RenderLabelsRequest,
    output: Path,
    format: LabelFormat,
) -> issuance_pb2.LabelPlan:
    with label_files(output, format) as files, progress() as bar:
        answers = to.issuance.RenderLabels(request, timeout=None)
        plan: issuance_pb2.LabelPlan = next(answers).plan
        task = bar.add_task("drawing", total=plan.label_count)
        for answer in answers:
            for part in answer.parts:
                files.add(part.name, part.data)
            bar.advance(task, answer.label_count)
    return plan


def _from_file(
    to: Connection,
    request: issuance_pb2.RenderLabelsRequest,
    path: Path,
    output: Path,
    format: LabelFormat,
) -> issuance_pb2.LabelPlan:
    found = read_code_file(path, _keys(to), pins=request.include_pins)
    if not 0 <= request.offset < found.count:
        raise Stop("INVALID_OFFSET", f"the file has {found.count} codes; --offset is beyond")
    left = found.count - request.offset
    if not 0 <= request.count <= left:
        raise Stop("INVALID_QUANTITY", f"from there on the file has {left} codes")
    count = request.count or left
    spec = convert_label.read_spec(request)
    plan = plan_labels(spec, _text_of(to, found), len(found.first))
    plan.check_count(count)
    chosen = found.labels(request.offset, count, pins=spec.pins)
    with label_files(output, format) as files, progress() as bar:
        task = bar.add_task("drawing", total=count)

        def take(drawn: DrawnLabels) -> None:
            for name, data in drawn.parts:
                files.add(name, data)
            bar.advance(task, drawn.labels)

        asyncio.run(_draw(plan, chosen, take))
    return convert_label.plan(plan, count)


async def _draw(plan: LabelPlan, labels: Iterator[Label], take: Any) -> None:
    # Imported here: who only calls a server draws nothing.
    from tracechain.adapters.labels.press import PooledLabels

    def sources() -> Iterator[LabelSource]:
        while some := list(islice(labels, chunk_of(plan))):

            async def ready(some: list[Label] = some) -> list[Label]:
                return some

            yield ready

    press = PooledLabels(os.cpu_count() or 1)
    try:
        async for drawn in draw_in_order(press, plan, sources()):
            take(drawn)
    finally:
        await press.close()


def _text_of(to: Connection, found: CodeFile) -> LabelText:
    """What the service says of the batch that the codes are of."""
    batches = {
        to.provenance.TraceUnit(provenance_pb2.TraceUnitRequest(epc=uri)).batch
        for uri in (found.first, found.last)
    }
    if len(batches) > 1:
        raise Stop(
            "CODES_MIXED",
            f"the first and the last code of {found.path} are of different batches",
            "Print the codes of one order at a time.",
        )
    (name,) = batches
    if not name:
        raise Stop("CODE_NOT_OURS", f"the codes of {found.path} are of no batch of this service")
    batch = to.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=name))
    product = to.issuance.GetProduct(issuance_pb2.GetProductRequest(name=f"products/{found.gtin}"))
    names = product.display_name
    return LabelText(
        batch.gtin, batch.lot, batch.expiration_date, LocalizedText(names.zh, names.en)
    )


def _keys(to: Connection) -> dict[int, VerifyingKey]:
    keys: dict[int, VerifyingKey] = {}
    request = verification_pb2.ListVerificationKeysRequest(page_size=1000)
    while True:
        page = to.verification.ListVerificationKeys(request)
        for key in page.keys:
            name = party_pb2.Algorithm.Name(key.algorithm).removeprefix("ALGORITHM_")
            keys[key.key_id] = VerifyingKey.from_der(key.key_id, Algorithm(name), key.public_key)
        if not page.next_page_token:
            return keys
        request.page_token = page.next_page_token


def _say(plan: issuance_pb2.LabelPlan, output: Path) -> None:
    done(f"{plan.label_count:,} labels in ", (str(output), "bold"))
    level = issuance_pb2.ErrorCorrection.Name(plan.error_correction)[-1]
    note(
        f"  QR codes of {plan.side_mm:.1f} mm with their quiet zone, {plan.modules} modules of "
        f"{plan.module_mm:.3f} mm, level {level}, for {plan.dpi} dpi"
    )
    if plan.page_count:
        note(f"  {plan.page_count:,} pages; print them at 100 %, without fitting to the page")
    for number in plan.warnings:
        name = issuance_pb2.LabelWarning.Name(number).removeprefix("LABEL_WARNING_")
        words = WARNING_WORDS[LabelWarning(name)]
        note(f"  ! {words.en}")
        note(f"    {words.zh}")
