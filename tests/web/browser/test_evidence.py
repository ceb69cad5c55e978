"""The page that verifies bundles says what `tracechain evidence verify` says: one table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.support.bundles import TAMPERINGS, Made, made_bundle, policy_text
from tests.support.service import World, gln_of
from tests.web.browser.conftest import ROOT, Surfer, shoot
from tracechain.domain.evidence import wording
from tracechain.domain.evidence.verification import verify_bundle
from tracechain.domain.log.policy import Policy

PAGE = ROOT / "src" / "tracechain" / "web" / "evidence.html"


@pytest.fixture(scope="module")
def made() -> Made:
    return made_bundle()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(chromium: Browser, world: World) -> AsyncIterator[Page]:
    async with Surfer(chromium, world).page() as opened:
        await opened.goto("/evidence")
        yield opened


async def verified(page: Page, data: bytes, policy: str) -> dict[str, Any]:
    """What the page says of a bundle: its state, and of a refused one reason and member."""
    await page.set_input_files(
        "#bundle", {"name": "evidence.zip", "mimeType": "application/zip", "buffer": data}
    )
    await page.fill("#policy", policy)
    await page.click("#verify")
    await page.wait_for_selector("#result[data-state=good], #result[data-state=bad]")
    found: dict[str, Any] = await page.evaluate(
        "({ ...document.getElementById('result').dataset })"
    )
    return found


async def test_a_whole_bundle_and_its_story(page: Page, made: Made) -> None:
    assert (await verified(page, made.data, policy_text()))["state"] == "good"
    text = await page.inner_text("#result")
    found = verify_bundle(made.data, Policy.parse(policy_text().encode()))
    assert wording.ACCEPTED.zh in text
    for chain in found.chains:
        assert (
            f"{chain.head.name}：条目 {chain.leaves}，未公开条目 {chain.sealed}，"
            f"未附原文的事件 {chain.without_text}，" in text
        )
    for entry in found.story:
        assert f"#{entry.index} {wording.KINDS[entry.kind].zh}" in text
    for words in (*wording.PROVED, *wording.NOT_PROVED):
        assert words.zh in text
        assert words.en in text
    assert f"{gln_of(1)} ≤ 1000" in text
    assert "entries 8, sealed entries 1, events without text 1, late 1" in text
    assert text.count(wording.NO_BODY.en) == 1
    await shoot(page, "evidence-good")


async def test_what_forgers_do_has_the_same_names(page: Page, made: Made) -> None:
    wrong = {}
    for one in TAMPERINGS:
        said = await verified(page, one.tamper(made), policy_text())
        wanted = (one.reason, one.member(made))
        if (said["reason"], said["member"]) != wanted:
            wrong[one.name] = (said["reason"], said["member"], wanted)
    assert wrong == {}
    await shoot(page, "evidence-bad")


@pytest.mark.parametrize(
    ("policy", "reason", "member"),
    [
        ("", "MALFORMED_LOG_POLICY", "policy"),
        ("quorum none\n", "NOT_SIGNED", "checkpoint.txt"),
        ("quorum w9\n", "MALFORMED_LOG_POLICY", "line 1"),
        (policy_text(3).replace("witness w2", "# witness w2"), "MALFORMED_LOG_POLICY", "line 5"),
    ],
)
async def test_policies(page: Page, made: Made, policy: str, reason: str, member: str) -> None:
    said = await verified(page, made.data, policy)
    assert (said["reason"], said["member"]) == (reason, member)


async def test_a_saved_copy_verifies_without_a_service(chromium: Browser, made: Made) -> None:
    context = await chromium.new_context(offline=True)
    try:
        copy = await context.new_page()
        wrong: list[str] = []
        copy.on("pageerror", lambda error: wrong.append(str(error)))
        copy.on("console", lambda said: wrong.append(said.text))
        await copy.goto(PAGE.as_uri())
        assert (await verified(copy, made.data, policy_text()))["state"] == "good"
        assert wrong == []
    finally:
        await context.close()
