"""What pages show and take, as issuers register it and inspectors read it: links and reports."""

from __future__ import annotations

import pytest

from tests.support.service import Lot, World, refused, reported
from tracechain.v1 import issuance_pb2, supervision_pb2
from tracechain.v1.issuance_pb2 import ResolverLink

PIP = ResolverLink(link_type="gs1:pip", href="https://brand.example/a?b=c", title="网站")


async def put(world: World, name: str, *links: ResolverLink) -> issuance_pb2.LinkSet:
    answer: issuance_pb2.LinkSet = await world.issuer.issuance.SetLinkSet(
        issuance_pb2.SetLinkSetRequest(name=name, link_set=issuance_pb2.LinkSet(links=links))
    )
    return answer


async def get(world: World, lot: Lot, name: str) -> issuance_pb2.LinkSet:
    answer: issuance_pb2.LinkSet = await world.liaoning.issuance.GetLinkSet(
        issuance_pb2.GetLinkSetRequest(name=name)
    )
    return answer


async def test_links_are_registered_for_a_product_and_a_batch_apart(world: World) -> None:
    lot = await world.lot()
    product = f"products/{lot.gtin}"
    assert not (await get(world, lot, product)).HasField("change_time")
    kept = await put(world, product, PIP)
    assert kept.name == product
    assert list(kept.links) == [PIP]
    assert not (await get(world, lot, lot.name)).links
    english = ResolverLink(
        link_type="gs1:pip", href="https://brand.example/en", title="Site", language="en"
    )
    await put(world, lot.name, english, PIP)
    assert list((await get(world, lot, lot.name)).links) == [english, PIP]
    await put(world, lot.name)
    assert not (await get(world, lot, lot.name)).links
    assert list((await get(world, lot, product)).links) == [PIP]


@pytest.mark.parametrize(
    ("link", "reason", "field"),
    [
        ({"link_type": "pip"}, "INVALID_LINK_TYPE", "link_type"),
        ({"link_type": "gs1:a b"}, "INVALID_LINK_TYPE", "link_type"),
        ({"href": "http://brand.example/"}, "INVALID_LINK", "href"),
        ({"href": "https://brand"}, "INVALID_LINK", "href"),
        ({"href": "https://u:p@brand.example/"}, "INVALID_LINK", "href"),
        ({"href": "javascript:alert(1)"}, "INVALID_LINK", "href"),
        ({"href": "https://brand.example/\n"}, "INVALID_LINK", "href"),
        ({"href": "https://brand.example/" + "a" * 2000}, "INVALID_LINK", "href"),
        ({"href": "//brand.example/"}, "INVALID_LINK", "href"),
        ({"language": "Chinese!"}, "INVALID_LINK", "language"),
        ({"context": "a b"}, "INVALID_LINK", "context"),
        ({"media_type": "html"}, "INVALID_LINK", "media_type"),
        ({"title": " "}, "MISSING_FIELD", "title"),
        ({"title": "x" * 201}, "TEXT_TOO_LONG", "title"),
    ],
)
async def test_a_link_that_is_none_is_refused(
    world: World, link: dict[str, str], reason: str, field: str
) -> None:
    lot = await world.lot()
    wrong = ResolverLink()
    wrong.CopyFrom(PIP)
    for name, value in link.items():
        setattr(wrong, name, value)
    error = await refused(put(world, lot.name, PIP, wrong))
    assert error.violations == ((f"link_set.links[1].{field}", reason),)
    assert not (await get(world, lot, lot.name)).links


async def test_lists_of_links_have_an_end_and_no_two_for_the_same(world: World) -> None:
    lot = await world.lot()
    error = await refused(put(world, lot.name, *[PIP] * 51))
    assert error.violations == (("link_set.links", "LIST_TOO_LONG"),)
    error = await refused(put(world, lot.name, PIP, PIP))
    assert error.violations == (("link_set.links[1]", "DUPLICATE_LINK"),)


async def test_an_inspector_reads_the_reports_of_its_division(world: World) -> None:
    names = [await reported(world, "210102", f"r{n}") for n in range(3)]
    others = await reported(world, "220102", "jilin")
    seen: list[str] = []
    token = ""
    while True:
        page = await world.liaoning.supervision.ListReports(
            supervision_pb2.ListReportsRequest(region="210100", page_size=2, page_token=token)
        )
        seen += [report.name for report in page.reports]
        token = page.next_page_token
        if not token:
            break
    assert [name for name in seen if name in names] == names[::-1]
    assert others not in seen
    theirs = await world.jilin.supervision.ListReports(supervision_pb2.ListReportsRequest())
    assert others in [report.name for report in theirs.reports]
    for region, reason in (("220000", "REPORT_NOT_FOUND"), ("99", "INVALID_REGION")):
        error = await refused(
            world.liaoning.supervision.ListReports(
                supervision_pb2.ListReportsRequest(region=region)
            )
        )
        assert error.reason == reason


async def test_a_report_comes_with_its_photograph(world: World) -> None:
    name = await reported(world, "210102", "看起来是假的", b"\xff\xd8picture")
    report = await world.liaoning.supervision.GetReport(supervision_pb2.GetReportRequest(name=name))
    assert (report.name, report.text, report.photo) == (name, "看起来是假的", b"\xff\xd8picture")
    assert report.has_photo
    listed = await world.liaoning.supervision.ListReports(supervision_pb2.ListReportsRequest())
    (same,) = [one for one in listed.reports if one.name == name]
    assert same.has_photo
    assert not same.photo
