"""Text that people wrote, and the errors that say what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.errors import InvalidArgument, Violation
from tracechain.domain.text import LocalizedText, bounded


def refused(text: str, limit: int = 10, *, required: bool = False) -> tuple[str, str]:
    """Where and why a text is refused."""
    with pytest.raises(InvalidArgument) as caught:
        bounded(text, "notice.zh", limit, required=required)
    return caught.value.violations[0].field, caught.value.reason


def test_blanks_around_a_text_are_no_part_of_it() -> None:
    assert bounded("\u3000 白酒 52%\t\n", "f", 6) == "白酒 52%"
    assert bounded(" ", "f", 0) == ""
    assert refused(" \t\u3000", required=True) == ("notice.zh", "MISSING_FIELD")


def test_a_text_has_its_limit_in_characters() -> None:
    assert bounded("酒" * 10, "f", 10) == "酒" * 10
    assert bounded(" " + "酒" * 10 + " ", "f", 10) == "酒" * 10
    assert refused("酒" * 11) == ("notice.zh", "TEXT_TOO_LONG")


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b",
        "a\nb",
        "a\tb",
        "a\x7fb",
        "a\x85b",
        "a\x1b[2J",
        "\ud800",
        "a\u2028b",
        "a\u202eb",
        "a\u2066b",
    ],
)
def test_control_characters_are_refused(text: str) -> None:
    assert refused(text) == ("notice.zh", "INVALID_TEXT")


@pytest.mark.parametrize("text", ["a\u3000b", "a\u200db", "🍶", "e\u0301", "a\u00adb", "𠮷"])
def test_what_is_merely_unusual_is_taken(text: str) -> None:
    assert bounded(text, "f", 10) == text


@given(st.text(max_size=12), st.integers(0, 10), st.booleans())
def test_what_passes_is_bounded_and_stays_as_it_is(text: str, limit: int, required: bool) -> None:
    try:
        found = bounded(text, "f", limit, required=required)
    except InvalidArgument as error:
        reasons = [v.reason for v in error.violations]
    else:
        reasons = []
        assert bounded(found, "f", limit, required=required) == found == text.strip()
        assert len(found) <= limit
        assert "\x00" not in found
        assert found or not required
    assert set(reasons) <= {"MISSING_FIELD", "TEXT_TOO_LONG", "INVALID_TEXT"}


def test_chinese_is_required_and_english_is_not() -> None:
    assert LocalizedText(" 召回 ", " ").checked("notice") == LocalizedText("召回", "")
    for wrong, field in (
        (LocalizedText("", "Recall"), "notice.zh"),
        (LocalizedText("召回", "x" * 6), "notice.en"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            wrong.checked("notice", 5)
        assert caught.value.violations[0].field == field


def test_an_error_keeps_all_its_violations_when_it_moves_below_another_field() -> None:
    error = InvalidArgument([Violation("gtin", "INVALID_GTIN", "is none"), Violation("", "X", "y")])
    moved = error.under("events[3]")
    assert [v.field for v in moved.violations] == ["events[3].gtin", "events[3]"]
    assert [v.reason for v in moved.violations] == ["INVALID_GTIN", "X"]
    assert (moved.reason, moved.message) == ("INVALID_GTIN", "events[3].gtin: is none")
