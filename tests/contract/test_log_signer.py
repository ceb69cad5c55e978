"""The signer: as a child of the service and behind a socket, its folder, its keys, its refusals."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import mldsa

from tests.support.histories import FORK, MAIN, ORIGIN, SHARED, SlowHeads
from tests.unit.log.trees import ed25519_key
from tracechain.adapters.kek import LocalKek
from tracechain.adapters.keys import Vault
from tracechain.adapters.log import signer_child
from tracechain.adapters.log.heads import FileHeads
from tracechain.adapters.log.http_signer import HttpSigner
from tracechain.adapters.log.keys import KeyFile, make_key
from tracechain.adapters.log.signer import ChildSigner
from tracechain.adapters.log.signer_folder import key_file, key_types, make_folder, open_folder
from tracechain.app.log.ports import Signer
from tracechain.app.log.signing import Signing
from tracechain.domain.errors import TracechainError
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import timestamp_of, verifier
from tracechain.domain.log.note import (
    Note,
    NoteSigner,
    SignatureType,
    VerifierKey,
    parse_lines,
    verify,
)
from tracechain.domain.log.witness import checkpoint_path
from tracechain.web.log_desk import signer_desk
from tracechain.web.server import HttpServer

TIME = 1_790_000_000
TYPES = [SignatureType.ED25519, SignatureType.COSIGNATURE_ML_DSA_44]


def clock() -> int:
    return TIME * 1_000_000


def child(folder: Path, vault: Vault | None = None) -> ChildSigner:
    return ChildSigner(signer_child.greeting(folder, ORIGIN, vault, "critical", "json"))


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(TracechainError) as caught:
        call()
    return caught.value.reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A signer's folder, with a key-encryption key of its own."""
    made = tmp_path / "signer"
    assert make_folder(made, ORIGIN, TYPES, None, clock)
    return made


@pytest.fixture
def signing(folder: Path) -> Signing:
    """The signer of that folder, in this process."""
    return open_folder(folder, None, clock)


@pytest_asyncio.fixture(params=["child", "unix", "loopback"])
async def signer(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Signer]:
    """Each way to a signer."""
    async with AsyncExitStack() as stack:
        if request.param == "child":
            made: ChildSigner | HttpSigner = child(folder)
        else:
            listen = f"unix:{folder}/socket" if request.param == "unix" else "127.0.0.1:0"
            server = HttpServer(
                signer_desk(open_folder(folder, None, clock)),
                listen, max_connections=8, allow_plaintext=False,
            )  # fmt: skip
            await server.start()
            stack.push_async_callback(server.stop, 1)
            made = HttpSigner(listen if request.param == "unix" else f"127.0.0.1:{server.port}")
        stack.push_async_callback(made.close)
        yield made


async def test_what_continues_is_signed_and_nothing_else(signer: Signer, folder: Path) -> None:
    keys = [VerifierKey.parse(line) for line in (await signer.keys()).decode().splitlines()]
    assert keys == key_file(folder).public()
    assert [key.type for key in keys] == TYPES
    for old, size in ((0, 0), (0, 1), (1, 7), (7, SHARED), (SHARED, 150), (150, 150)):
        answer = await signer.sign(MAIN.to_sign(old, size))
        assert answer.status == 200
        note = Note(MAIN.checkpoint(size).text, parse_lines(answer.body.decode()))
        assert verify(note, map(verifier, keys)) == note.signatures
        assert len(note.signatures) == 2
        assert timestamp_of(note.signatures[1]) >= TIME
    for body, status, said in (
        (MAIN.to_sign(SHARED, 160), 409, b"150\n"),
        (MAIN.to_sign(0, 120), 409, b"150\n"),  # an old backup of the store
        (FORK.to_sign(150, 150), 422, b""),
        (FORK.to_sign(150, 160), 422, b""),
        (MAIN.to_sign(150, 160, "other.example"), 404, b""),
        (MAIN.to_sign(150, 160)[:-1], 400, b""),
        (b"", 400, b""),
        (b"keys\n", 400, b""),
        (MAIN.to_sign(150, 160) + b"x" * 8000, None, b""),
    ):
        answer = await signer.sign(body)
        # By HTTP what is too long is not read.
        assert answer.status == status or (status is None and answer.status in (400, 413))
        assert answer.body == said or not said
        assert answer.body.endswith(b"\n")
    assert (await signer.sign(MAIN.to_sign(150, 160))).status == 200


async def test_a_child_that_died_is_started_anew_and_knows_what_was_signed(tmp_path: Path) -> None:
    """It makes its own folder, once; all its children are one signer."""
    folder = tmp_path / "data" / "log-signer"
    first, second = child(folder), child(folder)
    try:
        assert {await first.keys(), await second.keys()} == {await first.keys()}
        assert (await first.sign(MAIN.to_sign(0, 120))).status == 200
        assert first._process is not None
        os.kill(first._process.pid, 9)
        await first._process.gone
        assert (await first.sign(FORK.to_sign(0, 120))).body == b"120\n"
        assert (await second.sign(FORK.to_sign(120, 130))).status == 422
        assert (await second.sign(MAIN.to_sign(120, 130))).status == 200
        assert (await first.sign(FORK.to_sign(120, 130))).body == b"130\n"
    finally:
        await first.close()
        await second.close()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in folder.parent.iterdir()] == ["log-signer"]


