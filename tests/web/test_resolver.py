"""The resolver: link sets, redirects to what issuers registered, negotiation, descriptions."""

from __future__ import annotations

import pytest

from tests.support.browsing import Phone, path_of, phone, text_of
from tests.support.service import Lot, World, gln_of, gtin_of
from tracechain.v1 import issuance_pb2, supervision_pb2
from tracechain.v1.issuance_pb2 import ResolverLink

VOC = "https://gs1.org/voc/"
ABSENT = gtin_of(99_999)
LINKSET = "application/linkset+json"


async def with_links(world: World) -> tuple[Lot, str]:
    """A lot whose product has links, and a code of it."""
    lot = await world.lot()
    (code,) = await lot.issue(1)
    links = [
        ResolverLink(link_type="gs1:defaultLink", href="https://brand.example/zh", title="官网",
                     language="zh"),
        ResolverLink(link_type="gs1:defaultLink", href="https://brand.example/en", title="Site",
                     language="en"),
        ResolverLink(link_type="gs1:pip", href="https://brand.example/pip?a=b", title="产品",
                     media_type="text/html", context="CN"),
    ]  # fmt: skip
    await world.issuer.issuance.SetLinkSet(
        issuance_pb2.SetLinkSetRequest(
            name=f"products/{lot.gtin}", link_set=issuance_pb2.LinkSet(links=links)
        )
    )
    return lot, path_of(code.uri)


async def test_a_browser_is_sent_to_the_brands_own_page(world: World) -> None:
    lot, _ = await with_links(world)
    for accept, target in (("zh-CN", "zh"), ("en-US,zh;q=0.5", "en"), ("fr", "zh")):
        answer = await phone(world, accept).get(f"/01/{lot.gtin}")
        assert answer.status_code == 307
        assert answer.headers["location"] == f"https://brand.example/{target}"
        assert "Accept-Language".lower() in answer.headers["vary"]
    # The batch has no links of its own: those of the product hold.
    answer = await phone(world).get(f"/01/{lot.gtin}/10/{lot.lot}")
    assert answer.headers["location"] == "https://brand.example/zh"
    # A page of ours in another language is a page of ours.
    page = await phone(world).get(f"/01/{lot.gtin}?lang=en")
    assert page.status_code == 200
    assert "Baijiu" in text_of(page)


async def test_a_recall_is_shown_before_anybody_is_sent_away(world: World) -> None:
    lot, _ = await with_links(world)
    await lot.recall(notice="请停止饮用", ranges=[(0, 5)])
    block = supervision_pb2.RECALL_KIND_BLOCK
    await lot.recall(notice="待检", kind=block, request_id="block")
    page = await phone(world).get(f"/01/{lot.gtin}/10/{lot.lot}")
    assert page.status_code == 200
    # A recall of some items is not said of all, nor a stop of the sale called a recall.
    assert "召回（部分产品）： 请停止饮用" in text_of(page)
    assert "暂停销售： 待检" in text_of(page)


async def test_a_code_is_answered_here_unless_another_link_is_asked_for(world: World) -> None:
    _, path = await with_links(world)
    page = await phone(world).get(path)
    assert page.status_code == 200
    assert "真品" in text_of(page)
    for own in ("gs1:defaultLink", "gs1:verificationService", "gs1:traceability"):
        assert (await phone(world).get(f"{path}&linkType={own}")).status_code == 200
    answer = await phone(world).get(f"{path}&linkType=gs1:pip")
    assert answer.status_code == 307
    # The token of the code goes to nobody else.
    assert answer.headers["location"] == "https://brand.example/pip?a=b"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    answer = await phone(world).get(f"{path}&linkType=gs1:recallStatus")
    assert answer.headers["location"] == "/recalls"
    recalls = f"{path}&linkType=gs1:recallStatus"
    answer = await phone(world).get(recalls, accept="application/json")
    assert answer.headers["location"] == "/recalls.json"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "gs1:pip2", "gs1:evil", "pip", "x" * 300]
)
async def test_a_request_cannot_say_where_it_leads(world: World, target: str) -> None:
    lot, path = await with_links(world)
    for asked in (f"/01/{lot.gtin}?linkType={target}", f"{path}&linkType={target}",
                  f"/01/{lot.gtin}?href={target}&url={target}&lang=en"):  # fmt: skip
        answer = await phone(world).get(asked)
        assert "evil" not in answer.headers.get("location", "")
        assert answer.status_code in (200, 404)


