"""Which of several links suits a request: context before language before media type."""

from __future__ import annotations

import pytest

from tracechain.domain.link_set import Link, choose

ANY = Link("gs1:pip", "https://a.example/any")
ZH = Link("gs1:pip", "https://a.example/zh", language="zh")
EN = Link("gs1:pip", "https://a.example/en", language="en")
CN = Link("gs1:pip", "https://a.example/cn", language="en", context="CN")
PDF = Link("gs1:pip", "https://a.example/pdf", language="en", media_type="application/pdf")


@pytest.mark.parametrize(
    ("links", "languages", "media", "context", "best"),
    [
        ([EN, ZH], {"zh": 1.0}, {}, "", ZH),
        ([EN, ZH], {"zh-cn": 1.0, "en": 0.5}, {}, "", ZH),
        ([ZH, EN], {"en": 0.0}, {}, "", ZH),
        ([EN, ZH], {"en": 0.5, "zh": 0.9}, {}, "", ZH),
        ([EN, ANY], {"fr": 1.0}, {}, "", ANY),
        ([ZH, EN], {}, {}, "", ZH),
        ([ZH, CN], {"zh": 1.0}, {}, "cn", CN),
        ([CN, ZH], {"zh": 1.0}, {}, "", ZH),
        ([EN, PDF], {"en": 1.0}, {"application/pdf": 1.0}, "", PDF),
        ([PDF, EN], {"en": 1.0}, {"text/html": 1.0}, "", EN),
        ([ANY], {}, {}, "us", ANY),
    ],
)
def test_the_best_link(
    links: list[Link],
    languages: dict[str, float],
    media: dict[str, float],
    context: str,
    best: Link,
) -> None:
    assert choose(links, "gs1:pip", languages, media, context) == best


def test_no_link_of_another_type() -> None:
    assert choose([ANY], "gs1:recallStatus", {}, {}) is None
