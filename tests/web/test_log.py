"""The log as files: what C2SP tlog-tiles asks, and nothing beyond the published checkpoint."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from tests.support import stores as s
from tests.support.log import POLICY, published, sequenced
from tests.support.service import World
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.merkle import leaf_hash
from tracechain.domain.log.note import Note
from tracechain.domain.log.tiles import Bundle, Edge, Tile, bundles, tiles

FOR_EVER = "public, max-age=31536000, immutable"


async def grow(world: World, count: int) -> None:
    """Adds that many events to the log."""
    said = [s.digest(f"served {next(world.numbers)}") for _ in range(count)]
    await world.app.store.append_events(
        [s.event(one, [s.touch(s.fresh_key(), 0, 1, one)]) for one in said]
    )


@pytest.fixture
def http(world: World) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{world.http}/log", trust_env=False)


async def test_the_files_of_a_checkpoint_lead_to_its_root(
    world: World, http: httpx.AsyncClient
) -> None:
    await grow(world, 300)
    checkpoint = await published(world.app.store)
    async with http:
        answer = await http.get("/checkpoint")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert "no-cache" in answer.headers["cache-control"]
        accepted = POLICY.accept(Note.parse(answer.content)).checkpoint
        assert accepted == checkpoint
        known = {"if-none-match": answer.headers["etag"]}
        assert (await http.get("/checkpoint", headers=known)).status_code == 304
        contents: dict[Tile, bytes] = {}
        for tile in tiles(accepted.size):
            answer = await http.get(f"/{tile.path}")
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["cache-control"] == FOR_EVER
            assert "content-encoding" not in answer.headers
            contents[tile] = answer.content
        assert Edge.read(accepted.size, contents).root() == checkpoint.root
        for bundle in bundles(accepted.size):
            answer = await http.get(f"/{bundle.path}")
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["cache-control"] == FOR_EVER
            entries = bundle.entries(answer.content)
            hashes = Tile(0, bundle.index, bundle.width).hashes(
                contents[Tile(0, bundle.index, bundle.width)]
            )
            assert [leaf_hash(entry) for entry in entries] == list(hashes)
            plain = await http.get(f"/{bundle.path}", headers={"accept-encoding": "identity"})
            assert plain.content == answer.content
            assert "content-encoding" not in plain.headers
        # A partial tile whose full one is there is what it was.
        part = await http.get(f"/{Tile(0, 0, 7).path}")
        assert part.content == contents[Tile(0, 0)][: 7 * 32]
        part = await http.get(f"/{Bundle(0, 7).path}")
        assert len(Bundle(0, 7).entries(part.content)) == 7
        head = await http.head(f"/{Tile(0, 0).path}")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(256 * 32)


async def test_what_is_beyond_the_checkpoint_is_not_there(
    world: World, http: httpx.AsyncClient
) -> None:
    await grow(world, 1)
    before = await published(world.app.store)
    await grow(world, 1)
    _, head = await sequenced(world.app.store)
    assert head.size == before.size + 1
    index, width = divmod(before.size, 256)
    unpublished = (Tile(0, index, width + 1).path, Bundle(index, width + 1).path)
    async with http:
        for path in (*unpublished, Tile(0, 10**6).path, Tile(6, 0).path, Bundle(10**6).path):
            answer = await http.get(f"/{path}")
            assert (answer.status_code, answer.json()["reason"]) == (404, "TILE_NOT_FOUND")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["content-type"] == "application/problem+json"
        await published(world.app.store)
        for path in unpublished:
            assert (await http.get(f"/{path}")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0", "tile/00/000", "tile/0/x000/000", "tile/0/000.p/0", "tile/0/000.p/256",
        "tile/0/000.p/01", "tile/0/000/", "tile/0/-01", "tile/8/000", "tile/entries/0",
        "tile/entries/x000/000", "tile/%30/000", "tile/0/000%2Ep/1", "tile/", "tile//000",
        "tile/0/\u0661", "tile/entries/000.p/1/", "tile/0/999999999",
    ],
)  # fmt: skip
async def test_a_file_has_one_path(world: World, http: httpx.AsyncClient, path: str) -> None:
    async with http:
        answer = await http.get(f"/{path}")
    assert (answer.status_code, answer.json()["reason"]) == (404, "PAGE_NOT_FOUND")


async def test_files_are_only_read(world: World, http: httpx.AsyncClient) -> None:
    async with http:
        for path in ("/checkpoint", "/tile/0/000"):
            answer = await http.post(path)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_before_the_first_checkpoint_there_are_no_files(
    make_world: Callable[..., AbstractAsyncContextManager[Any]],
) -> None:
    async with make_world(client_codes_per_second=1) as world:
        client = httpx.AsyncClient(base_url=f"{world.http}/log", trust_env=False)
        async with client as http:
            answer = await http.get("/checkpoint")
            assert (answer.status_code, answer.json()["reason"]) == (404, "CHECKPOINT_NOT_FOUND")
            answer = await http.get("/tile/0/000.p/1")
            assert (answer.status_code, answer.json()["reason"]) == (404, "TILE_NOT_FOUND")
            # And no client takes more than its share.
            found = {(await http.get("/tile/0/000.p/1")).status_code for _ in range(20)}
            assert found == {404, 429}


async def test_the_bytes_are_gzip_on_the_wire(world: World, http: httpx.AsyncClient) -> None:
    await grow(world, 1)
    checkpoint: Checkpoint = await published(world.app.store)
    (last,) = list(bundles(checkpoint.size))[-1:]
    async with http, http.stream("GET", f"/{last.path}") as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert len(last.entries(gzip.decompress(raw))) == last.width
