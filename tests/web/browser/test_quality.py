"""What a page costs and whom it serves: weight, shifting layout, other hosts, accessibility.

No time is asserted here; `./dev bench page` measures the paint on a slow phone.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

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
        f"{violation['id']}：{node['html']} {node['failureSummary']}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("path", ["/scan", "/offline"])
@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_a_page_without_an_answer(surfer: Surfer, path: str, lang: str) -> None:
    for scheme in ("light", "dark"):
        options: dict[str, Any] = {"color_scheme": scheme, "lang": lang}
        async with surfer.page(size=PHONE if scheme == "light" else DESKTOP, **options) as page:
            await page.goto(path)
            await shoot(page, f"{path[1:]}-{scheme}-{lang}")
            assert await faults(page) == []
