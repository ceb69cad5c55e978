"""A log over HTTP: what servers do, well or badly, each time bounded and named."""

from __future__ import annotations

import gzip
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.log_server import Answer, LogServer, TestLog
from tracechain.adapters.log.client import HttpLog, Pace
from tracechain.domain.errors import InvalidArgument, TracechainError, Unavailable
from tracechain.domain.log.note import MAX_NOTE_BYTES
from tracechain.domain.log.tiles import Bundle, Tile

QUICK = Pace(attempts=3, timeout=30, first=0.001, most=0.002)
IMPATIENT = Pace(attempts=3, timeout=0.2, first=0.001, most=0.002)


@pytest_asyncio.fixture
async def client(log: TestLog) -> AsyncIterator[HttpLog]:
    log.numbered(300)
    async with HttpLog(log.server.url + "/", QUICK) as client:
        yield client


async def refused(client: HttpLog, path: str) -> TracechainError:
    """What asking for a path raises."""
    asking = {
        "checkpoint": client.checkpoint,
        "tile/0/000": lambda: client.tile(Tile(0, 0)),
        "tile/entries/000": lambda: client.bundle(Bundle(0)),
    }
    with pytest.raises((Unavailable, InvalidArgument)) as caught:
        await asking[path]()
    return caught.value


async def test_what_is_served(client: HttpLog, log: TestLog) -> None:
    files = log.server.files
    assert await client.checkpoint() == files["checkpoint"]
    assert await client.tile(Tile(0, 1, 44)) == files["tile/0/001.p/44"]
    assert await client.bundle(Bundle(0)) == files["tile/entries/000"]
    # Section Log entries: gzip and identity are asked for.
    assert log.server.told[-1]["accept-encoding"] == "gzip, identity"


async def test_a_full_one_stands_in_for_a_partial_one(client: HttpLog, log: TestLog) -> None:
    """Section Partial Tiles: the partial ones may be gone once the full one is there."""
    files = log.server.files
    wanted, entries = files["tile/0/001.p/44"], files["tile/entries/001.p/44"]
    log.numbered(212)
    del files["tile/0/001.p/44"], files["tile/entries/001.p/44"]
    assert await client.tile(Tile(0, 1, 44)) == wanted
    assert await client.bundle(Bundle(1, 44)) == entries
    assert log.server.asked[-2:] == ["tile/entries/001.p/44", "tile/entries/001"]


async def test_gzip_whether_asked_for_or_not(client: HttpLog, log: TestLog) -> None:
    content = log.server.files["tile/entries/000"]
    two = gzip.compress(content[:100]) + gzip.compress(content[100:])
    for packed in (gzip.compress(content), two):
        log.server.instead["tile/entries/000"] = Answer(
            packed, headers={"content-encoding": "gzip"}
        )
        assert await client.bundle(Bundle(0)) == content


BOMB = gzip.compress(bytes(32_000_000))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(BOMB, headers={"content-encoding": "gzip"}), "more than"),
        (Answer(bytes(1 + 256 * 65537)), "more than 16777472 bytes"),
        (Answer(b"\x1f\x8b no", headers={"content-encoding": "gzip"}), "is none"),
        (Answer(b"plain", headers={"content-encoding": "gzip"}), "is none"),
        (Answer(gzip.compress(b"xy")[:-3], headers={"content-encoding": "gzip"}), "cut off"),
        (Answer(b"", headers={"content-encoding": "gzip"}), "cut off"),
        (Answer(b"x", headers={"content-encoding": "br"}), "encoded as 'br'"),
    ],
)
async def test_no_bundle(client: HttpLog, log: TestLog, answer: Answer, words: str) -> None:
    log.server.instead["tile/entries/000"] = answer
    error = await refused(client, "tile/entries/000")
    assert error.reason == "MALFORMED_TILE"
    assert words in error.message
    assert log.server.asked == ["tile/entries/000"]  # asking again would not help


async def test_a_bomb_is_not_unpacked(client: HttpLog, log: TestLog) -> None:
    """32 MB of zeros in 32 kB; a tile has 8 kB."""
    log.server.instead["tile/0/000"] = Answer(BOMB, headers={"content-encoding": "gzip"})
    tracemalloc.start()
    try:
        assert "more than 8192 bytes" in (await refused(client, "tile/0/000")).message
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 32, 8191])
async def test_a_tile_that_is_cut_off(client: HttpLog, log: TestLog, length: int) -> None:
    log.server.instead["tile/0/000"] = Answer(log.server.files["tile/0/000"][:length])
    error = await refused(client, "tile/0/000")
    assert error.reason == "MALFORMED_TILE"
    assert f"has {length} bytes, not 8192" in error.message


