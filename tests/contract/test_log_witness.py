"""The witness over HTTP: each request has the one answer of tlog-witness; monitors; bounds."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import mldsa

from tests.support.histories import FORK, MAIN, ORIGIN, SHARED, SlowHeads
from tests.unit.log.trees import ed25519_key
from tracechain.app.log.witnessing import Witnessing
from tracechain.domain.errors import DataCorrupted
from tracechain.domain.log.checkpoint import Checkpoint, verify_checkpoint
from tracechain.domain.log.cosignature import Cosigner, timestamp_of, verifier
from tracechain.domain.log.merkle import EMPTY_ROOT
from tracechain.domain.log.note import Note, NoteSigner, Signature
from tracechain.domain.log.witness import (
    MAX_REQUEST_BYTES,
    SIZE_TYPE,
    AddCheckpoint,
    checkpoint_path,
    cosigned,
)
from tracechain.web.log_desk import witness_desk
from tracechain.web.server import HttpServer

TIME = 1_790_000_000
LOG = NoteSigner(ORIGIN, ed25519_key(1))
STRANGER = NoteSigner(ORIGIN, ed25519_key(3))
OTHER = NoteSigner("other.example", ed25519_key(4))
KEYS = [
    Cosigner("w.example/1", ed25519_key(2)),
    Cosigner("w.example/1", mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32))),
]
FALSE = Signature(ORIGIN, LOG.key.key_id, bytes(64))


def witnessing(folder: Path) -> Witnessing:
    logs = {ORIGIN: [LOG.key], OTHER.name: [OTHER.key]}
    return Witnessing(KEYS, logs, SlowHeads(folder), lambda: TIME * 1_000_000)


@pytest_asyncio.fixture
async def witness(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a witness that listens, and cosigned nothing yet."""
    server = HttpServer(
        witness_desk(witnessing(tmp_path), [ORIGIN, OTHER.name]), "127.0.0.1:0",
        max_connections=64, allow_plaintext=False,
    )  # fmt: skip
    await server.start()
    base = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        yield client
    await server.stop(1)


async def add(witness: httpx.AsyncClient, body: bytes) -> httpx.Response:
    return await witness.post("/add-checkpoint", content=body)


def asking(old: int, checkpoint: Checkpoint, *signatures: Signature) -> bytes:
    return AddCheckpoint(old, (), Note(checkpoint.text, signatures)).encode()


async def test_a_log_is_followed_and_monitors_see_it(witness: httpx.AsyncClient) -> None:
    place = f"/{checkpoint_path(ORIGIN)}"
    assert (await witness.get(place)).status_code == 404
    for old, size in ((0, 0), (0, 3), (3, 3), (3, SHARED), (SHARED, 170)):
        body = MAIN.to_cosign(old, size, LOG)
        answer = await add(witness, body)
        assert answer.status_code == 200
        note = cosigned(AddCheckpoint.parse(body).note, answer.content, [key.key for key in KEYS])
        assert [timestamp_of(one) for one in note.signatures[1:]] == [TIME, TIME]
        served = await witness.get(place)
        assert served.status_code == 200
        assert served.content == note.encode()
        assert verify_checkpoint(Note.parse(served.content), [verifier(LOG.key)]).size == size
        assert (await witness.head(place)).status_code == 200
    assert (await witness.get(f"/{checkpoint_path(OTHER.name)}")).status_code == 404
    assert (await witness.get(f"/{checkpoint_path('unknown')}")).status_code == 404


async def test_what_is_asked_over_and_over_is_written_once_a_second(tmp_path: Path) -> None:
    """Anybody can send a checkpoint again that he found published."""
    seconds = iter([TIME, TIME, TIME, TIME + 1, TIME + 1])
    one = Witnessing(
        KEYS, {ORIGIN: [LOG.key]}, SlowHeads(tmp_path), lambda: next(seconds) * 1_000_000
    )
    path = tmp_path / checkpoint_path(ORIGIN)
    answers, written = [one.add_checkpoint(MAIN.to_cosign(0, 7, LOG))], [path.stat().st_mtime_ns]
    for _ in range(4):
        answers.append(one.add_checkpoint(MAIN.to_cosign(7, 7, LOG)))
        written.append(path.stat().st_mtime_ns)
    assert {answer.status for answer in answers} == {200}
    assert [b == a for a, b in pairwise(answers)] == [True, True, False, True]
    assert [b == a for a, b in pairwise(written)] == [True, True, False, True]
    for answer in answers:
        note = AddCheckpoint.parse(MAIN.to_cosign(7, 7, LOG)).note
        assert len(cosigned(note, answer.body, [key.key for key in KEYS]).signatures) == 3


async def test_strangers_signatures_are_neither_needed_nor_handed_on(
    witness: httpx.AsyncClient,
) -> None:
    body = MAIN.to_cosign(0, 5, STRANGER, LOG)
    assert (await add(witness, body)).status_code == 200
    kept = Note.parse((await witness.get(f"/{checkpoint_path(ORIGIN)}")).content)
    assert [one.key_id for one in kept.signatures] == [
        key.key.key_id for key in (LOG, *KEYS)
    ]  # fmt: skip


