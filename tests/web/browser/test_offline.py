"""The installed app without a network: the service is really gone, the browser goes on.

What it says of a code rests on keys that it kept; what it could not check it names; and nothing
personal is among what it kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from playwright.async_api import Browser, Page, expect

from tests.support.service import World
from tests.web.browser.conftest import Surfer, settled, shoot
from tests.web.browser.test_scanner import photograph
from tracechain.v1 import admin_pb2

GONE = ("Failed to load resource: net::ERR",)
COMPACT = 2


@dataclass(frozen=True)
class Codes:
    """What a person may hold when the network is gone."""

    genuine: str
    recalled: str
    lot: str
    forged: str
    revoked: str
    compact: str
    unknown: str


async def _codes(world: World) -> Codes:
    lot = await world.lot()
    (genuine,) = await lot.issue(1)
    (compact,) = await lot.issue(1, "small", profile=COMPACT)
    recalled = await world.lot()
    (unit,) = await recalled.issue(1)
    await recalled.recall()
    await _published(world, recalled.lot)
    other = await world.lot(world.other)
    (revoked,) = await other.issue(1)
    key = world.app.keyring.current(world.other.gln)
    await world.operator.admin.RevokeIssuerKey(
        admin_pb2.RevokeIssuerKeyRequest(
            name=f"parties/{world.other.gln}/keys/{key.secret.key_id}", reason="lost"
        )
    )
    wrong = "A" if genuine.uri[-10] != "A" else "B"
    forged = genuine.uri[:-10] + wrong + genuine.uri[-9:]
    # Key 65535 was never made: the two bytes after the first of the token.
    unknown = genuine.uri[:-89] + genuine.uri[-89] + "__" + genuine.uri[-86:]
    return Codes(genuine.uri, unit.uri, recalled.lot, forged, revoked.uri, compact.uri, unknown)


async def _published(world: World, lot: str) -> None:
    """Waits until the feed of recalls, which is read every so often, tells of a lot."""
    async with httpx.AsyncClient(base_url=world.http) as client:
        for _ in range(300):
            if lot in (await client.get("/recalls.json")).text:
                return
            await asyncio.sleep(0.1)
    raise AssertionError(f"the recall of {lot} was not published")


@asynccontextmanager
async def offline(browser: Browser, world: World, lang: str = "zh") -> AsyncIterator[Page]:
    """A page of a browser that was here once, while the service was there."""
    async with Surfer(browser, world).page(
        lang=lang, service_workers="allow", excused=GONE
    ) as page:
        await settled(page.context)
        yield page


async def test_without_a_network(
    chromium: Browser, make_world: Callable[..., AbstractAsyncContextManager[World]]
) -> None:
    # One story in one test: the service is stopped in the middle of it, once.
    async with make_world(recall_poll_ms=200) as world:
        codes = await _codes(world)
        surfer = Surfer(chromium, world)
        async with offline(chromium, world) as page, offline(chromium, world, "en") as english:
            await _one_navigation_is_one_scan(world, page, codes)
            await _nothing_personal_is_kept(page)
            await world.stop(0)

            expected = {
                codes.genuine: ("AUTHENTIC", "签名正确：该码由厂家签发"),
                codes.forged: ("FALSE", "伪造的码"),
                codes.revoked: ("KEY_REVOKED", "密钥已被撤销"),
                codes.compact: ("NOT_SIGNED", "只能由本服务联网查询"),
                codes.unknown: ("UNKNOWN_KEY", "没有该码所用的密钥"),
                codes.genuine.replace("/21/", "/21/O")[:-1]: ("MALFORMED", "不是完整的防伪追溯码"),
            }
            for code, (status, words) in expected.items():
                await page.goto(surfer.path(code))
                found = page.locator("#offline")
                await expect(found).to_have_attribute("data-status", status)
                await expect(found).to_contain_text(words)
                await expect(found).not_to_contain_text("真品")
                await shoot(page, f"offline-{status.lower()}-zh")

            await _what_could_not_be_checked(page, english, surfer, codes)
            await _the_scanner_works_too(page, codes)
            await _age_is_shown(page, surfer, codes)


async def _one_navigation_is_one_scan(world: World, page: Page, codes: Codes) -> None:
    await page.goto(Surfer(page.context.browser, world).path(codes.genuine))  # type: ignore[arg-type]
    await expect(page.locator("#browser-check")).to_have_attribute("data-status", "AUTHENTIC")
    assert (await world.verify(codes.genuine, "another")).previous_scans == 1


async def _nothing_personal_is_kept(page: Page) -> None:
    kept = await page.evaluate(
        """async () => {
            const found = [];
            for (const name of await caches.keys()) {
              const cache = await caches.open(name);
              for (const request of await cache.keys()) {
                const { pathname, search } = new URL(request.url);
                const answer = await cache.match(request);
                found.push([pathname + search, answer.headers.get("set-cookie")]);
              }
            }
            return found;
        }"""
    )
    paths = {path for path, _ in kept if not path.startswith("/static/")}
    pages = {f"/{page}?lang={lang}" for page in ("offline", "scan") for lang in ("zh", "en")}
    facts = {"/.well-known/jwks.json", "/.well-known/revocations.json", "/recalls.json"}
    assert paths == pages | facts
    assert all(cookie is None for _, cookie in kept)
    assert any(path.endswith("/offline.js") for path, _ in kept)
    assert not any("/vendor/" in path for path, _ in kept)


async def _what_could_not_be_checked(
    page: Page, english: Page, surfer: Surfer, codes: Codes
) -> None:
    await english.goto(surfer.path(codes.genuine))
    missing = english.locator("#offline-missing li")
    await expect(missing).to_have_count(4)
    await expect(missing.nth(0)).to_contain_text("scanned before")
    await expect(missing.nth(2)).to_contain_text("recalls published after")
    await expect(missing.nth(3)).to_contain_text("a key was revoked after")
    await expect(english.locator("#offline-again")).to_have_attribute(
        "href", surfer.world.http + surfer.path(codes.genuine)
    )
    await shoot(english, "offline-authentic-en")
    # A false signature is proved; there is nothing left to ask for.
    await english.goto(surfer.path(codes.forged))
    await expect(english.locator("#offline")).to_have_attribute("data-status", "FALSE")
    await expect(english.locator("#offline-missing li")).to_have_count(0)
    # The lot does not show in a code; that lots of its product are recalled does.
    await english.goto(surfer.path(codes.recalled))
    await expect(english.locator("#offline-result")).to_contain_text(
        f"Batches of this product are being recalled: {codes.lot}"
    )
    # The other language stays at the code.
    await english.click("#switch")
    await expect(english.locator("#offline-result")).to_contain_text(codes.lot)
    await expect(english.locator("html")).to_have_attribute("lang", "zh-CN")
    assert surfer.path(codes.recalled) in english.url


async def _the_scanner_works_too(page: Page, codes: Codes) -> None:
    await page.goto("/scan")
    await page.fill("#code", codes.genuine)
    await page.set_input_files("#photo", photograph(codes.genuine))
    await expect(page.locator("#scan-message")).to_contain_text("读码程序未能载入")


async def _age_is_shown(page: Page, surfer: Surfer, codes: Codes) -> None:
    await page.evaluate(
        """async () => {
            const cache = await caches.open("tracechain-facts");
            for (const path of ["/.well-known/jwks.json", "/.well-known/revocations.json"]) {
              const answer = await cache.match(path);
              const headers = new Headers(answer.headers);
              headers.set("date", new Date(Date.now() - 3 * 86400e3).toUTCString());
              await cache.put(path, new Response(await answer.text(), { headers }));
            }
        }"""
    )
    await page.goto(surfer.path(codes.genuine))
    await expect(page.locator("#offline-result")).to_contain_text("3 天前")


async def test_a_reader_that_was_used_once_reads_offline(
    chromium: Browser, make_world: Callable[..., AbstractAsyncContextManager[World]]
) -> None:
    async with make_world() as world:
        lot = await world.lot()
        (code,) = await lot.issue(1)
        async with offline(chromium, world) as page:
            await page.goto("/scan")
            await page.set_input_files("#photo", photograph("6901234567892"))
            await expect(page.locator("#scan-message")).to_have_attribute("data-kind", "NONE")
            await world.stop(0)
            await page.goto("/scan")
            await page.set_input_files("#photo", photograph(code.uri))
            await page.wait_for_url("**/01/**")
            await expect(page.locator("#offline")).to_have_attribute("data-status", "AUTHENTIC")


async def test_a_new_release_takes_the_place_of_the_old(surfer: Surfer) -> None:
    async with surfer.page(service_workers="allow") as page:
        await settled(page.context)
        await page.goto("/scan")
        await page.evaluate("caches.open('tracechain-shell /static/older/')")
        await page.evaluate(
            "navigator.serviceWorker.getRegistration().then((kept) => kept.unregister())"
        )
        await page.goto("about:blank")  # the last page lets go of the worker
        await settled(page.context)
        await page.goto("/offline")
        names = await page.evaluate("caches.keys()")
        assert "tracechain-shell /static/older/" not in names
        assert len([name for name in names if name.startswith("tracechain-shell ")]) == 1


async def test_what_can_be_installed_says_so(surfer: Surfer) -> None:
    async with surfer.page(service_workers="allow") as page:
        await settled(page.context)
        await page.goto("/scan")
        session = await page.context.new_cdp_session(page)
        errors: Any = await session.send("Page.getInstallabilityErrors")
        # A private window can install nothing, and that is what tests run in.
        names = {error["errorId"] for error in errors["installabilityErrors"]}
        assert names <= {"in-incognito"}
        manifest: Any = await session.send("Page.getAppManifest")
        assert manifest["errors"] == []
