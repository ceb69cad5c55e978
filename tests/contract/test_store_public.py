"""Link sets, reports and the list of recalls, on every backend."""

from __future__ import annotations

from dataclasses import replace

from tests.contract.conftest import Open
from tests.support.service import gtin_of
from tests.support.stores import batch, party, product, recall
from tracechain.app.ports import Store
from tracechain.domain.batch_key import derived
from tracechain.domain.link_set import Link, LinkSet
from tracechain.domain.report import Report, ReportKind, province_place

LINK = Link("gs1:pip", "https://brand.example/a", "网站", "zh", "CN", "text/html")


def report(number: int, region: str = "210102") -> Report:
    """One of several reports, the later the higher its number."""
    return Report(f"{number:032x}", region, ReportKind.OTHER, "可疑", "https://x", "", "", number)


async def test_links_are_replaced_by_later_ones_alone(store: Store, open_another: Open) -> None:
    assert await store.get_links(7) is None
    first = LinkSet((LINK, replace(LINK, language="en")), 10)
    assert await store.put_links(7, first) == first
    later = LinkSet((), 20)
    assert await store.put_links(7, later) == later
    # A repetition that was under way while somebody else wrote does not undo what he wrote.
    assert await store.put_links(7, first) == later
    assert await (await open_another()).get_links(7) == later
    assert await store.get_links(8) is None


async def test_a_report_is_kept_once_with_its_photograph(store: Store) -> None:
    photo = bytes(range(256)) * 300
    kept = await store.put_report(5, report(1), photo)
    assert kept == replace(report(1), has_photo=True)
    again = await store.put_report(5, replace(report(1), text="anders"), None)
    assert again == kept
    assert await store.get_report(5, report(1).report_id) == (kept, photo)
    await store.put_report(5, report(2), None)
    assert await store.get_report(5, report(2).report_id) == (report(2), None)
    assert await store.get_report(6, report(1).report_id) is None


async def test_reports_are_listed_latest_first_by_division(store: Store) -> None:
    for number, region in enumerate(("210102", "210200", "210000", "210102"), 1):
        await store.put_report(5, report(number, region), None)
    await store.put_report(6, report(9), None)
    found = await store.list_reports(5, "21", "", 10)
    assert [one.create_time for one in found] == [4, 3, 2, 1]
    assert [one.create_time for one in await store.list_reports(5, "2101", "", 10)] == [4, 1]
    page = await store.list_reports(5, "21", found[1].report_id, 1)
    assert [one.create_time for one in page] == [2]
    assert await store.list_reports(5, "22", "", 10) == []


async def test_the_list_latest_recalls_of_all_batches(store: Store) -> None:
    issuer = await store.put_party(party(1))
    await store.put_product(product(1, issuer.gln))
    lots = [await store.put_batch(batch(gtin_of(1), f"L{n}")) for n in range(3)]
    for time, lot in enumerate(lots, 1):
        await store.put_recall(replace(recall(lot.batch_number, "r"), create_time=time))
    await store.lift_recall(lots[1].batch_number, "r", 99, "done")
    found = await store.list_latest_recalls(2)
    assert [(one.batch_number, one.lift_time) for one in found] == [
        (lots[2].batch_number, None),
        (lots[1].batch_number, 99),
    ]
    assert len(await store.list_latest_recalls(10)) == 3


async def test_what_is_erased_is_gone_and_that_it_was_there_is_not(store: Store) -> None:
    key = derived(province_place("210102"))
    said = Report("1" * 32, "210102", ReportKind.BAD_QUALITY, "my words", "code", "", "", 5)
    other = Report("2" * 32, "210102", ReportKind.OTHER, "others' words", "c", "", "", 6)
    for report in (said, other):
        await store.put_report(key, report, b"picture")
    for _ in range(2):
        erased = await store.erase_report(key, said.erased())
        assert (erased.text, erased.code, erased.kind) == ("", "", ReportKind.BAD_QUALITY)
        assert await store.get_report(key, said.report_id) == (erased, None)
    # The form that is sent again does not bring it back.
    assert await store.put_report(key, said, b"picture") == erased
    found = await store.get_report(key, other.report_id)
    assert found is not None
    assert (found[0].text, found[1]) == ("others' words", b"picture")
