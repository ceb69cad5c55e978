"""RenderLabels: labels of an order, in four formats, of exactly the codes that were issued."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

from benchmarks.processes import family
from tests.support.labels import codes_in, pdf_images, svg_image
from tests.support.service import TIMEOUT, Lot, World, outcome, refused
from tests.support.zpl import print_zpl
from tracechain.adapters.labels import binding
from tracechain.adapters.labels.press import PooledLabels
from tracechain.domain import label_design
from tracechain.v1 import issuance_pb2 as pb

SVG, PNG, PDF, ZPL = (
    pb.LABEL_FORMAT_SVG, pb.LABEL_FORMAT_PNG, pb.LABEL_FORMAT_PDF, pb.LABEL_FORMAT_ZPL,
)  # fmt: skip


def ask(lot: Lot, format: Any = PDF, order: str = "o", **fields: Any) -> Any:
    """The call, not yet read."""
    request = pb.RenderLabelsRequest(parent=lot.name, order=order, format=format, **fields)
    return lot.owner.issuance.RenderLabels(request)


async def rendered(call: Any) -> tuple[pb.LabelPlan, dict[str, bytes]]:
    """The plan and the files; the messages are held to what the protos say."""
    answers: Sequence[pb.RenderLabelsResponse] = [answer async for answer in call]
    assert [answer.HasField("plan") for answer in answers] == [True] + [False] * (len(answers) - 1)
    assert not answers[0].parts
    plan = answers[0].plan
    assert sum(answer.label_count for answer in answers) == plan.label_count
    assert all(answer.ByteSize() < 2 << 20 for answer in answers)
    files: dict[str, bytes] = {}
    for answer in answers:
        for part in answer.parts:
            files[part.name] = files.get(part.name, b"") + part.data
    return plan, files


def modes_in(folder: Path) -> list[int]:
    """Who may do what with the things in a folder."""
    return [path.stat().st_mode & 0o777 for path in folder.iterdir()]


async def test_a_pdf_holds_each_code_of_the_order_once_and_they_are_good(world: World) -> None:
    lot = await world.lot(quantity=150)
    codes = await lot.issue(130, "o")
    plan, files = await rendered(ask(lot))
    assert (plan.label_count, plan.page_count) == (130, 6)
    assert plan.error_correction == pb.ERROR_CORRECTION_Q
    assert (plan.dpi, plan.modules) == (600, 61)
    assert 0.396 <= plan.module_mm <= 0.990
    assert plan.side_mm == pytest.approx(plan.module_mm * (plan.modules + 8))
    pages = [codes_in(page) for page in pdf_images(files["labels.pdf"])]
    assert [len(page) for page in pages] == [24, 24, 24, 24, 24, 10]
    assert sorted(uri for page in pages for uri in page) == sorted(code.uri for code in codes)
    assert outcome(await world.verify(pages[5][0])) == "GENUINE"


async def test_each_format_holds_the_part_of_the_order_that_was_asked_for(world: World) -> None:
    lot = await world.lot(quantity=20)
    codes = await lot.issue(12, "o", include_pins=True)
    wanted = [code.uri for code in codes[3:8]]
    part = {"offset": 3, "count": 5}
    _, files = await rendered(ask(lot, SVG, **part))
    assert list(files) == [f"{code.serial}.svg" for code in codes[3:8]]
    assert [codes_in(svg_image(data)) for data in files.values()] == [[uri] for uri in wanted]
    plan, files = await rendered(ask(lot, PNG, dpi=203, module_mm=0.5, **part))
    assert (plan.page_count, plan.dpi) == (0, 203)
    assert [codes_in(Image.open(io.BytesIO(data))) for data in files.values()] == [
        [uri] for uri in wanted
    ]
    plan, files = await rendered(ask(lot, ZPL, include_pins=True, **part))
    assert plan.warnings == [pb.LABEL_WARNING_NAME_NOT_PRINTED]
    printed = print_zpl(files["labels.zpl"])
    assert [codes_in(one.image.convert("L")) for one in printed] == [[uri] for uri in wanted]
    pins = [f"{code.pin[:4]} {code.pin[4:]}" for code in codes[3:8]]
    for pin, one in zip(pins, printed, strict=True):
        assert pin in [text for *_, text in one.texts]
    # The rest of an order, and no PIN where none was asked for.
    plan, files = await rendered(ask(lot, ZPL, offset=10))
    assert plan.label_count == 2
    assert not any(pin.encode() in files["labels.zpl"] for pin in pins)


async def test_the_same_request_gives_the_same_bytes_and_issues_nothing(world: World) -> None:
    lot = await world.lot(quantity=10)
    await lot.issue(5, "o")
    first, second = await asyncio.gather(rendered(ask(lot)), rendered(ask(lot)))
    assert first == second
    batch = await lot.owner.issuance.GetBatch(pb.GetBatchRequest(name=lot.name))
    assert batch.issued_quantity == 5


async def test_compact_codes_fit_where_signed_ones_do_not(world: World) -> None:
    lot = await world.lot(quantity=10)
    await lot.issue(2, "signed")
    await lot.issue(2, "compact", profile=pb.CODE_PROFILE_COMPACT)
    small = {"layout": "30x15", "omit_text": True}
    plan, _ = await rendered(ask(lot, order="signed", **small))
    assert plan.warnings == [pb.LABEL_WARNING_TOO_SMALL_TO_SCAN]
    plan, files = await rendered(ask(lot, order="compact", **small | {"layout": "30x24"}))
    assert not plan.warnings
    assert [len(codes_in(page)) for page in pdf_images(files["labels.pdf"])] == [1, 1]


@pytest.mark.parametrize(
    ("fields", "code", "reason", "field"),
    [
        ({"order": "other"}, "NOT_FOUND", "ORDER_NOT_FOUND", None),
        ({"order": ""}, "INVALID_ARGUMENT", "MISSING_FIELD", "order"),
        ({"order": " "}, "INVALID_ARGUMENT", "MISSING_FIELD", "order"),
        ({"order": "x" * 65}, "INVALID_ARGUMENT", "TEXT_TOO_LONG", "order"),
        ({"format": 0}, "INVALID_ARGUMENT", "MISSING_FIELD", "format"),
        ({"format": 9}, "INVALID_ARGUMENT", "INVALID_ENUM_VALUE", "format"),
        ({"error_correction": 9}, "INVALID_ARGUMENT", "INVALID_ENUM_VALUE", "error_correction"),
        ({"offset": 5}, "INVALID_ARGUMENT", "INVALID_OFFSET", "offset"),
        ({"offset": -1}, "INVALID_ARGUMENT", "INVALID_OFFSET", "offset"),
        ({"offset": 3, "count": 3}, "INVALID_ARGUMENT", "INVALID_QUANTITY", "count"),
        ({"count": -1}, "INVALID_ARGUMENT", "INVALID_QUANTITY", "count"),
        ({"layout": "a5"}, "INVALID_ARGUMENT", "UNKNOWN_LAYOUT", "layout"),
        ({"layout": "90x90:3x3"}, "INVALID_ARGUMENT", "INVALID_LAYOUT", "layout"),
        ({"layout": "20x10"}, "INVALID_ARGUMENT", "LABEL_TOO_SMALL", "layout"),
        ({"dpi": 50}, "INVALID_ARGUMENT", "INVALID_PRINT_SIZE", "dpi"),
        ({"module_mm": float("nan")}, "INVALID_ARGUMENT", "INVALID_PRINT_SIZE", "module_mm"),
        ({"module_mm": -1.0}, "INVALID_ARGUMENT", "INVALID_PRINT_SIZE", "module_mm"),
        ({"module_mm": 2.0}, "INVALID_ARGUMENT", "LABEL_TOO_SMALL", "layout"),
        ({"format": SVG, "layout": "60x40"}, "INVALID_ARGUMENT", "NOT_FOR_FORMAT", "layout"),
        (
            {"format": PNG, "include_pins": True},
            "INVALID_ARGUMENT", "NOT_FOR_FORMAT", "include_pins",
        ),
        ({"printer_font": "E:A.TTF"}, "INVALID_ARGUMENT", "NOT_FOR_FORMAT", "printer_font"),
    ],
)  # fmt: skip
async def test_what_cannot_be_drawn_says_why(
    world: World, fields: dict[str, Any], code: str, reason: str, field: str | None
) -> None:
    lot = await world.lot(quantity=5)
    await lot.issue(5, "o")
    error = await refused(ask(lot, **{"format": PDF, **fields}))
    assert (error.code.name, error.reason) == (code, reason)
    assert error.violations == (((field, reason),) if field else ())


async def test_an_order_of_more_pages_than_a_pdf_has_is_asked_for_in_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_design, "PDF_PAGES", 2)
    lot = await world.lot(quantity=5)
    await lot.issue(5, "o")
    error = await refused(ask(lot, layout="60x40"))
    assert error.violations == (("count", "INVALID_QUANTITY"),)
    plan, _ = await rendered(ask(lot, layout="60x40", offset=3))
    assert plan.page_count == 2


async def test_an_order_of_another_batch_is_none_of_this_one(world: World) -> None:
    lot, other = await world.lot(quantity=5), await world.lot(quantity=5)
    await other.issue(5, "o")
    assert (await refused(ask(lot))).reason == "ORDER_NOT_FOUND"


async def test_a_process_that_is_killed_while_it_draws_costs_no_label(
    make_world: Any,
) -> None:
    async with make_world() as world:
        lot = await world.lot(quantity=200)
        codes = await lot.issue(200, "o")
        before = set(family(os.getpid()))
        call = ask(lot, PNG)
        assert (await call.read()).plan.label_count == 200
        names, killed = list[str](), False
        while (answer := await call.read()) is not grpc.aio.EOF:
            names += [part.name for part in answer.parts]
            if not killed:
                drawing = set(family(os.getpid())) - before
                assert drawing
                for pid in drawing:
                    os.kill(pid, signal.SIGKILL)
                killed = True
        assert names == [f"{code.serial}.png" for code in codes]


async def test_sheets_are_kept_for_us_alone_and_not_longer_than_the_call(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lot = await world.lot(quantity=300)
    await lot.issue(300, "o")
    call = ask(lot, include_pins=True)
    assert (await call.read()).plan.page_count == 13
    answer = await call.read()
    assert (answer.label_count, len(answer.parts)) == (48, 0)
    assert modes_in(tmp_path) == [0o700]
    call.cancel()
    async with asyncio.timeout(TIMEOUT):
        while modes_in(tmp_path):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    _, files = await rendered(ask(lot, count=30))
    assert [len(codes_in(page)) for page in pdf_images(files["labels.pdf"])] == [24, 6]
    assert not modes_in(tmp_path)


async def test_no_room_for_sheets_is_said_and_may_pass(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lot = await world.lot(quantity=5)
    await lot.issue(5, "o")
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        error = await refused(ask(lot))
    assert (error.code.name, error.reason) == ("UNAVAILABLE", "LABELS_UNAVAILABLE")
    # Joined to where nothing can be written.
    with monkeypatch.context() as patch:
        patch.setattr(binding, "NAME", "none/labels.pdf")
        error = await refused(ask(lot))
    assert (error.code.name, error.reason) == ("UNAVAILABLE", "LABELS_UNAVAILABLE")
    _, files = await rendered(ask(lot))
    assert list(files) == ["labels.pdf"]


async def test_who_hangs_up_leaves_no_work_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, begun, ended = PooledLabels.draw, list[int](), list[int]()

    async def counted(self: PooledLabels, plan: Any, labels: Any) -> Any:
        begun.append(len(labels))
        try:
            return await draw(self, plan, labels)
        finally:
            ended.append(len(labels))

    monkeypatch.setattr(PooledLabels, "draw", counted)
    lot = await world.lot(quantity=5000)
    await lot.issue(5000, "o")
    call = ask(lot, SVG)
    assert (await call.read()).plan.label_count == 5000
    await call.read()
    call.cancel()
    async with asyncio.timeout(TIMEOUT):
        while len(ended) < len(begun):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert sum(begun) < 1500
    # And it stays so; whoever comes next is answered.
    now = len(begun)
    _, files = await rendered(ask(lot, SVG, count=3))
    assert (len(files), len(begun)) == (3, now + 1)