async def test_a_checkpoint_that_is_too_long(client: HttpLog, log: TestLog) -> None:
    log.server.instead["checkpoint"] = Answer(b"x" * (MAX_NOTE_BYTES + 1))
    assert (await refused(client, "checkpoint")).reason == "MALFORMED_NOTE"


@pytest.mark.parametrize(
    ("answer", "times", "words"),
    [
        (Answer(b"", 500), 3, "status 500, 3 times"),
        (Answer(b"", 503), 3, "status 503"),
        (Answer(b"", 429), 3, "status 429"),
        (Answer(b"cut off here", cut=True), 3, "3 times"),
        (Answer(b"", 404), 1, "status 404"),
        (Answer(b"", 403), 1, "status 403"),
        # Whoever answers for another server is not followed.
        (Answer(b"", 302, {"location": "/tile/0/000"}), 1, "status 302"),
        (Answer(b"", 206), 1, "status 206"),
    ],
)
async def test_no_answer(
    client: HttpLog, log: TestLog, answer: Answer, times: int, words: str
) -> None:
    log.server.instead["checkpoint"] = answer
    error = await refused(client, "checkpoint")
    assert error.reason == "LOG_UNREACHABLE"
    assert error.message.startswith("checkpoint: ")
    assert words in error.message
    assert log.server.asked == ["checkpoint"] * times


@pytest.mark.parametrize("answer", [Answer(b"slow", pause=0.5), Answer(bytes(100), drip=0.02)])
async def test_a_slow_answer(server: LogServer, answer: Answer) -> None:
    """Also one that goes on, a byte at a time."""
    server.instead["checkpoint"] = answer
    async with HttpLog(server.url, IMPATIENT) as client:
        error = await refused(client, "checkpoint")
    # A machine that is slow itself sends less than it tries.
    assert (error.reason, set(server.asked) <= {"checkpoint"}) == ("LOG_UNREACHABLE", True)
    assert "3 times" in error.message


async def test_what_passes_is_waited_for(server: LogServer) -> None:
    answers = [Answer(b"", 503), Answer(b"half", cut=True), Answer(b"here")]
    server.answer = lambda _: answers.pop(0)  # type: ignore[method-assign]
    try:
        async with HttpLog(server.url, QUICK) as client:
            assert await client.checkpoint() == b"here"
    finally:
        del server.answer


async def test_pauses_double_up_to_a_bound(server: LogServer) -> None:
    pace = Pace(attempts=5, timeout=30, first=0.02, most=0.05)
    server.instead["checkpoint"] = Answer(b"", 503)
    async with HttpLog(server.url, pace, jitter=lambda: 0.5) as client:
        start = time.perf_counter()
        await refused(client, "checkpoint")
    assert time.perf_counter() - start >= 0.02 + 0.04 + 0.05 + 0.05


@pytest.mark.parametrize(("after", "least"), [("1", 0.5), ("0", 0), ("soon", 0), ("-1", 0)])
async def test_a_server_says_when_to_come_back(server: LogServer, after: str, least: float) -> None:
    server.instead["checkpoint"] = Answer(b"", 429, {"retry-after": after})
    pace = Pace(attempts=2, timeout=30, first=0.001, most=0.001)
    async with HttpLog(server.url, pace, jitter=lambda: 0) as client:
        start = time.perf_counter()
        await refused(client, "checkpoint")
    assert time.perf_counter() - start >= least


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with HttpLog(f"http://127.0.0.1:{free.getsockname()[1]}", QUICK) as client:
            assert (await refused(client, "checkpoint")).reason == "LOG_UNREACHABLE"


@pytest.mark.parametrize(
    "url",
    [
        "", "log.example", "ftp://log.example/", "https://", "http://log.example/",
        "http://127.0.0.1.example/", "http://192.0.2.1/", "https://user@log.example/",
        "https://log.example/?a=b", "https://log.example/#x", "https://[::1", "https://a:99999/",
    ],
)  # fmt: skip
def test_no_addresses(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        HttpLog(url)
    assert caught.value.reason == "INVALID_LOG_URL"


@pytest.mark.parametrize(
    "url", ["https://log.example/a/b/", "http://127.0.0.1:1", "http://localhost/x", "http://[::1]/"]
)
def test_addresses(url: str) -> None:
    assert HttpLog(url).url == url.rstrip("/")
