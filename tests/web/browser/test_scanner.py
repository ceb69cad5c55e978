"""/scan: by the camera, from a photograph, by typing; and a fake site is never opened."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import segno
from playwright.async_api import FilePayload, Page, expect

from tests.support.service import RESOLVER
from tests.web.browser.conftest import FAKE_SITE, Filmed, Surfer, shoot

# The words of a detector that sees the code of its making, or has nothing behind it.
DETECTOR = """
globalThis.BarcodeDetector = class {
  static async getSupportedFormats() { return %s; }
  async detect() { %s }
};
"""


def photograph(text: str) -> FilePayload:
    """A picture of a label."""
    png = io.BytesIO()
    segno.make_qr(text, error="m").save(png, kind="png", scale=7, border=6, light="#f4f1e8")
    return {"name": "label.png", "mimeType": "image/png", "buffer": png.getvalue()}


@asynccontextmanager
async def scanner(surfer: Surfer, **options: Any) -> AsyncIterator[tuple[Page, list[str]]]:
    """The page, and the files of the vendored reader that it has asked for."""
    async with surfer.page(**options) as page:
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.url) if "/vendor/" in r.url else None)
        await page.goto("/scan")
        yield page, asked


async def test_the_camera_warns_of_a_fake_site_and_opens_a_code_of_ours(
    surfer: Surfer, filmed: Filmed
) -> None:
    async with scanner(surfer) as (page, asked):
        assert asked == []
        await page.click("#camera-start")
        message = page.locator("#scan-message")
        await expect(message).to_have_attribute("data-kind", "SUBDOMAIN")
        await expect(message).to_contain_text(f"假网站！{RESOLVER}.check-it.example")
        await shoot(page, "scanner-camera-fake-site-zh")
        await page.wait_for_url("**/01/**")
        assert surfer.path(filmed.code) in page.url
        await expect(page.locator("#scan")).to_have_attribute("data-code", filmed.code)
        assert any(url.endswith(".wasm") for url in asked)


async def test_the_camera_stops_when_it_is_told_to(surfer: Surfer) -> None:
    async with scanner(surfer, lang="en") as (page, _):
        button = page.locator("#camera-start")
        await button.click()
        await expect(page.locator("#scanner")).to_have_class("filming")
        await expect(button).to_have_text("Stop")
        await button.click()
        await expect(button).to_have_text("Use the camera")
        assert await page.evaluate("document.querySelector('video').srcObject") is None


async def test_the_browsers_own_detector_comes_first(surfer: Surfer, filmed: Filmed) -> None:
    async with surfer.page() as page:
        seen = f"return [{{ rawValue: {filmed.code!r} }}];"
        await page.add_init_script(DETECTOR % ("['qr_code']", seen))
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.url) if "/vendor/" in r.url else None)
        await page.goto("/scan")
        await page.click("#camera-start")
        await page.wait_for_url("**/01/**")
        assert asked == []


@pytest.mark.parametrize(
    ("formats", "detects"),
    [("['qr_code']", "throw new Error('no service');"), ("['ean_13']", "return [];")],
    ids=["nothing behind it", "no QR"],
)
async def test_a_detector_that_does_not_work_is_replaced(
    surfer: Surfer, filmed: Filmed, formats: str, detects: str
) -> None:
    async with surfer.page() as page:
        await page.add_init_script(DETECTOR % (formats, detects))
        await page.goto("/scan")
        await page.set_input_files("#photo", photograph(filmed.code))
        await page.wait_for_url("**/01/**")


async def test_a_photograph_of_a_label(surfer: Surfer, filmed: Filmed) -> None:
    async with scanner(surfer, lang="en") as (page, _):
        message = page.locator("#scan-message")
        await page.set_input_files("#photo", photograph(FAKE_SITE))
        await expect(message).to_have_attribute("data-kind", "SUBDOMAIN")
        await expect(message).to_contain_text("Fake website!")
        await page.set_input_files("#photo", photograph("6901234567892"))
        await expect(message).to_contain_text("no product code")
        # An address of ours that is no code of a product is not opened either.
        await page.set_input_files("#photo", photograph(f"https://{RESOLVER}/claim"))
        await expect(message).to_have_attribute("data-kind", "NONE")
        empty: FilePayload = {"name": "x.png", "mimeType": "image/png", "buffer": blank()}
        await page.set_input_files("#photo", empty)
        await expect(message).to_contain_text("No QR code was found")
        broken: FilePayload = {"name": "x.png", "mimeType": "image/png", "buffer": b"GIF89a"}
        await page.set_input_files("#photo", broken)
        await expect(message).to_contain_text("cannot be opened")
        assert "/scan" in page.url
        await page.set_input_files("#photo", photograph(filmed.code))
        await page.wait_for_url("**/01/**lang=en")


def blank() -> bytes:
    """A picture with no code in it."""
    png = io.BytesIO()
    segno.make_qr("x").save(png, kind="png", scale=6, dark="#fff")
    return png.getvalue()


@pytest.mark.parametrize("scripts", [True, False], ids=["script", "no script"])
async def test_a_typed_code(surfer: Surfer, filmed: Filmed, scripts: bool) -> None:
    async with scanner(surfer, java_script_enabled=scripts) as (page, _):
        await page.fill("#code", filmed.code)
        await page.click("form button")
        await page.wait_for_url("**/01/**")
        await expect(page.locator("#scan")).to_be_visible()


async def test_a_typed_fake_site_is_told_with_and_without_scripts(surfer: Surfer) -> None:
    async with scanner(surfer) as (page, _):
        await page.fill("#code", FAKE_SITE)
        await page.click("form button")
        await expect(page.locator("#scan-message")).to_have_attribute("data-kind", "SUBDOMAIN")
        assert page.url.endswith("/scan")
    excused = ("Failed to load resource: the server responded with a status of 400",)
    async with scanner(surfer, java_script_enabled=False, excused=excused) as (page, _):
        await page.fill("#code", FAKE_SITE)
        await page.click("form button")
        await expect(page.locator("[role=alert]")).to_contain_text("不是本服务的网址")
        await expect(page.locator(".camera")).to_be_hidden()


async def test_a_camera_that_may_not_be_used(surfer: Surfer) -> None:
    async with surfer.page(lang="en") as page:
        await page.add_init_script(
            "navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('no', 'NotAllowedError'); };"
        )
        await page.goto("/scan")
        await page.click("#camera-start")
        await expect(page.locator("#scan-message")).to_contain_text("The camera may not be used")
        await expect(page.locator("#camera-start")).to_be_enabled()


async def test_a_reader_that_cannot_be_loaded_is_told(surfer: Surfer, filmed: Filmed) -> None:
    excused = ("Failed to load resource", "wasm streaming", "failed to async", "falling back")
    async with surfer.page(excused=excused) as page:
        await page.route("**/vendor/**", lambda route: route.abort())
        await page.goto("/scan")
        await page.set_input_files("#photo", photograph(filmed.code))
        await expect(page.locator("#scan-message")).to_contain_text("读码程序未能载入")