async def test_two_signers_on_one_state_never_sign_two_histories(folder: Path) -> None:
    """Both are asked for both histories at once, over and over."""
    signers = [child(folder), child(folder)]
    signed: list[tuple[str, int]] = []
    known = 0

    async def ask(signer: ChildSigner, history: str, size: int) -> None:
        body = (MAIN if history == "main" else FORK).to_sign(known, size)
        if (await signer.sign(body)).status == 200:
            signed.append((history, size))

    try:
        for step in range(1, 9):
            size = SHARED + 5 * step
            await asyncio.gather(
                *(ask(one, name, size) for one in signers for name in ("main", "fork"))
            )
            known = max(size for _, size in signed)
    finally:
        for one in signers:
            await one.close()
    assert len({name for name, _ in signed}) == 1
    assert {size for _, size in signed} == set(range(SHARED + 5, SHARED + 45, 5))


def test_between_deciding_and_keeping_nobody_else_decides(folder: Path) -> None:
    keys = key_file(folder).read(None)
    signers = [Signing(keys, SlowHeads(folder), clock) for _ in range(4)]
    bodies = [history.to_sign(0, SHARED + n) for n in (10, 20) for history in (MAIN, FORK)]
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(one.sign, body) for one, body in zip(signers, bodies, strict=True)]
        answers = [one.result() for one in asked]
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]


def test_of_several_that_make_a_folder_the_first_one_stays(folder: Path, tmp_path: Path) -> None:
    before = key_file(folder).public()
    assert not make_folder(folder, ORIGIN, TYPES, None, clock)
    assert key_file(folder).public() == before
    (tmp_path / "file").touch()
    assert not make_folder(tmp_path / "file", ORIGIN, TYPES, None, clock)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "signer"]
    for name in ("", "a b", "a+b"):
        assert reason(lambda name=name: make_folder(tmp_path / "n", name, TYPES, None, clock)) == (
            "INVALID_VERIFIER_KEY"
        )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "signer"]


