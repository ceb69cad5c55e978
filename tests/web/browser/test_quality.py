"""What a page costs and whom it serves: weight, shifting layout, other hosts, accessibility.

No time is asserted here; `./dev bench page` measures the paint on a slow phone.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.support.service import World, made, received, shipped
from tests.web.browser.conftest import DESKTOP, PHONE, Surfer, shoot

MAX_BYTES = 60_000
MAX_SHIFT = 0.05
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# Keeps the sum of what moved without anybody asking, as Lighthouse does.
SHIFTS = """
globalThis.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


async def faults(page: Page) -> list[str]:
    """What axe-core finds wrong, each with the element."""
    found = await Axe().run(page, options=RULES)
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("path", ["/scan", "/offline", "/evidence"])
@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_a_page_without_an_answer(surfer: Surfer, path: str, lang: str) -> None:
    for scheme in ("light", "dark"):
        options: dict[str, Any] = {"color_scheme": scheme, "lang": lang}
        async with surfer.page(size=PHONE if scheme == "light" else DESKTOP, **options) as page:
            await page.goto(path)
            await shoot(page, f"{path[1:]}-{scheme}-{lang}")
            assert await faults(page) == []


async def travelled(world: World) -> str:
    """A unit that went from its issuer by a distributor to a shop in another province."""
    lot = await world.lot(expiration_date="2036-01-05")
    (code,) = await lot.issue(1)
    unit = [lot.epc(code)]
    await world.issuer.accepted(made(0, unit), shipped(60, world.issuer, world.distributor, unit))
    await world.distributor.accepted(
        received(600, world.distributor, unit),
        shipped(3000, world.distributor, world.shop, unit),
    )
    await world.shop.accepted(received(9000, world.shop, unit))
    return code.uri


@pytest.mark.parametrize("size", ["phone", "desk"])
@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_an_answer_is_light_and_nothing_in_it_moves(
    surfer: Surfer, world: World, lang: str, size: str
) -> None:
    code = await travelled(world)
    viewport = PHONE if size == "phone" else DESKTOP
    scheme: Any = "dark" if size == "desk" else "light"
    async with surfer.page(lang, viewport, color_scheme=scheme) as page:
        await page.add_init_script(SHIFTS)
        session = await page.context.new_cdp_session(page)
        await session.send("Network.enable")
        came: list[int] = []
        session.on("Network.loadingFinished", lambda got: came.append(got["encodedDataLength"]))
        await page.goto(surfer.path(code))
        await expect(page.locator("#browser-check")).to_have_attribute("data-status", "AUTHENTIC")
        await page.wait_for_load_state("networkidle")
        await expect(page.locator("svg.map")).to_be_visible()
        await shoot(page, f"journey-{size}-{lang}")
        assert sum(came) < MAX_BYTES, f"{sum(came)} bytes in {len(came)} answers"
        assert len(came) > 5
        assert await page.evaluate("shifted") < MAX_SHIFT
        assert await faults(page) == []