@pytest.mark.parametrize("how", ["linkType=linkset", "linkType=all", "accept"])
async def test_a_link_set_lists_all_there_is(world: World, how: str) -> None:
    lot, _ = await with_links(world)
    path = f"/01/{lot.gtin}"
    if how == "accept":
        answer = await phone(world).get(path, accept=LINKSET)
    else:
        answer = await phone(world).get(f"{path}?{how}")
    assert answer.headers["content-type"] == LINKSET
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "json-ld#context" in answer.headers["link"]
    (context,) = answer.json()["linkset"]
    assert context["anchor"] == f"https://id.tracechain.example{path}"
    assert context["itemDescription"] == "白酒"
    english = await phone(world, "en").get(f"{path}?linkType=linkset")
    assert english.json()["linkset"][0]["itemDescription"] == "Baijiu"
    assert [link["href"] for link in context[f"{VOC}defaultLink"]] == [
        "https://brand.example/zh", "https://brand.example/en",
    ]  # fmt: skip
    (pip,) = context[f"{VOC}pip"]
    assert pip == {
        "href": "https://brand.example/pip?a=b", "title": "产品", "fwqs": False,
        "type": "text/html", "context": ["CN"],
    }  # fmt: skip


async def test_the_link_set_of_a_code_leads_to_its_own_page(world: World) -> None:
    _, path = await with_links(world)
    bare = path.partition("?")[0]
    for link, own in ((path, f"{path}&"), ("/stem" + path, f"{path}&"), (bare, f"{bare}?")):
        for asked in (phone(world).get(link), phone(world).client.head(link)):
            headers = (await asked).headers
            assert headers["link"].startswith(f"<{own}linkType=linkset>;")
            assert "accept-language" in headers["vary"]
        answer = await phone(world).get(f"{own}linkType=linkset")
        assert answer.headers["cache-control"] == "no-store"
        (context,) = answer.json()["linkset"]
        assert context["anchor"] == f"https://id.tracechain.example{bare}"
        for link_type in ("defaultLink", "verificationService", "traceability"):
            (href,) = [link["href"] for link in context[VOC + link_type]]
            assert href == f"https://id.tracechain.example{own[:-1]}"
        assert "91=" not in context[f"{VOC}pip"][0]["href"]


async def test_each_default_link_that_is_listed_leads_somewhere(world: World) -> None:
    lot = await world.lot()
    for path in (f"/01/{lot.gtin}", f"/01/{lot.gtin}/10/{lot.lot}", "/00/069012345000000028",
                 f"/414/{world.issuer.gln}"):  # fmt: skip
        (context,) = (await phone(world).get(f"{path}?linkType=linkset")).json()["linkset"]
        assert context[f"{VOC}defaultLink"][0]["href"] == f"https://id.tracechain.example{path}"
        for spelled in ("gs1:defaultLink", f"{VOC}defaultLink"):
            page = await phone(world).get(f"{path}?linkType={spelled}")
            assert page.status_code == 200
            assert "<main" in page.text
            answer = await phone(world).get(f"{path}?linkType={spelled}", accept=LINKSET)
            assert answer.headers["content-type"] == LINKSET
        assert (await phone(world).get(f"{path}?linkType=gs1:pip")).status_code == 404


async def test_a_cache_keeps_each_form_of_an_answer_apart(world: World) -> None:
    lot = await world.lot()
    for path in (f"/01/{lot.gtin}", "/00/069012345000000028", f"/414/{world.issuer.gln}"):
        for accept in ("text/html", "application/json", LINKSET):
            answer = await phone(world).get(path, accept=accept)
            assert answer.headers["content-type"].startswith(accept)
            assert "public" in answer.headers["cache-control"]
            assert "accept" in answer.headers["vary"].lower().split(", ")


