"""The forms: PINs and reports, and those who send them from elsewhere, too often or too large."""

from __future__ import annotations

import asyncio
import io
import itertools
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.support.browsing import Phone, attribute, path_of, phone, text_of
from tests.support.service import World
from tracechain.v1 import issuance_pb2, supervision_pb2
from tracechain.web import forms

Code = issuance_pb2.Code


async def unit(world: World) -> Code:
    """A unit with its PIN."""
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    return code


async def opened(world: World, code: Code) -> tuple[Phone, dict[str, str]]:
    """A phone that looks at the unit, and the fields of the form that it is shown."""
    mine = phone(world)
    page = await mine.get(path_of(code.uri))
    fields = {name: attribute(page, name) for name in ("code", "token", "lang")}
    assert fields["code"] == code.uri
    return mine, fields


async def reporting(world: World, code: str = "") -> tuple[Phone, dict[str, str]]:
    """A phone with the form of a report open."""
    mine = phone(world)
    page = await mine.get("/report" + (f"?code={code}" if code else ""))
    fields = {name: attribute(page, name) for name in ("token", "lang")}
    return mine, {**fields, "code": code, "kind": "fake_product", "region": "210100"}


async def reports(world: World, text: str) -> list[supervision_pb2.Report]:
    """The reports of Liaoning with these words, with their photographs."""
    found = await world.liaoning.supervision.ListReports(
        supervision_pb2.ListReportsRequest(page_size=1000)
    )
    return [
        await world.liaoning.supervision.GetReport(supervision_pb2.GetReportRequest(name=one.name))
        for one in found.reports
        if one.text == text
    ]


async def test_a_pin_is_claimed_once_and_by_one_phone(world: World) -> None:
    code = await unit(world)
    mine, fields = await opened(world, code)
    page = await mine.post("/claim", {**fields, "pin": "AAAA-AAAA"})
    assert attribute(page, "data-status") == "wrong_pin"
    assert "剩余次数：4" in text_of(page)
    page = await mine.post("/claim", {**fields, "pin": code.pin.lower()})
    assert attribute(page, "data-status") == "claimed"
    assert page.headers["cache-control"] == "no-store"
    assert f'href="{path_of(code.uri)}&amp;lang=zh"' in page.text
    page = await mine.post("/claim", {**fields, "pin": code.pin})
    assert attribute(page, "data-status") == "claimed_by_you"
    other, fields = await opened(world, code)
    page = await other.post("/claim", {**fields, "pin": code.pin, "lang": "en"})
    assert attribute(page, "data-status") == "claimed_before"
    assert "somebody else claimed it before" in text_of(page)
    assert f'href="{path_of(code.uri)}&amp;lang=en"' in page.text
    assert "认领时间" in text_of(await other.get(path_of(code.uri)))


async def test_guessing_ends_and_shuts_out_nobody_else(world: World) -> None:
    code = await unit(world)
    thief, fields = await opened(world, code)
    for _ in range(5):
        await thief.post("/claim", {**fields, "pin": "AAAAAAAA"})
    page = await thief.post("/claim", {**fields, "pin": code.pin})
    assert attribute(page, "data-status") == "too_many_tries"
    owner, fields = await opened(world, code)
    page = await owner.post("/claim", {**fields, "pin": code.pin})
    assert attribute(page, "data-status") == "claimed"


FOREIGN: list[tuple[dict[str, str], str]] = [
    ({"origin": "https://evil.example"}, "FOREIGN_ORIGIN"),
    ({"origin": "null"}, "FOREIGN_ORIGIN"),
    ({"sec-fetch-site": "cross-site"}, "FOREIGN_ORIGIN"),
    ({"sec-fetch-site": "same-site"}, "FOREIGN_ORIGIN"),
    ({"cookie": ""}, "FORM_REFUSED"),
    ({"cookie": "__Host-device=AAAAAAAAAAAAAAAAAAAAAA"}, "FORM_REFUSED"),
    ({"host": "evil.example"}, "WRONG_HOST"),
]


