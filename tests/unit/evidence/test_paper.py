"""The report of a bundle, read back as a viewer and a phone read it."""

from __future__ import annotations

from dataclasses import replace

import pypdfium2
import pytest
import zxingcpp

from tests.support.bundles import made_bundle, policy_text
from tests.support.service import gln_of
from tracechain.adapters.evidence.paper import draw
from tracechain.adapters.pdf_text import set_up, wrapped
from tracechain.domain.evidence import wording
from tracechain.domain.evidence.report import ChainSummary, Report
from tracechain.domain.evidence.verification import verify_bundle
from tracechain.domain.log.policy import Policy

LINK = "https://id.tracechain.example/evidence"


@pytest.fixture(scope="module")
def report() -> Report:
    found = verify_bundle(made_bundle(12).data, Policy.parse(policy_text().encode()))
    return Report(
        found.manifest.evidence_id,
        found.manifest.subject,
        found.manifest.receiver,
        found.manifest.time,
        found.manifest.origin,
        LINK,
        [
            ChainSummary(one.head.name, one.leaves, one.sealed, one.without_text)
            for one in found.chains
        ],
        ["https://id.gs1.org/01/06901234500110/10/OLD"],
        found.story,
        {gln_of(6): "辽宁省市场监督管理局"},
    )


def pages(data: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(data)
    return [page.get_textpage().get_text_bounded() for page in document]


def test_it_says_what_the_bundle_says(report: Report) -> None:
    found = "".join(pages(draw(report))).replace("\r\n", "")
    for words in (*wording.PROVED, *wording.NOT_PROVED):
        assert words.zh in found
        assert words.en[:60] in found
    for text in (
        report.evidence_id,
        report.subject.name,
        "白酒 Baijiu",
        f"辽宁省市场监督管理局 {gln_of(6)}",
        "2026-01-05 16:01:40 +08:00",
        "10/OLD: 日志中无记录",
        wording.NO_BODY.zh,
        "条目 entries: 16, 未公开条目 sealed entries: 1, 未附原文的事件 events without text: 1",
    ):
        assert text in found, text
    for entry in report.story:
        assert f"#{entry.index}" in found


def test_its_code_leads_to_the_page(report: Report) -> None:
    image = pypdfium2.PdfDocument(draw(report))[0].render(scale=3).to_pil()
    (code,) = zxingcpp.read_barcodes(image)
    assert code.text == LINK


def test_a_long_story_goes_on(report: Report) -> None:
    long = replace(report, story=report.story * 20)
    found = pages(draw(long))
    assert len(found) > 10
    for number, text in enumerate(found, 1):
        assert f"{report.evidence_id} {number}" in text


def test_the_same_report_is_the_same_file(report: Report) -> None:
    assert draw(report) == draw(report)


def test_texts_are_broken_where_they_must_be() -> None:
    set_up()
    text = "检查点 checkpoint " * 30
    lines = wrapped(text, 9, 200)
    assert "".join(lines) == text
    assert len(lines) > 5
    assert wrapped("", 9, 200) == [""]