async def test_what_is_not_registered_has_no_link_set(world: World) -> None:
    for path in (f"/01/{ABSENT}", f"/414/{gln_of(99_999)}", f"/417/{world.shop.gln}"):
        answer = await phone(world).get(f"{path}?linkType=linkset", accept=LINKSET)
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/01/06901234000019", 400, "INVALID_GTIN_CHECK_DIGIT"),
        ("/01/123", 400, "INVALID_GTIN"),
        (f"/01/{ABSENT}", 404, "NOT_REGISTERED"),
        (f"/01/{ABSENT}/10/X", 404, "NOT_REGISTERED"),
        (f"/01/{ABSENT}/99/X", 400, "INVALID_DIGITAL_LINK"),
        ("/00/069012345000000029", 400, "INVALID_SSCC_CHECK_DIGIT"),
        (f"/414/{gln_of(99_999)}", 404, "NOT_REGISTERED"),
        ("/no/such/page", 404, "PAGE_NOT_FOUND"),
        (f"/01/{ABSENT}/21/%C3%28", 400, "INVALID_DIGITAL_LINK"),
    ],
)
async def test_what_is_wrong_gets_a_page_that_says_what(
    world: World, path: str, status: int, reason: str
) -> None:
    page = await phone(world).get(path)
    assert page.status_code == status
    assert f'data-reason="{reason}"' in page.text
    problem = await phone(world).get(path, accept="application/json")
    assert problem.status_code == status
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.headers["access-control-allow-origin"] == "*"
    assert problem.json()["reason"] == reason


async def test_parties_that_make_nothing_are_nobodys_to_look_up(world: World) -> None:
    page = await phone(world).get(f"/414/{world.issuer.gln}")
    assert "issuer公司" in text_of(page)
    assert "辽宁省沈阳市" in text_of(page)
    absent = await phone(world).get(f"/414/{gln_of(99_999)}")
    for party in (world.distributor, world.shop, world.liaoning):
        hidden = await phone(world).get(f"/414/{party.gln}")
        assert hidden.status_code == 404
        assert text_of(hidden).replace(party.gln, "") == text_of(absent).replace(gln_of(99_999), "")


async def test_a_container_tells_nothing_of_itself(world: World) -> None:
    page = await phone(world).get("/00/069012345000000028")
    assert page.status_code == 200
    assert "物流单元" in text_of(page)


async def test_media_types_that_are_not_there_are_refused(world: World) -> None:
    lot = await world.lot()
    answer = await phone(world).get(f"/01/{lot.gtin}", accept="image/png")
    assert answer.status_code == 406
    assert answer.json()["reason"] == "NOT_ACCEPTABLE"
    told = (await phone(world).get(f"/01/{lot.gtin}", accept="application/json")).json()
    assert told["displayName"] == {"zh": "白酒", "en": "Baijiu"}


async def test_the_resolver_describes_itself(world: World) -> None:
    answer = await phone(world).get("/.well-known/gs1resolver")
    told = answer.json()
    assert told["resolverRoot"] == "https://id.tracechain.example"
    # The members that the schema of the description file (1.2.0) knows.
    assert set(told) == {
        "name", "resolverRoot", "supportedPrimaryKeys", "supportedLinkType",
        "supportedContextValuesEnumerated", "linkTypeDefaultCanBeLinkset", "jsonLdContextLocation",
    }  # fmt: skip
    assert set(told["supportedPrimaryKeys"]) == {"01", "00", "414", "417"}
    assert answer.headers["access-control-allow-origin"] == "*"
    guest: Phone = phone(world)
    asked = await guest.client.options("/01/06901234000016")
    assert asked.status_code == 204
    assert "GET" in asked.headers["access-control-allow-methods"]
