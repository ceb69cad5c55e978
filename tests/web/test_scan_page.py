"""The page of a code: what it says, to whom, and what it counts as a scan."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.support.browsing import attribute, path_of, phone, text_of
from tests.support.service import RESOLVER, World, event, gtin_of, made, packed, received, shipped
from tests.support.verdicts import OUTCOMES, codes_of_every_verdict
from tracechain.domain.errors import Unavailable
from tracechain.domain.verdict import Outcome, VerdictReason
from tracechain.domain.wording import headline, words
from tracechain.v1 import issuance_pb2, party_pb2


async def one(world: World, **fields: object) -> str:
    """The code of a unit of its own."""
    lot = await world.lot(**fields)  # type: ignore[arg-type]
    (code,) = await lot.issue(1)
    return code.uri


async def scans_of(world: World, code: str) -> int:
    """How many scans are recorded of a unit, before this look."""
    return int((await world.verify(code, "the test")).previous_scans)


async def test_every_verdict_is_said_in_words_in_both_languages(world: World) -> None:
    for reason, code in (await codes_of_every_verdict(world)).items():
        outcome = OUTCOMES.get(reason, Outcome.CAUTION)
        for lang, accept in (("zh", "zh-CN"), ("en", "en-GB,en;q=0.8")):
            page = await phone(world, accept).get(path_of(code))
            assert page.status_code == 200
            assert attribute(page, "data-outcome") == outcome
            first = attribute(page, "data-reasons").split()[0]
            # The second look finds the first one.
            assert first == reason or (lang, reason) == ("en", VerdictReason.FIRST_SCAN)
            said = text_of(page)
            assert getattr(words(VerdictReason(first)), lang) in said
            assert getattr(headline(outcome), lang) in said
            assert f'<html lang="{"zh-CN" if lang == "zh" else "en"}">' in page.text
            assert page.headers["cache-control"] == "no-store"
            # A verdict never hides behind colour: an icon stands beside the words.
            assert page.text.index('class="sign"') < page.text.index("<h1>")


async def test_the_page_is_small_and_asks_nobody_else(world: World) -> None:
    page = await phone(world).get(path_of(await one(world)))
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+\.(?:js|css|svg))"', page.text)
    sizes = [len((await phone(world).get(path)).content) for path in loaded]
    # The modules that these import are counted by the browser's own test.
    assert len(page.content) < 16_000
    assert sum(sizes) + len(page.content) < 60_000
    assert not re.search(r'(?:src|href|action)="(?!/|#)', page.text)
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|style=", page.text)


async def test_a_look_is_a_scan_and_a_refresh_is_the_same_one(world: World) -> None:
    code = await one(world)
    mine = phone(world)
    first = await mine.get(path_of(code))
    assert attribute(first, "data-reasons") == "FIRST_SCAN"
    cookie = first.headers["set-cookie"]
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
    for _ in range(8):
        again = await mine.get(path_of(code))
        assert attribute(again, "data-reasons") == "FIRST_SCAN"
        assert "set-cookie" not in again.headers
    assert await scans_of(world, code) == 1
    other = await phone(world).get(path_of(code))
    assert attribute(other, "data-reasons") == "SCANNED_BEFORE"
    assert "此前共查询 2 次" in text_of(other)


async def test_a_phone_that_takes_no_cookie_never_looks_like_many(world: World) -> None:
    code = await one(world)
    for _ in range(9):
        page = await phone(world).get(path_of(code))
    assert attribute(page, "data-outcome") == "genuine"
    assert await scans_of(world, code) == 9


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("HEAD", {}, 200),
        ("GET", {"purpose": "prefetch"}, 503),
        ("GET", {"sec-purpose": "prefetch;prerender"}, 503),
        ("GET", {"x-moz": "prefetch"}, 503),
        ("GET", {"user-agent": "WhatsApp/2.23"}, 200),
        ("GET", {"user-agent": "facebookexternalhit/1.1"}, 200),
        ("GET", {"user-agent": "TelegramBot (like TwitterBot)"}, 200),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; Baiduspider/2.0)"}, 200),
        ("OPTIONS", {}, 204),
    ],
)
async def test_what_fetches_ahead_is_no_scan(
    world: World, method: str, headers: dict[str, str], status: int
) -> None:
    code = await one(world)
    page = await phone(world).client.request(method, path_of(code), headers=headers)
    assert page.status_code == status
    assert "真品" not in page.text
    assert await scans_of(world, code) == 0


@pytest.mark.parametrize(
    "agent",
    ["Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36 "
     "MicroMessenger/8.0.50.2701 WeChat/arm64", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Safari",
     "CubotPhone Mozilla/5.0"],
)  # fmt: skip
async def test_phones_are_people(world: World, agent: str) -> None:
    page = await phone(world).get(path_of(await one(world)), **{"user-agent": agent})
    assert attribute(page, "data-outcome") == "genuine"


async def test_what_an_issuer_wrote_is_text(world: World) -> None:
    evil = '"><script>alert(1)</script>{{7*7}}<b>'
    gtin = gtin_of(next(world.numbers))
    await world.issuer.issuance.CreateProduct(
        issuance_pb2.CreateProductRequest(
            product=issuance_pb2.Product(
                gtin=gtin,
                display_name=party_pb2.LocalizedText(zh=evil, en=evil),
                licenses=[issuance_pb2.License(kind=evil, number=evil)],
                standards=[evil],
            )
        )
    )
    lot = await world.lot(gtin=gtin)
    (code,) = await lot.issue(1)
    await lot.recall(notice=evil)
    for path in (path_of(code.uri), f"/01/{gtin}", f"/01/{gtin}/10/{lot.lot}"):
        page = await phone(world).get(path)
        assert "<script>alert" not in page.text
        assert "<b>" not in page.text
        assert "{{7*7}}" in page.text


async def test_the_journey_tells_days_and_cities_and_no_names(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(2)
    units, box = [lot.epc(code) for code in codes], world.container()
    await world.issuer.accepted(
        made(0, units), packed(10, box, units), shipped(20, world.issuer, world.distributor, [box])
    )
    await world.distributor.accepted(received(60, world.distributor, [box]))
    page = await phone(world).get(path_of(codes[0].uri))
    said = text_of(page)
    for words_ in ("2026-01-05 生产赋码 · 辽宁省沈阳市 · 生产企业", "装箱", "发货",
                   "收货 · 辽宁省大连市 · 经销企业"):  # fmt: skip
        assert words_ in said
    assert "distributor公司" not in page.text
    assert world.distributor.gln not in page.text
    assert box.rpartition("/")[2] not in page.text
    assert page.text.count('class="stop"') == 2
    await world.distributor.accepted(
        event(90, "retail_selling", [units[1]], disposition="retail_sold")
    )
    other = await phone(world).get(path_of(codes[1].uri))
    assert "零售售出" in text_of(other)
    assert "零售售出" not in text_of(await phone(world).get(path_of(codes[0].uri)))


async def test_a_program_gets_the_verdict_as_json(world: World) -> None:
    code = await one(world, expiration_date="2099-01-01")
    page = await phone(world).get(path_of(code), accept="application/json")
    assert page.headers["content-type"] == "application/json"
    assert page.headers["cache-control"] == "no-store"
    said = page.json()
    assert said["outcome"] == "OUTCOME_GENUINE"
    assert said["reasons"] == ["VERDICT_REASON_FIRST_SCAN"]
    assert said["expirationDate"] == "2099-01-01"
    assert said["message"]["zh"] == words(VerdictReason.FIRST_SCAN).zh
    forged = code[:-10] + ("A" if code[-10] != "A" else "B") + code[-9:]
    said = (await phone(world).get(path_of(forged), accept="application/json")).json()
    assert (said["outcome"], said["issuance"]) == ("OUTCOME_COUNTERFEIT", "ISSUANCE_NOT_ISSUED")


async def test_other_spellings_of_a_code_are_the_same_unit(world: World) -> None:
    code = await one(world)
    path = path_of(code)
    assert attribute(await phone(world).get(path), "data-reasons") == "FIRST_SCAN"
    for other in (
        path.replace("/01/0", "/01/"),
        "/some/stem" + path,
        path + "&linkType=gs1:verificationService",
        "/01/" + path[4:18] + "/10/ANY" + path[18:],
        path.replace("?91=", "?11=260105&91="),
    ):
        page = await phone(world).get(other)
        assert attribute(page, "data-code") == code
        assert attribute(page, "data-reasons") == "SCANNED_BEFORE"


async def test_the_switch_keeps_the_code(world: World) -> None:
    code = await one(world)
    page = await phone(world).get(path_of(code))
    english = re.search(r'<a href="([^"]+)" lang="en"', page.text)
    assert english
    target = english[1].replace("&amp;", "&")
    assert target == path_of(code) + "&lang=en"
    assert "Genuine" in text_of(await phone(world).get(target))
    # The switch says it, whatever the browser would rather have.
    assert "真品" in text_of(await phone(world, "en").get(path_of(code) + "&lang=zh"))


async def test_a_typed_code_leads_to_its_page_and_nowhere_else(world: World) -> None:
    code = await one(world)
    answer = await phone(world).client.get("/scan", params={"code": f"  {code} "})
    assert answer.status_code == 303
    assert answer.headers["location"].partition("&")[0] == path_of(code)
    for typed in ("https://evil.example/01/0", f"https://{RESOLVER}.evil.example{path_of(code)}",
                  f"https://{RESOLVER}@evil.example/", "javascript:alert(1)", "//evil.example",
                  code + "x"):  # fmt: skip
        answer = await phone(world).client.get("/scan", params={"code": typed})
        assert answer.status_code == 400
        assert "location" not in answer.headers


async def test_a_store_that_is_away_is_a_page_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("STORE_BUSY", "another process holds the store's lock")

    code = await one(world)
    monkeypatch.setattr(world.app.scanning, "verify", away)
    page = await phone(world).get(path_of(code))
    assert page.status_code == 503
    assert page.headers["retry-after"] == "1"
    assert 'data-reason="STORE_BUSY"' in page.text


async def test_a_defect_shows_a_number_and_nothing_of_our_inside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    code = await one(world)
    monkeypatch.setattr(world.app.scanning, "verify", broken)
    for accept in ("text/html", "application/json"):
        page: httpx.Response = await phone(world).get(path_of(code), accept=accept)
        assert page.status_code == 500
        assert "secret" not in page.text
        assert "Traceback" not in page.text
        assert re.search(r"[0-9a-f]{12}", page.text)