async def test_the_answers_of_the_text(witness: httpx.AsyncClient) -> None:
    assert (await add(witness, MAIN.to_cosign(0, 120, LOG))).status_code == 200
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    text = MAIN.checkpoint(130)
    for status, body in (
        (400, b""),
        (400, b"old 0\n\n"),
        (400, MAIN.to_cosign(120, 130, LOG)[:-1]),
        (400, asking(120, empty, LOG.sign(empty.text))),
        (403, MAIN.to_cosign(120, 130, STRANGER)),
        (403, asking(120, text, FALSE)),
        (403, asking(120, text, LOG.sign(text.text), FALSE)),
        (404, MAIN.to_cosign(120, 130, NoteSigner("unknown.example", ed25519_key(1)))),
        (409, MAIN.to_cosign(0, 130, LOG)),
        (409, MAIN.to_cosign(125, 130, LOG)),
        (409, MAIN.to_cosign(50, 110, LOG)),  # the log was rolled back
        (422, FORK.to_cosign(120, 130, LOG)),
        (422, FORK.to_cosign(120, 120, LOG)),
        (422, asking(120, text, LOG.sign(text.text))),
    ):
        answer = await add(witness, body)
        assert answer.status_code == status
        assert answer.headers["content-type"] == (
            SIZE_TYPE if status == 409 else "text/plain; charset=utf-8"
        )
        assert answer.text == "120\n" or status != 409
        assert answer.text.endswith("\n")
    # Of the other log nothing was known: what one log asks changes nothing of another's.
    assert (await add(witness, MAIN.to_cosign(0, 7, OTHER))).status_code == 200
    assert (await add(witness, MAIN.to_cosign(120, 130, LOG))).status_code == 200


async def test_bounds(witness: httpx.AsyncClient) -> None:
    answer = await add(witness, b"x" * (MAX_REQUEST_BYTES + 1))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"old 0\n" * 10_000

    with suppress(httpx.TransportError):  # it was closed while we wrote
        assert (await witness.post("/add-checkpoint", content=endless())).status_code == 413
    for method, path, status in (
        ("GET", "/add-checkpoint", 405),
        ("PUT", "/add-checkpoint", 405),
        ("POST", f"/{checkpoint_path(ORIGIN)}", 405),
        ("GET", "/", 404),
        ("POST", "/sign-subtree", 404),
        ("GET", f"/{checkpoint_path(ORIGIN)}/", 404),
        ("GET", f"/{checkpoint_path(ORIGIN).upper()}", 404),
    ):
        assert (await witness.request(method, path)).status_code == status
    assert (await add(witness, MAIN.to_cosign(0, 5, LOG))).status_code == 200


async def test_all_at_once_is_one_history(witness: httpx.AsyncClient) -> None:
    """The race of the text: of two that ask from one size, the later may not roll back. What is
    decided is decided long before it is kept."""
    assert (await add(witness, MAIN.to_cosign(0, SHARED, LOG))).status_code == 200
    asked = [
        (history.name, SHARED + more, history.to_cosign(SHARED, SHARED + more, LOG))
        for more in range(1, 7)
        for history in (MAIN, FORK)
    ]
    answers = await asyncio.gather(*(add(witness, body) for _, _, body in asked))
    won = [one for one, answer in zip(asked, answers, strict=True) if answer.status_code == 200]
    assert len(won) == 1
    kept = Note.parse((await witness.get(f"/{checkpoint_path(ORIGIN)}")).content)
    assert Checkpoint.parse(kept.text).size == won[0][1]
    assert all(answer.text == f"{won[0][1]}\n" for answer in answers if answer.status_code == 409)
    assert {answer.status_code for answer in answers} == {200, 409}


def test_who_was_decided_on_before_another_was_kept_is_decided_on_again(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=60)

    class MeetingHeads(SlowHeads):
        def held(self, origin: str) -> AbstractContextManager[None]:
            meeting.wait()  # both have looked, and both may cosign
            return super().held(origin)

    assert witnessing(tmp_path).add_checkpoint(MAIN.to_cosign(0, SHARED, LOG)).status == 200
    both = Witnessing(KEYS, {ORIGIN: [LOG.key]}, MeetingHeads(tmp_path), lambda: TIME * 1_000_000)
    bodies = (MAIN.to_cosign(SHARED, 110, LOG), FORK.to_cosign(SHARED, 120, LOG))
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(both.add_checkpoint, bodies))
    assert sorted(answer.status for answer in answers) == [200, 409]


async def test_a_state_that_is_not_its_own_cosigns_nothing(
    witness: httpx.AsyncClient, tmp_path: Path
) -> None:
    assert (await add(witness, MAIN.to_cosign(0, 120, LOG))).status_code == 200
    path = tmp_path / checkpoint_path(ORIGIN)
    good = path.read_bytes()
    (tmp_path / checkpoint_path(OTHER.name)).parent.mkdir()
    other = tmp_path / checkpoint_path(OTHER.name)
    for file, content in (
        (path, good[: len(good) // 2]),
        (path, b""),
        (path, good.replace(b"\n120\n", b"\n100\n")),
        (path, MAIN.to_cosign(0, 90, LOG).partition(b"\n\n")[2]),
        (other, good),
    ):
        file.write_bytes(content)
        log = LOG if file == path else OTHER
        answer = await add(witness, MAIN.to_cosign(0, 130, log))
        assert answer.status_code == 500
        assert answer.text.startswith("LOG_STATE_LOST")
        with pytest.raises(DataCorrupted):
            witnessing(tmp_path).check()
        file.write_bytes(good)
    other.unlink()
    witnessing(tmp_path).check()
    assert (await add(witness, MAIN.to_cosign(120, 130, LOG))).status_code == 200
    shutil.rmtree(tmp_path)  # of which a new one would know nothing
    assert (await add(witness, MAIN.to_cosign(0, 130, LOG))).status_code == 500
