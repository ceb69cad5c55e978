"""Forms as a person fills them in: the PIN under the scratch layer, a report with a photograph.

On a service of this file's own, so that its reports are all that an inspector sees.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, FilePayload, expect

from tests.support.service import World, running_world
from tests.web.browser.conftest import DESKTOP, PHONE, Surfer, shoot
from tests.web.browser.test_quality import faults
from tracechain.domain.verdict import VerdictReason
from tracechain.domain.wording import words
from tracechain.v1 import issuance_pb2, supervision_pb2

GPS, MAKE = 34853, 271


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The service of these tests."""
    async with running_world(tmp_path_factory.mktemp("forms")) as running:
        yield running


@pytest.fixture
def visitor(chromium: Browser, own: World) -> Surfer:
    """Somebody with a browser."""
    return Surfer(chromium, own)


async def unit(world: World) -> issuance_pb2.Code:
    """A unit with its PIN."""
    (code,) = await (await world.lot()).issue(1, include_pins=True)
    return code


@pytest.mark.parametrize(("lang", "scripts"), [("zh", True), ("en", False)])
async def test_the_pin_under_the_scratch_layer(
    visitor: Surfer, own: World, lang: str, scripts: bool
) -> None:
    code = await unit(own)
    wrong = "00000000" if code.pin != "00000000" else "11111111"
    async with visitor.page(lang, PHONE, java_script_enabled=scripts) as page:
        for pin, status in (
            (wrong, "WRONG_PIN"),
            (f" {code.pin[:4].lower()}-{code.pin[4:]}", "CLAIMED"),
            (code.pin, "CLAIMED_BY_YOU"),
        ):
            await page.goto(visitor.path(code.uri))
            await page.fill("#pin", pin)
            await page.click("form[action='/claim'] button")
            claimed = page.locator("#claimed")
            await expect(claimed).to_have_attribute("data-status", status.lower())
            if status == "WRONG_PIN":
                await expect(claimed).to_contain_text("剩余次数：4" if lang == "zh" else "left: 4")
            await shoot(page, f"claim-{status.lower()}-{lang}")
            assert not scripts or await faults(page) == []
        await page.click("#claimed a.button")
        await expect(page.locator(".verdict")).to_contain_text(
            getattr(words(VerdictReason.CLAIMED), lang)
        )
    async with visitor.page(lang, DESKTOP) as another:
        await another.goto(visitor.path(code.uri))
        await another.fill("#pin", code.pin)
        await another.click("form[action='/claim'] button")
        await expect(another.locator("#claimed")).to_have_attribute("data-status", "claimed_before")
        await shoot(another, f"claim-claimed_before-{lang}")


def photograph() -> FilePayload:
    """A picture as a phone takes it, with who made the phone and where it was."""
    picture = Image.new("RGB", (2000, 1500), "#b08040")
    exif = Image.Exif()
    exif[MAKE] = "Somebody's phone"
    exif[GPS] = {1: "N", 2: (41.0, 48.0, 0.0)}
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", exif=exif)
    assert b"Somebody's phone" in jpeg.getvalue()
    return {"name": "IMG_1.jpg", "mimeType": "image/jpeg", "buffer": jpeg.getvalue()}


@pytest.mark.parametrize(("lang", "scripts"), [("zh", True), ("en", False)])
async def test_a_report_with_a_photograph(
    visitor: Surfer, own: World, lang: str, scripts: bool
) -> None:
    code = await unit(own)
    said = f"瓶盖松动 <script>alert({lang!r})</script>"
    async with visitor.page(lang, PHONE, java_script_enabled=scripts) as page:
        await page.goto(visitor.path(code.uri))
        await page.click("#report ~ p a.button")
        await expect(page.locator("#code")).to_have_value(code.uri)
        assert not scripts or await faults(page) == []
        await page.select_option("#kind", "copied_label")
        await page.select_option("#region", "210100")
        await page.fill("#text", said)
        await page.set_input_files("#photo", photograph())
        await shoot(page, f"report-{lang}")
        await page.click("form[action='/report'] button")
        await expect(page.locator("#reported")).to_be_visible()
        await shoot(page, f"reported-{lang}")
    listed = await own.liaoning.supervision.ListReports(supervision_pb2.ListReportsRequest())
    (name,) = (report.name for report in listed.reports if report.text == said)
    report = await own.liaoning.supervision.GetReport(supervision_pb2.GetReportRequest(name=name))
    assert (report.region, report.code) == ("210100", code.uri)
    kept = Image.open(io.BytesIO(report.photo))
    assert kept.format == "JPEG"
    assert max(kept.size) == 1600
    assert not kept.getexif()
    assert b"Somebody's phone" not in report.photo


async def test_a_picture_that_is_none_is_told_and_nothing_that_was_typed_is_lost(
    visitor: Surfer,
) -> None:
    excused = ("Failed to load resource: the server responded with a status of 400",)
    async with visitor.page("en", PHONE, excused) as page:
        await page.goto("/report")
        await page.select_option("#region", "210100")
        await page.fill("#text", "it leaks")
        fake: FilePayload = {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"<svg/>" * 99}
        await page.set_input_files("#photo", fake)
        await page.click("form[action='/report'] button")
        await expect(page.locator("#report-error")).to_contain_text("The photograph cannot be used")
        await expect(page.locator("#text")).to_have_value("it leaks")
        await expect(page.locator("#region")).to_have_value("210100")
        assert await faults(page) == []
        await shoot(page, "report-refused-en")


async def test_a_browser_without_cookies_is_told_what_it_takes(visitor: Surfer, own: World) -> None:
    code = await unit(own)
    excused = ("Failed to load resource: the server responded with a status of 403",)
    async with visitor.page("zh", PHONE, excused) as page:
        await page.goto(visitor.path(code.uri))
        await page.context.clear_cookies()
        await page.fill("#pin", code.pin)
        await page.click("form[action='/claim'] button")
        await expect(page.locator("#error")).to_have_attribute("data-reason", "FORM_REFUSED")
        await shoot(page, "form-refused-zh")
