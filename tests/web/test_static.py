"""Files of the package over HTTP: for ever under their version, compressed for who takes it."""

from __future__ import annotations

import gzip

import httpx
import pytest
import pytest_asyncio

from tests.support.service import World


@pytest_asyncio.fixture(loop_scope="session")
async def version(browser: httpx.AsyncClient) -> str:
    index = (await browser.get("/static/index.json")).json()
    assert "code.js" in index["files"]
    return str(index["version"])


async def test_a_file_is_kept_for_ever_under_its_version_and_asked_for_again_without(
    browser: httpx.AsyncClient, version: str
) -> None:
    kept = await browser.get(f"/static/{version}/code.js")
    again = await browser.get("/static/code.js")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert again.headers["cache-control"] == "public, no-cache"
    assert kept.headers["content-type"] == "text/javascript; charset=utf-8"
    assert kept.text == again.text
    same = await browser.get("/static/code.js", headers={"if-none-match": again.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == again.headers["etag"]
    for path in (f"/static/{version}/none.js", "/static/old/code.js", "/static/../pages.py"):
        assert (await browser.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.00", False),
        ("identity", False),
        ("", False),
    ],
)
async def test_a_text_is_compressed_for_who_takes_it(
    world: World, version: str, accepted: str, packed: bool
) -> None:
    async with httpx.AsyncClient(base_url=world.http) as plain:
        headers = {"accept-encoding": accepted}
        async with plain.stream("GET", f"/static/{version}/code.js", headers=headers) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["vary"] == "Accept-Encoding"
    assert ("content-encoding" in answer.headers) == packed
    assert answer.headers["etag"].endswith('-gzip"') == packed
    text = gzip.decompress(raw) if packed else raw
    assert text.startswith(b"// The code's one spelling")


async def test_a_picture_is_sent_as_it_is(browser: httpx.AsyncClient, version: str) -> None:
    answer = await browser.get(f"/static/{version}/icon-192.png")
    assert "content-encoding" not in answer.headers
    assert answer.content.startswith(b"\x89PNG")


async def test_the_worker_knows_its_release(browser: httpx.AsyncClient, version: str) -> None:
    answer = await browser.get("/sw.js")
    assert answer.text.startswith(f'const STATIC = "/static/{version}/";\n')
    assert answer.headers["cache-control"] == "public, no-cache"
    assert answer.headers["content-type"].startswith("text/javascript")
