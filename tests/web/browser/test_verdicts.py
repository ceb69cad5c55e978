"""Each verdict as people see it: both languages, phone and desk, with and without scripts."""

from __future__ import annotations

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.support.service import World
from tests.support.verdicts import OUTCOMES, codes_of_every_verdict
from tests.web.browser.conftest import DESKTOP, PHONE, Surfer, shoot
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


async def _faults(page: Page, reason: VerdictReason, lang: str, scripts: bool) -> list[str]:
    """What a page shows otherwise than it should."""
    outcome = OUTCOMES.get(reason, Outcome.CAUTION)
    main = page.locator("#scan")
    said = await page.locator(".verdict").inner_text()
    shown = await main.evaluate("(main) => ({ ...main.dataset })") if await main.count() else {}
    width = "document.documentElement.scrollWidth <= innerWidth"
    expectations = {
        "outcome": shown.get("outcome") == outcome.value,
        "reason": shown.get("reasons", "").split(" ")[0] == reason.value,
        "headline": (await page.locator("h1").inner_text()) == _in(lang, headline(outcome)),
        "words": _in(lang, words(reason)) in said,
        "language": await page.get_attribute("html", "lang") == {"zh": "zh-CN", "en": "en"}[lang],
        "an icon beside the words": await page.locator(".verdict svg").count() == 1,
        "what to do now": await page.locator("main li").count() > 0,
        "no scrolling sideways": not scripts or await page.evaluate(width),
    }
    if scripts:
        check = page.locator("#browser-check")
        status = CHECKED.get(reason, "AUTHENTIC")
        await expect(check).to_have_attribute("data-status", status)
        text = await check.inner_text()
        expectations["the browser's own check"] = text.startswith(SIGNS.get(status, "–"))
    else:
        expectations["nothing promised"] = (await page.inner_text("#browser-check")) == ""
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
