"""One Chromium for all tests of this folder, before the service of tests/web.

Every page is watched: an error on its console, a script that throws or a request to another host
fails the test that opened it. Screenshots lie in .artifacts/screenshots, or where
TRACECHAIN_ARTIFACTS says.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Error, Page, Request, async_playwright

from scripts.chromium import WHAT_TO_DO, NoChromium, find
from tests.support.service import RESOLVER, Lot, World
from tests.support.video import write_film

ROOT = Path(__file__).resolve().parents[3]
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
LOCALES = {"zh": "zh-CN", "en": "en-US"}
_BLOCKED = "Service Worker registration blocked by Playwright"
FAKE_SITE = f"https://{RESOLVER}.check-it.example/01/06901234000016/21/0"


@dataclass
class Watched:
    """What a page did that it should not; `excused` are beginnings of console texts that a test
    brings about."""

    origin: str
    wrong: list[str] = field(default_factory=list)
    excused: tuple[str, ...] = ()
    sent: int = 0

    def watch(self, page: Page) -> None:
        """Listens from now on."""
        page.on("pageerror", lambda error: self.wrong.append(f"threw: {error}"))
        page.on(
            "console",
            lambda said: (
                said.type in ("error", "warning")
                and not said.text.startswith((_BLOCKED, *self.excused))
                and self.wrong.append(f"console: {said.text}")
            ),
        )

    def request(self, request: Request) -> None:
        """Notes a request of any page or worker."""
        self.sent += 1
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.wrong.append(f"asked another host: {request.url}")


@dataclass
class Surfer:
    """Opens pages as a person with a phone or a desk would."""

    browser: Browser
    world: World
    watched: list[Watched] = field(default_factory=list)

    @asynccontextmanager
    async def page(
        self, lang: str = "zh", size: dict[str, int] = PHONE, excused: tuple[str, ...] = (),
        **options: Any,
    ) -> AsyncIterator[Page]:  # fmt: skip
        """A page of a browser that knows nothing yet; closed, and judged, at the end."""
        context = await self.browser.new_context(
            base_url=self.world.http,
            locale=LOCALES[lang],
            viewport=size,  # type: ignore[arg-type]
            device_scale_factor=1,
            **{"service_workers": "block", **options},
        )
        watched = Watched(self.world.http, excused=excused)
        context.on("request", watched.request)
        context.on("page", watched.watch)
        context.set_default_timeout(60_000)
        try:
            yield await context.new_page()
            assert watched.wrong == []
        finally:
            await context.close()

    def path(self, code: str) -> str:
        """Where the answer about a code is on this site."""
        return code.removeprefix(f"https://{RESOLVER}")


async def shoot(page: Page, name: str) -> None:
    """Keeps a picture of the whole page."""
    folder = Path(os.environ.get("TRACECHAIN_ARTIFACTS") or ROOT / ".artifacts") / "screenshots"
    for left in reversed(range(3)):
        try:
            await page.screenshot(path=folder / f"{name}.png", full_page=True)
            return
        except Error:
            # A busy Chromium now and then says that it cannot. A picture is no test.
            if not left:
                raise


@dataclass(frozen=True)
class Filmed:
    """The lot and the code that the camera sees, after one of a fake site."""

    lot: Lot
    code: str


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def filmed(world: World) -> Filmed:
    """The unit before the camera."""
    lot = await world.lot()
    (code,) = await lot.issue(1)
    return Filmed(lot, code.uri)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(
    filmed: Filmed, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """The browser. Where there is none, every test that needs it fails with what to do."""
    try:
        path = find()
    except NoChromium as error:
        pytest.fail(str(error))
    if path is None:
        pytest.fail(WHAT_TO_DO)
    film = tmp_path_factory.mktemp("film") / "codes.y4m"
    write_film(film, [(FAKE_SITE, 10), (filmed.code, 10)])
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            # In a container root has no sandbox to give, and shared memory is small.
            chromium_sandbox=False,
            args=[
                "--disable-dev-shm-usage",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={film}",
            ],
        )
        yield browser
        await browser.close()


@pytest.fixture
def surfer(chromium: Browser, world: World) -> Surfer:
    """Opens pages."""
    return Surfer(chromium, world)


async def module(page: Page, name: str) -> str:
    """The address of a script of this release, for a page to import."""
    answer = await page.request.get("/static/index.json")
    return f"/static/{(await answer.json())['version']}/{name}"


async def settled(context: BrowserContext) -> None:
    """Waits until the service worker of a context is at work and has stored what it stores."""
    page = await context.new_page()
    await page.goto("/scan")
    await page.evaluate(
        """async () => {
            const { serviceWorker } = navigator;
            await serviceWorker.ready;
            if (!serviceWorker.controller) {
              await new Promise((done, fail) => {
                serviceWorker.oncontrollerchange = done;
                setTimeout(fail, 60000, new Error("no worker took this page"));
              });
            }
        }"""
    )
    await page.close()