@pytest.mark.parametrize(("headers", "reason"), FOREIGN, ids=itertools.count())
@pytest.mark.parametrize("path", ["/claim", "/report"])
async def test_a_form_from_elsewhere_is_refused(
    world: World, path: str, headers: dict[str, str], reason: str
) -> None:
    code = await unit(world)
    mine, fields = await (opened(world, code) if path == "/claim" else reporting(world))
    page = await mine.post(path, {**fields, "pin": code.pin, "text": reason}, **headers)
    assert page.status_code in (403, 421)
    assert f'data-reason="{reason}"' in page.text
    assert await reports(world, reason) == []
    mine, fields = await opened(world, code)
    page = await mine.post("/claim", {**fields, "pin": code.pin})
    assert attribute(page, "data-status") == "claimed"


async def test_a_token_is_for_one_code(world: World) -> None:
    code, other = await unit(world), await unit(world)
    mine, fields = await opened(world, code)
    page = await mine.post("/claim", {**fields, "code": other.uri, "pin": other.pin})
    assert page.status_code == 403


async def test_forms_are_taken_at_a_rate(
    make_world: Callable[..., AbstractAsyncContextManager[Any]],
) -> None:
    async with make_world(client_tries_per_hour=6, http_proxies=1) as world:
        code = await unit(world)
        mine, fields = await opened(world, code)

        async def claim(*heard: str) -> httpx.Response:
            return await mine.post(
                "/claim", {**fields, "pin": "X"}, **{"x-forwarded-for": ", ".join(heard)}
            )

        # What a client says of itself stands left of what our proxy heard.
        said = [await claim(f"10.0.0.{n}", "192.0.2.1") for n in range(3)]
        assert [page.status_code for page in said] == [200, 200, 429]
        assert int(said[2].headers["retry-after"]) > 60
        assert 'data-reason="TOO_MANY_REQUESTS"' in said[2].text
        assert (await claim("192.0.2.2")).status_code == 200


async def test_forms_about_one_code_are_taken_at_a_rate(
    make_world: Callable[..., AbstractAsyncContextManager[Any]],
) -> None:
    async with make_world(code_tries_per_hour=3, http_proxies=1) as world:
        code, other = await unit(world), await unit(world)

        async def tried(one: Code, address: str) -> int:
            mine, fields = await opened(world, one)
            heard = {"x-forwarded-for": address}
            return (await mine.post("/claim", {**fields, "pin": "X"}, **heard)).status_code

        # The first try of an address is its own; what comes after is everybody's together.
        assert [await tried(code, "192.0.2.1") for _ in range(3)] == [200, 200, 429]
        assert await tried(code, "192.0.2.2") == 200
        assert await tried(code, "192.0.2.2") == 429
        assert await tried(other, "192.0.2.1") == 200


def photo(size: tuple[int, int] = (60, 30)) -> bytes:
    """A photograph that tells where it was taken."""
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAM"
    out = io.BytesIO()
    Image.new("RGB", size, "green").save(out, "JPEG", exif=exif)
    return out.getvalue()


async def test_a_report_reaches_the_inspector_with_its_picture_alone(world: World) -> None:
    code = await unit(world)
    mine, fields = await reporting(world, code.uri)
    text = "包装\n印刷模糊 <script>alert(1)</script>"
    page = await mine.post("/report", {**fields, "text": text}, photo())
    assert "举报已收到" in text_of(page)
    assert f'href="{path_of(code.uri)}&amp;lang=zh"' in page.text
    (report,) = await reports(world, "包装 印刷模糊 <script>alert(1)</script>")
    assert report.region == "210100"
    assert report.code == code.uri
    assert report.issuer_gln == world.issuer.gln
    assert b"SECRETCAM" not in report.photo
    with Image.open(io.BytesIO(report.photo)) as kept:
        assert (kept.format, kept.size) == ("JPEG", (60, 30))
    theirs = await world.jilin.supervision.ListReports(supervision_pb2.ListReportsRequest())
    assert report.name not in [one.name for one in theirs.reports]


