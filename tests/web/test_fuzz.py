"""Whatever is asked for: never a 500, never a word of our inside, always under the policy."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.browsing import path_of, phone
from tests.support.service import World
from tracechain.web.headers import POLICY

ALPHABET = st.text(
    st.sampled_from("01/2349AZaz%&=?;+-_.~ \"'<>{}()[]\\\x00\x7f\u202e中\U0001f376"), max_size=40
)
PIECES = st.sampled_from(
    ["/01/", "/21/", "/10/", "/22/", "/00/", "/414/", "/254/", "?91=", "&linkType=", "linkset",
     "gs1:pip", "&lang=en", "%2F", "%00", "%FF", "06901234000016", "6901234000023", "/scan?code=",
     "/report?code=", "/recalls.json?page=", "/static/", "..", "//", "/.well-known/jwks.json"]
)  # fmt: skip
PATHS = st.lists(st.one_of(PIECES, ALPHABET), max_size=8).map("".join)
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "accept-language", "cookie", "origin", "if-none-match", "range",
                     "user-agent", "x-forwarded-for", "sec-fetch-site", "content-type", "purpose",
                     "expect", "transfer-encoding", "te", "content-length"]),
    st.one_of(
        st.sampled_from(["*/*", "text/html", "application/json", "application/linkset+json", "en",
                         "zh;q=0.1,en;q=0.2", "*", "q=;;,", "__Host-device=a", "null", "chunked",
                         "multipart/form-data; boundary=", "100-continue", "-1", "bytes=0-"]),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40),
    ),
    max_size=4,
)  # fmt: skip


async def answer(world: World, request: bytes) -> bytes:
    """What the server says to bytes; it is asked to close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.server.http_port)
    writer.write(request)
    if writer.can_write_eof():
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def check(said: bytes) -> None:
    """An answer, or none where the connection was closed on half a request."""
    if not said:
        return
    assert said.startswith(b"HTTP/1.1 ")
    status = int(said.split(b" ", 2)[1])
    assert status < 500 or status == 503, said
    head = said.partition(b"\r\n\r\n")[0].decode("latin-1")
    assert f"content-security-policy: {POLICY}" in head
    for word in (b"Traceback", b'File "', b"site-packages", b"object at 0x", b"sqlite3"):
        assert word not in said


@pytest.fixture(scope="module")
def requests() -> st.SearchStrategy[tuple[str, str, dict[str, str]]]:
    """Methods, paths and headers."""
    methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"])
    return st.tuples(methods, PATHS, HEADERS)


@settings(max_examples=25)
@given(data=st.data())
async def test_any_request_is_answered_in_order(
    world: World, requests: st.SearchStrategy[tuple[str, str, dict[str, str]]], data: st.DataObject
) -> None:
    asked = data.draw(st.lists(requests, min_size=8, max_size=8))
    texts = []
    for method, path, headers in asked:
        first = [f"{method} /{quote(path, safe=_RAW)} HTTP/1.1", "Host: 127.0.0.1"]
        lines = [*first, "Connection: close", *map(": ".join, headers.items()), "", ""]
        texts.append("\r\n".join(lines).encode("latin-1"))
    for said in await asyncio.gather(*(answer(world, text) for text in texts)):
        check(said)


_RAW = "%/?&=;+:@!$'()*,-._~[]{}<>\"\\|^`#"


@settings(max_examples=25)
@given(junk=st.lists(st.binary(max_size=200), min_size=5, max_size=5))
async def test_bytes_that_are_no_request(world: World, junk: list[bytes]) -> None:
    for said in await asyncio.gather(*(answer(world, b"GET /" + one) for one in junk)):
        check(said)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def genuine(world: World) -> str:
    """The path of a genuine code."""
    lot = await world.lot()
    (code,) = await lot.issue(1)
    return path_of(code.uri)


@settings(max_examples=25)
@given(
    places=st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from('0Aa_-%/?&="<\u00e9 ')), max_size=4
    )
)
async def test_a_code_with_anything_changed_is_never_genuine(
    world: World, genuine: str, places: list[tuple[int, str]]
) -> None:
    changed = list(genuine)
    for place, character in places:
        changed[place % len(changed)] = character
    text = "".join(changed)
    page = await phone(world).get("/" + quote(text.lstrip("/"), safe=_RAW.replace("#", "")))
    assert page.status_code in (200, 303, 400, 404)
    if text != genuine and 'data-outcome="genuine"' in page.text:
        # Only where the change lies beside the code, it is the same code still.
        assert f"/21/{genuine.partition('/21/')[2]}"[:18] in page.text