def lose(folder: Path) -> Iterator[tuple[str, bytes | None]]:
    """Ways in which a state is no state of the key's any more."""
    state = (folder / checkpoint_path(ORIGIN)).read_bytes()
    stranger = NoteSigner(ORIGIN, ed25519_key(9))
    text = MAIN.checkpoint(5).text
    yield "gone", None
    yield "empty", b""
    yield "half", state[: len(state) // 2]
    yield "flipped", state.replace(b"\n120\n", b"\n100\n")
    yield "another key's", Note(text, (stranger.sign(text),)).encode()
    yield "no note", b"\xff" * 100
    yield "endless", b"x" * 1_000_001


async def test_a_state_that_was_lost_is_refused_until_it_is_restored(
    folder: Path, signing: Signing
) -> None:
    assert signing.sign(MAIN.to_sign(0, 110)).status == 200
    older = (folder / checkpoint_path(ORIGIN)).read_bytes()
    assert signing.sign(MAIN.to_sign(110, 120)).status == 200
    path = folder / checkpoint_path(ORIGIN)
    state = path.read_bytes()
    for how, content in lose(folder):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        for body in (MAIN.to_sign(120, 130), FORK.to_sign(0, 130)):
            assert reason(lambda body=body: signing.sign(body)) == "LOG_STATE_LOST", how
    with pytest.raises(TracechainError) as caught:
        await child(folder).sign(MAIN.to_sign(120, 130))
    assert caught.value.reason == "LOG_SIGNER_UNAVAILABLE"
    assert "LOG_STATE_LOST" in caught.value.message
    # Restored by hand, from what the log or a witness has published.
    stranger = NoteSigner(ORIGIN, ed25519_key(9))
    text = MAIN.checkpoint(120).text
    foreign = Note(text, (stranger.sign(text),))
    assert reason(lambda: signing.adopt(foreign)) == "NOT_SIGNED"
    assert signing.adopt(Note.parse(state)) == MAIN.checkpoint(120)
    assert reason(lambda: signing.adopt(Note.parse(older))) == "LOG_ROLLED_BACK"
    assert signing.sign(FORK.to_sign(120, 130)).status == 422
    assert signing.sign(MAIN.to_sign(120, 130)).status == 200


def test_a_folder_that_is_gone_or_full_signs_nothing(folder: Path, signing: Signing) -> None:
    moved = folder.rename(folder.with_name("moved"))
    assert reason(lambda: signing.sign(MAIN.to_sign(0, 5))) == "LOG_STATE_LOST"
    moved.rename(folder)
    path = folder / checkpoint_path(ORIGIN)
    kept = path.read_bytes()
    path.unlink()
    path.mkdir()
    assert reason(lambda: signing.sign(MAIN.to_sign(0, 5))) == "LOG_STATE_UNAVAILABLE"
    path.rmdir()
    path.write_bytes(kept)
    assert signing.sign(MAIN.to_sign(0, 5)).status == 200


def test_keys_lie_wrapped_and_are_wrapped_anew_under_another_kek(tmp_path: Path) -> None:
    old, new = LocalKek(b"o" * 32), LocalKek(b"n" * 32)
    file = KeyFile(tmp_path / "key")
    keys = [make_key(ORIGIN, type_) for type_ in TYPES]
    file.write(keys, Vault(old))
    content = file.path.read_bytes()
    assert file.path.stat().st_mode & 0o777 == 0o600
    for key in keys:
        assert base64.b64encode(key.private_key.private_bytes_raw()) not in content
    assert [key.key for key in file.read(Vault(old))] == [key.key for key in keys]
    assert file.path.read_bytes() == content
    assert reason(lambda: file.read(Vault(new))) == "KEY_UNREADABLE"
    assert [key.key for key in file.read(Vault(new, [old]))] == file.public()
    assert [key.key for key in file.read(Vault(new))] == file.public()
    assert reason(lambda: file.read(Vault(old))) == "KEY_UNREADABLE"
    assert reason(lambda: file.read(None)) == "KEK_MISSING"
    # One was configured after the keys were made: it takes over.
    file.write(keys, None)
    own = file.path.with_name("key.kek")
    assert own.stat().st_mode & 0o777 == 0o600
    assert [key.key for key in file.read(None)] == file.public()
    assert [key.key for key in file.read(Vault(new))] == file.public()
    own.unlink()
    assert [key.key for key in file.read(Vault(new))] == file.public()


def test_key_files_that_are_none(tmp_path: Path) -> None:
    file, vault = KeyFile(tmp_path / "key"), Vault(LocalKek(b"k" * 32))
    assert reason(file.public) == "LOG_KEY_MISSING"
    one, other = make_key(ORIGIN, TYPES[0]), make_key("other.example", TYPES[0])
    file.write([one], vault)
    entry = json.loads(file.path.read_bytes())["keys"][0]
    file.write([other], vault)
    strange = json.loads(file.path.read_bytes())["keys"][0]
    for content in (
        "", "{", "[]", "1", '{"version": 1}', '{"version": 1, "keys": []}',
        json.dumps({"version": 2, "keys": [entry]}),
        json.dumps({"version": 1, "keys": [{**entry, "vkey": "x"}]}),
        json.dumps({"version": 1, "keys": [{**entry, "wrapped": "?"}]}),
        json.dumps({"version": 1, "keys": [entry, strange]}),
    ):  # fmt: skip
        file.path.write_text(content)
        assert reason(file.public) == "LOG_KEY_UNREADABLE", content
    # Another key under this one's name: what is wrapped is bound to its verifier key.
    moved = {**entry, "wrapped": strange["wrapped"]}
    file.path.write_text(json.dumps({"version": 1, "keys": [moved]}))
    assert reason(lambda: file.read(vault)) == "KEY_UNREADABLE"


def test_without_ml_dsa_a_log_has_the_other_key_and_says_so(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert [kind.value for kind in key_types(cosignature=True)] == [4, 6]
    monkeypatch.delattr("cryptography.hazmat.primitives.asymmetric.mldsa")
    monkeypatch.setitem(sys.modules, mldsa.__name__, None)
    assert key_types(cosignature=False) == [SignatureType.ED25519]
    assert reason(lambda: make_key(ORIGIN, TYPES[1])) == "UNSUPPORTED_ALGORITHM"
    # Keys of both types made elsewhere are not used by half.
    assert reason(lambda: open_folder(folder, None, clock)) == "UNSUPPORTED_ALGORITHM"


async def test_a_signer_that_is_not_there(tmp_path: Path) -> None:
    for address in ("192.0.2.1:80", "signer.example:80", "10.0.0.1"):
        assert reason(lambda address=address: HttpSigner(address)) == "SETTING_INVALID"
    for address in (f"unix:{tmp_path}/none", "127.0.0.1:1"):
        gone = HttpSigner(address)
        with pytest.raises(TracechainError) as caught:
            await gone.keys()
        assert caught.value.reason == "LOG_SIGNER_UNAVAILABLE"
        await gone.close()


def test_the_state_is_laid_out_as_others_do() -> None:
    """Sunlight's recorded witness keeps and serves its notes in the same place and form."""
    heads = FileHeads(Path(__file__).parents[1] / "data" / "sunlight" / "witness")
    note = heads.latest("rome2026h1.example.org")
    assert note is not None
    (vkey,) = json.loads((heads._folder / "witness.v0.json").read_text())["verifier_keys"]
    assert verify(note, [verifier(VerifierKey.parse(vkey))])
    assert Checkpoint.parse(note.text).size == 300
