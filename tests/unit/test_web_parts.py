"""Negotiation, tokens of forms, the table of errors, photographs, the map."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tracechain.adapters.photos import MAX_PIXELS, clean
from tracechain.domain import errors, wording
from tracechain.domain.errors import InvalidArgument, PermissionDenied
from tracechain.domain.region import divisions
from tracechain.domain.verdict import VerdictReason
from tracechain.v1 import errors_pb2
from tracechain.web import problems
from tracechain.web.guard import LIFETIME_SECONDS, FormTokens
from tracechain.web.negotiation import language, media_type
from tracechain.web.region_map import draw

OFFERS = ("text/html", "application/json", "application/linkset+json")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "best"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        (BROWSER, "text/html"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("application/json;q=0.5, text/html;q=0.4", "application/json"),
        ("application/linkset+json, application/json;q=0.9", "application/linkset+json"),
        ("text/html;q=0, */*;q=0.1", "application/json"),
        ("TEXT/HTML;Q=1", "text/html"),
        ("image/png", ""),
        ("application/json;q=2", "text/html"),
        ("application/json;q=x, text/html;q=0.1", "text/html"),
    ],
)
def test_media_types_are_weighed(accept: str, best: str) -> None:
    assert media_type(accept, OFFERS) == best


@pytest.mark.parametrize(
    ("accept", "best"),
    [("", "zh"), ("en", "en"), ("en-GB,en;q=0.9", "en"), ("zh-CN,en;q=0.9", "zh"),
     ("en;q=0.5,zh;q=0.9", "zh"), ("fr", "zh"), ("fr,en;q=0.1", "en"), ("*", "zh"),
     ("en;q=0", "zh")],
)  # fmt: skip
def test_languages_are_weighed_and_chinese_is_the_default(accept: str, best: str) -> None:
    assert language(accept) == best


@given(st.text(max_size=60))
def test_no_header_makes_an_error(header: str) -> None:
    assert media_type(header, OFFERS) in ("", *OFFERS)
    assert language(header) in ("zh", "en")


def test_every_error_and_every_reason_has_a_status() -> None:
    kinds = [
        kind for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TracechainError)
    ]  # fmt: skip
    assert set(kinds) - {errors.TracechainError} == set(problems.STATUS)
    known = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert set(problems.OWN_STATUS) <= known
    for status in {*problems.STATUS.values(), *problems.OWN_STATUS.values()}:
        assert problems._TITLES[status]


def test_every_reason_of_a_verdict_has_words_and_advice() -> None:
    for reason in VerdictReason:
        for text in (wording.words(reason), *wording.advice([reason])):
            assert text.zh
            assert text.en


class Watch:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> int:
        return int(self.seconds * 1_000_000)


def test_a_form_token_is_good_for_its_device_its_subject_and_its_time() -> None:
    watch = Watch()
    tokens = FormTokens(b"k" * 32, watch)
    token = tokens.make("device", "code")
    assert tokens.check(token, "device", "code") == int(watch.seconds)
    wrong = [
        (token, "another", "code"), (token, "device", "other"), (token, "", "code"),
        (token[:-1], "device", "code"), (token + "A", "device", "code"), ("", "device", "code"),
        ("é" * 27, "device", "code"), ("A" * 27, "device", "code"),
    ]  # fmt: skip
    for given_, device, subject in wrong:
        with pytest.raises(PermissionDenied):
            tokens.check(given_, device, subject)
    with pytest.raises(PermissionDenied):
        FormTokens(b"x" * 32, watch).check(token, "device", "code")
    watch.seconds += LIFETIME_SECONDS
    tokens.check(token, "device", "code")
    watch.seconds += 1
    with pytest.raises(PermissionDenied):
        tokens.check(token, "device", "code")


def picture(kind: str, size: tuple[int, int] = (80, 40), **options: object) -> bytes:
    """A picture with a red left half."""
    canvas = Image.new("RGB", size, "blue")
    canvas.paste("red", (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    canvas.save(out, kind, **options)
    return out.getvalue()


def test_a_photograph_keeps_its_pixels_and_nothing_else() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "SECRETCAM", 6  # the maker, and: turn by 90 degrees
    exif.get_ifd(0x8825)[1] = "N"
    info = PngInfo()
    info.add_text("Comment", "SECRETCAM")
    for data in (
        picture("JPEG", exif=exif, comment=b"SECRETCAM", icc_profile=b"SECRETCAM" * 20),
        picture("PNG", pnginfo=info, exif=exif),
        picture("WEBP", exif=exif, xmp=b"SECRETCAM"),
    ):
        assert b"SECRETCAM" in data
        cleaned = clean(data)
        assert b"SECRETCAM" not in cleaned
        with Image.open(io.BytesIO(cleaned)) as kept:
            assert kept.format == "JPEG"
            assert not kept.getexif()
            # The turn was carried out: the red half is at the top now.
            assert kept.size == (40, 80)
            red, _, blue = kept.getpixel((20, 5))  # type: ignore[misc]
            assert red > 200 > 60 > blue


def test_a_large_photograph_is_made_smaller() -> None:
    with Image.open(io.BytesIO(clean(picture("JPEG", (3000, 1000))))) as kept:
        assert kept.size == (1600, 533)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "INVALID_PHOTO"),
        (b"MZ\x90\x00" * 100, "INVALID_PHOTO"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "INVALID_PHOTO"),
        (picture("GIF"), "INVALID_PHOTO"),
        (picture("TIFF"), "INVALID_PHOTO"),
        (picture("JPEG", (400, 400))[:900], "INVALID_PHOTO"),
        (picture("PNG")[:-30], "INVALID_PHOTO"),
        (picture("PNG", (MAX_PIXELS // 1000 + 1, 1000)), "PHOTO_TOO_LARGE"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_photograph_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        clean(data)
    assert refused.value.reason == reason


def test_the_map_draws_every_division_there_is_a_name_for() -> None:
    assert draw([], "zh") == ""
    for code, name in divisions("zh"):
        svg = draw([code], "zh")
        assert svg.count('class="stop"') == 1
        assert f'aria-label="示意图：{name}"' in svg
    way = draw(["210100", "210200", "440000", "210100"], "en")
    assert way.count('class="stop"') == 3
    assert "Dalian, Liaoning" in way
    assert "style=" not in way
