"""What goes wrong is said in the reader's language, never as a stack trace."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.support.service import gtin_of
from tracechain.domain import errors
from tracechain.web.error_words import explain

HAN = re.compile(r"[\u4e00-\u9fff]")
KINDS = [
    errors.InvalidArgument.of("x", "SOMETHING_NEW", "is new"),
    *(
        kind("SOMETHING_NEW", "something new")
        for kind in (
            errors.Unauthenticated,
            errors.PermissionDenied,
            errors.NotFound,
            errors.AlreadyExists,
            errors.FailedPrecondition,
            errors.DataCorrupted,
        )
    ),
    errors.ResourceExhausted("SOMETHING_NEW", "something new", retry_after=1.0),
    errors.Unavailable("SOMETHING_NEW", "something new"),
    None,
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_every_kind_of_error_has_words_in_both_languages(
    error: errors.TracechainError | None,
) -> None:
    assert HAN.search(explain(error, "zh"))
    english = explain(error, "en")
    assert english
    assert not HAN.search(english)


@pytest.mark.parametrize(
    ("path", "status", "reason", "zh", "en"),
    [
        ("/nowhere", 404, "PAGE_NOT_FOUND", "没有此页面", "no such page"),
        ("/01/06901234000017", 400, "INVALID_GTIN_CHECK_DIGIT", "商品条码", "product number"),
        (f"/01/{gtin_of(99_000)}", 404, "NOT_REGISTERED", "未在本服务登记", "not registered"),
        ("/01/06901234000016/21", 400, "INVALID_DIGITAL_LINK", "不是正确的产品链接", "no link"),
    ],
)
async def test_a_page_says_what_is_wrong(
    browser: httpx.AsyncClient, path: str, status: int, reason: str, zh: str, en: str
) -> None:
    for lang, words in (("zh", zh), ("en", en)):
        answer = await browser.get(path, params={"lang": lang})
        assert answer.status_code == status
        assert f'data-reason="{reason}"' in answer.text
        assert words in answer.text
        assert "Traceback" not in answer.text
