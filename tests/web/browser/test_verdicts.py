"""Each verdict as people see it: both languages, phone and desk, with and without scripts."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.support.service import World
from tests.support.verdicts import OUTCOMES, codes_of_every_verdict
from tests.web.browser.conftest import DESKTOP, PHONE, Surfer, shoot
from tests.web.browser.test_quality import faults
from tracechain.domain.verdict import Outcome, VerdictReason
from tracechain.domain.wording import headline, words

# What the browser finds out by itself; a state or a history does not show in a signature.
CHECKED = {
    VerdictReason.MALFORMED_CODE: "MALFORMED",
    VerdictReason.TOKEN_FALSE: "FALSE",
    VerdictReason.UNKNOWN_KEY: "UNKNOWN_KEY",
    VerdictReason.KEY_REVOKED: "KEY_REVOKED",
}
SIGNS = {"AUTHENTIC": "✓", "FALSE": "✕", "KEY_REVOKED": "!"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def codes(world: World) -> dict[VerdictReason, str]:
    """A code by what it is to show first."""
    return await codes_of_every_verdict(world)


# Every pair of the three choices is among these, and each language with and without scripts.
@pytest.mark.parametrize(
    ("lang", "size", "scripts"),
    [("zh", "phone", True), ("en", "phone", False), ("zh", "desk", False), ("en", "desk", True)],
)
async def test_every_verdict(
    surfer: Surfer,
    world: World,
    codes: dict[VerdictReason, str],
    lang: str,
    size: str,
    scripts: bool,
) -> None:
    lot = await world.lot()
    (first,) = await lot.issue(1)
    viewport = PHONE if size == "phone" else DESKTOP
    excused = ("Failed to load resource: the server responded with a status of 400",)
    wrong = []
    async with surfer.page(lang, viewport, excused, java_script_enabled=scripts) as page:
        for reason, code in {**codes, VerdictReason.FIRST_SCAN: first.uri}.items():
            await page.goto(surfer.path(code))
            wrong += [f"{reason}: {fault}" for fault in await _faults(page, reason, lang, scripts)]
            await shoot(
                page, f"verdict-{reason.lower()}-{lang}-{size}-{'js' if scripts else 'nojs'}"
            )
    assert wrong == []


# All that is looked at, in one turn.
_SHOWN = """() => {
  const one = (selector) => document.querySelector(selector);
  return {
    ...one("#scan").dataset,
    headline: one("h1").innerText,
    said: one(".verdict").innerText,
    check: one("#browser-check").innerText,
    lang: document.documentElement.lang,
    icons: document.querySelectorAll(".verdict svg").length,
    advice: document.querySelectorAll("main li").length,
    sideways: document.documentElement.scrollWidth > innerWidth,
  };
}"""


async def _faults(page: Page, reason: VerdictReason, lang: str, scripts: bool) -> list[str]:
    """What a page shows otherwise than it should."""
    outcome = OUTCOMES.get(reason, Outcome.CAUTION)
    status = CHECKED.get(reason, "AUTHENTIC")
    if scripts:
        await expect(page.locator("#browser-check")).to_have_attribute("data-status", status)
    shown = await page.evaluate(_SHOWN)
    expectations = {
        "outcome": shown["outcome"] == outcome.value,
        "reason": shown["reasons"].split(" ")[0] == reason.value,
        "headline": shown["headline"] == _in(lang, headline(outcome)),
        "words": _in(lang, words(reason)) in shown["said"],
        "language": shown["lang"] == {"zh": "zh-CN", "en": "en"}[lang],
        "an icon beside the words": shown["icons"] == 1,
        "what to do now": shown["advice"] > 0,
        "no scrolling sideways": not shown["sideways"],
        "the browser's own check": (
            shown["check"].startswith(SIGNS.get(status, "–")) if scripts else shown["check"] == ""
        ),
    }
    return [name for name, holds in expectations.items() if not holds]


def _in(lang: str, text: object) -> str:
    return str(getattr(text, lang))


async def test_the_other_language_is_one_touch_away_and_no_second_scan(
    surfer: Surfer, world: World
) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    async with surfer.page("en") as page:
        await page.goto(surfer.path(code.uri))
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await page.click("header a[hreflang=zh-CN]")
        await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        await expect(page.locator("#scan")).to_have_attribute("data-outcome", "genuine")
        await expect(page.locator("#browser-check")).to_have_attribute("data-status", "AUTHENTIC")


async def test_a_server_that_praises_a_forged_code_is_contradicted(
    surfer: Surfer, world: World, codes: dict[VerdictReason, str]
) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)

    async def lie(route: Route) -> None:
        answer = await route.fetch()
        text = (await answer.text()).replace(code.uri, codes[VerdictReason.TOKEN_FALSE])
        await route.fulfill(response=answer, body=text)

    async with surfer.page() as page:
        await page.route("**/01/**", lie)
        await page.goto(surfer.path(code.uri))
        await expect(page.locator("#scan")).to_have_attribute("data-outcome", "genuine")
        await expect(page.locator("#browser-check")).to_have_attribute("data-status", "FALSE")
        await expect(page.locator("#browser-check")).to_contain_text("该码系伪造")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_tone_can_be_read(
    surfer: Surfer, codes: dict[VerdictReason, str], scheme: str
) -> None:
    excused = ("Failed to load resource: the server responded with a status of 400",)
    tones: Any = {"color_scheme": scheme}
    async with surfer.page("zh", PHONE, excused, **tones) as page:
        for reason in ("CLAIMED", "RECALLED_BATCH", "TOKEN_FALSE", "MALFORMED_CODE"):
            await page.goto(surfer.path(codes[VerdictReason(reason)]))
            assert await faults(page) == [], reason
            await shoot(page, f"tone-{reason.lower()}-{scheme}")