async def test_a_report_sent_twice_is_one(world: World) -> None:
    mine, fields = await reporting(world)
    for _ in range(3):
        page = await mine.post("/report", {**fields, "text": "twice"}, b"")
        assert page.status_code == 200
    assert len(await reports(world, "twice")) == 1
    await mine.post("/report", {**fields, "text": "another"}, b"")
    assert len(await reports(world, "another")) == 1


@pytest.mark.parametrize(
    ("change", "picture", "field"),
    [
        ({"region": "999999"}, None, "region"),
        ({"region": ""}, None, "region"),
        ({"kind": "murder"}, None, "kind"),
        ({"kind": ""}, None, "kind"),
        ({"text": "x" * 1001}, None, "text"),
        ({"text": "a\u202eb"}, None, "text"),
        ({}, b"MZ this is a program", "photo"),
        ({}, b"<svg onload=alert(1)>", "photo"),
        ({}, photo()[:400], "photo"),
    ],
    ids=itertools.count(),
)
async def test_a_report_that_is_wrong_is_given_back_with_what_was_written(
    world: World, change: dict[str, str], picture: bytes | None, field: str
) -> None:
    mine, fields = await reporting(world)
    text = change.get("text", "<b>kept</b>")
    page = await mine.post("/report", {**fields, "text": text, **change}, picture)
    assert page.status_code == 400
    (said,) = re.findall(r'role="alert"[^>]*>.*?</span>([^<]*)</p>', page.text)
    assert not re.search("[a-z]{2}", said.replace("WebP", ""))
    assert "<b>kept" not in page.text
    if field != "text":
        assert "&lt;b&gt;kept&lt;/b&gt;" in page.text
    again = {"token": attribute(page, "token"), "kind": "other", "region": "210000", "text": field}
    assert (await mine.post("/report", again)).status_code == 200


async def test_bodies_are_read_no_further_than_they_may_go(world: World) -> None:
    mine, fields = await reporting(world)
    page = await mine.post("/report", fields, b"x" * (forms.MAX_PHOTO + 200_000))
    assert page.status_code == 413
    assert 'data-reason="BODY_TOO_LARGE"' in page.text
    page = await mine.post("/claim", {"pin": "x" * 20_000})
    assert page.status_code == 413


async def test_a_body_without_a_length_is_counted_as_it_comes(world: World) -> None:
    mine, _ = await reporting(world)
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
        while sent < 4 * forms.MAX_PHOTO:
            sent += 65536
            yield b"\0" * 65536

    try:
        page = await mine.client.post(
            "/report", content=endless(),
            headers={"content-type": "multipart/form-data; boundary=x",
                     "origin": world.http, "cookie": f"__Host-device={mine.device}"},
        )  # fmt: skip
        assert page.status_code == 413
    except httpx.TransportError:
        # The connection was closed while it was still being sent to.
        pass
    assert sent < 4 * forms.MAX_PHOTO


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("", b"a=b", 415),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--", 400),
        ("multipart/form-data; boundary=x",
         b"".join(b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % n
                  for n in range(50)) + b"--x--", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(500)), 400),
        ("application/x-www-form-urlencoded", b"code=%FF%FE&token=%00", 403),
        ("application/x-www-form-urlencoded; charset=nonsense", b"code=a&token=b", 403),
    ],
    ids=itertools.count(),
)  # fmt: skip
async def test_what_is_no_form_is_said_to_be_none(
    world: World, kind: str, body: bytes, status: int
) -> None:
    mine = phone(world)
    headers = {"content-type": kind, "origin": world.http}
    for path in ("/claim", "/report"):
        page = await mine.client.post(path, content=body, headers=headers)
        assert page.status_code in (status, 400), page.text
        assert "content-security-policy" in page.headers


async def test_who_hangs_up_in_the_middle_of_a_form_harms_nobody(world: World) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", world.server.http_port)
        writer.write(
            b"POST /report HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\ncode="
        )
        await writer.drain()
        writer.close()
    assert (await phone(world).get("/report")).status_code == 200
