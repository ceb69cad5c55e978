"""A mirror has the log to the byte, or nothing new: whatever the server does, whenever it dies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.log_server import (
    ORIGIN,
    WITNESSES,
    Answer,
    LogServer,
    TestLog,
    key_of,
    policy_of,
    signed_checkpoint,
)
from tests.support.mirrored import assert_whole, kept
from tracechain.adapters.log.client import HttpLog, Pace
from tracechain.adapters.log.mirror_folder import MirrorFolder
from tracechain.app.log.following import of_one_log
from tracechain.app.log.mirroring import Mirror, Mirrored
from tracechain.domain.errors import FailedPrecondition, InvalidArgument, TracechainError
from tracechain.domain.log.canonical import base64
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.fork import Fork
from tracechain.domain.log.merkle import EMPTY_ROOT
from tracechain.domain.log.note import Note, NoteSigner, VerifierKey
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.tiles import bundles, tiles

DATA = Path(__file__).parents[1] / "data"
TESSERA = DATA / "tessera" / "log"
# In testdata/build_log.sh there.
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
RFC6962 = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243")]
SUNLIGHT = DATA / "sunlight" / "witness" / "mirror" / (
    "000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706"
)  # fmt: skip
SUNLIGHT_KEY = "mirror.example.org+3fb148ef+BAAjjch9GyYz0sJsJx7ALhbdAtz2ov0unbzSl1vMp94O"
QUICK = Pace(attempts=2, timeout=30, first=0.001, most=0.001)


async def mirror(
    server: LogServer, folder: Path, policy: bytes = b"", *, whole: bool = False
) -> Mirrored:
    """A mirror as if it had just been started, once."""
    trusted = of_one_log(Policy.parse(policy or policy_of()), server.url)
    copy = MirrorFolder(folder)
    with copy.held():
        async with HttpLog(server.url, QUICK) as log:
            return await Mirror(log, copy, trusted).advance(whole=whole)


async def refused(server: LogServer, folder: Path, policy: bytes = b"") -> TracechainError:
    """Why a mirror does not go on. What it had, it has."""
    before = kept(folder)
    with pytest.raises(TracechainError) as caught:
        await mirror(server, folder, policy)
    after = kept(folder)
    assert {path: after.get(path) for path in before} == before
    assert_whole(folder)
    return caught.value


# --- logs of others


async def test_a_recorded_log_from_its_first_entry_on(server: LogServer, tmp_path: Path) -> None:
    """tessera's log, each of whose checkpoints was recorded: at each the mirror has it all."""
    policy = f"log {TESSERA_KEY}\nquorum none\n".encode()
    for path in TESSERA.rglob("tile/**/*"):
        if path.is_file():
            server.files[str(path.relative_to(TESSERA))] = path.read_bytes()
    for size in range(16):
        server.files["checkpoint"] = (TESSERA / f"checkpoint.{size}").read_bytes()
        found = await mirror(server, tmp_path, policy)
        assert (found.checkpoint.size, found.entries) == (size, min(size, 1))
        assert_whole(tmp_path)
    assert kept(tmp_path) == server.files
    server.asked.clear()
    await mirror(server, tmp_path, policy)
    assert server.asked == ["checkpoint"]  # nothing new, so nothing else is asked for


async def test_of_a_recorded_tree_whose_entries_are_none(server: LogServer, tmp_path: Path) -> None:
    """sunlight's mirror: its tiles lead to the root that it cosigned; in the place of entries there
    stands what is none. Its recorded checkpoint has no signature of the log, so the test signs."""
    recorded = Note.parse((SUNLIGHT / "checkpoint").read_bytes())
    origin = Checkpoint.parse(recorded.text).origin
    signer = NoteSigner(origin, key_of(9))
    policy = f"log {signer.key}\nwitness m {SUNLIGHT_KEY}\nquorum m\n".encode()
    for path in SUNLIGHT.rglob("tile/**/*"):
        if path.is_file():
            name = str(path.relative_to(SUNLIGHT))
            gzipped = {"content-encoding": "gzip"} if "entries" in name else {}
            server.instead[name] = Answer(path.read_bytes(), headers=gzipped)
    server.files["checkpoint"] = recorded.encode()
    assert (await refused(server, tmp_path, policy)).reason == "NOT_SIGNED"
    server.files["checkpoint"] = recorded.signed(signer.sign(recorded.text)).encode()
    error = await refused(server, tmp_path, policy)
    assert error.reason == "MALFORMED_TILE"
    assert "tile/entries/0" in error.message
    # The tiles were proved, and kept for the time when the entries come.
    assert kept(tmp_path).keys() == {t.path for t in tiles(300)}
    assert verifier(VerifierKey.parse(SUNLIGHT_KEY)).key.name == "mirror.example.org"


async def test_the_reference_tree(log: TestLog, tmp_path: Path) -> None:
    """RFC 6962's own entries, one of them empty, in growing trees."""
    for entry in RFC6962:
        log.grow(entry)
        await mirror(log.server, tmp_path)
    assert kept(tmp_path) == log.server.files


# --- growing


async def test_a_large_log_grows(log: TestLog, tmp_path: Path) -> None:
    """Over the borders of tiles at three levels; full tiles are fetched once, and never again."""
    seen = set[str]()
    for size in (0, 1, 256, 257, 65_535, 65_537, 65_800):
        log.numbered(size - len(log.entries))
        log.server.asked.clear()
        found = await mirror(log.server, tmp_path)
        assert (found.checkpoint.size, found.checkpoint.root) == (size, log.root)
        have = kept(tmp_path)
        assert have == {path: log.server.files[path] for path in have}
        assert {item.path for item in (*tiles(size), *bundles(size))} <= have.keys()
        fetched = [p for p in log.server.asked if p.startswith("tile/") and ".p/" not in p]
        again = seen.intersection(fetched)
        # A proof may ask for one again, at a border; what is kept is not asked for.
        assert len(again) <= 2
        seen.update(fetched)
    # Partial ones stay for readers with an older checkpoint, until the full one is there.
    assert {path for path in kept(tmp_path) if ".p/" in path} == {
        "tile/0/257.p/8", "tile/1/001.p/1", "tile/2/000.p/1", "tile/entries/257.p/8",
    }  # fmt: skip


async def test_a_mirror_of_a_mirror(log: TestLog, tmp_path: Path) -> None:
    """Any file server serves the folder, and to the next mirror it is the log."""
    log.numbered(700)
    await mirror(log.server, tmp_path / "first")
    log.server.files = kept(tmp_path / "first")
    await mirror(log.server, tmp_path / "second")
    assert kept(tmp_path / "second") == kept(tmp_path / "first") == log.server.files


async def test_cosignatures_that_come_later_are_kept(log: TestLog, tmp_path: Path) -> None:
    log.numbered(3)
    await mirror(log.server, tmp_path)
    log.witnesses = WITNESSES[:2]
    log.grow()
    found = await mirror(log.server, tmp_path, policy_of("some"))
    assert found.entries == 0
    assert kept(tmp_path)["checkpoint"] == log.server.files["checkpoint"]


# --- servers that garble


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


def forged(server: LogServer, path: str, at: int, bit: int) -> bytes:
    content = bytearray(server.files[path])
    content[at % len(content)] ^= 1 << bit
    return bytes(content)


FETCHED = [
    "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000",
    "tile/entries/001", "tile/entries/002.p/88", "checkpoint",
]  # fmt: skip
NAMED = {
    "checkpoint": {"MALFORMED_NOTE", "MALFORMED_CHECKPOINT", "FALSE_SIGNATURE", "NOT_SIGNED"},
    "tile/e": {"FALSE_ENTRY", "MALFORMED_TILE"},
    "tile/0": {"FALSE_TILE"},
    "tile/1": {"FALSE_TILE"},
}


@given(st.sampled_from(FETCHED), st.integers(0, 1 << 16), st.integers(0, 7), st.booleans())
@settings(max_examples=25)
async def test_one_bit_is_wrong(
    running: LogServer, shared: Path, path: str, at: int, bit: int, grown: bool
) -> None:
    """In whatever is fetched, at first or later: it is named, nothing of it is kept, and once it
    is right the mirror goes on."""
    running.empty()
    folder = shared / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    log = TestLog(running)
    if grown:
        log.numbered(3)
        await mirror(running, folder)
    log.numbered(600 - len(log.entries))
    good = running.files
    running.instead[path] = Answer(forged(running, path, at, bit))
    error = await refused(running, folder)
    assert error.reason in NAMED.get(path, NAMED.get(path[:6], set()))
    if path != "checkpoint":
        assert path in error.message
    assert {p: c for p, c in kept(folder).items() if good[p] != c} == (
        {"checkpoint": kept(folder)["checkpoint"]} if grown else {}
    )
    running.instead.clear()
    await mirror(running, folder)
    assert kept(folder) == {p: c for p, c in good.items() if p in kept(folder)}
    assert_whole(folder)


@pytest.mark.parametrize("path", FETCHED[:-1])
async def test_one_is_cut_off(log: TestLog, tmp_path: Path, path: str) -> None:
    log.numbered(600)
    for length in (0, 1, 32):
        log.server.instead[path] = Answer(log.server.files[path][:length])
        error = await refused(log.server, tmp_path)
        assert error.reason in ("MALFORMED_TILE", "FALSE_TILE")
        assert path in error.message
    log.server.instead[path] = Answer(b"", 404)
    assert (await refused(log.server, tmp_path)).reason == "LOG_UNREACHABLE"


async def test_entries_changed_places(log: TestLog, tmp_path: Path) -> None:
    """Each is the log's, and neither stands where the log has it."""
    log.numbered(600)
    files = log.server.files
    for kind, reason in (("0", "FALSE_TILE"), ("entries", "FALSE_ENTRY")):
        one, other = f"tile/{kind}/000", f"tile/{kind}/001"
        log.server.instead = {one: Answer(files[other]), other: Answer(files[one])}
        error = await refused(log.server, tmp_path)
        assert error.reason == reason
    assert "entry 0 " in error.message or "entry 256 " in error.message


# --- logs that lie


def kept_by(error: TracechainError) -> Fork:
    """The evidence that a refusal names."""
    return Fork.parse(Path(error.metadata["evidence"]).read_bytes())


async def forked(log: TestLog, first: int, second: int) -> bytes:
    """Another history of which nobody was told; its first 100 entries are the same."""
    log.numbered(first)
    known = log.server.files["checkpoint"]
    log.server.files.clear()
    log.entries = log.entries[:100]
    log.grow(*(b"other %d" % i for i in range(second - len(log.entries))))
    return known


@pytest.mark.parametrize(("first", "second"), [(300, 600), (300, 300), (600, 300), (256, 512)])
async def test_a_fork(log: TestLog, tmp_path: Path, first: int, second: int) -> None:
    """Evidence that anybody checks with the log's key alone; the mirror stays as it was."""
    log.numbered(first)
    await mirror(log.server, tmp_path)
    log.entries.clear()
    known = await forked(log, first, second)
    error = await refused(log.server, tmp_path)
    assert error.reason == "LOG_FORK"
    evidence = kept_by(error)
    found = {c.size for c in evidence.verify([verifier(log.signer.key)])}
    assert found == {first, second}
    assert {evidence.smaller.encode(), evidence.larger.encode()} == {
        known, log.server.files["checkpoint"]
    }  # fmt: skip
    # Found again it is the same file.
    again = await refused(log.server, tmp_path)
    assert again.metadata == error.metadata
    assert len(list((tmp_path / ".mirror" / "evidence").iterdir())) == 1


async def test_a_fork_while_it_was_fetched(log: TestLog, tmp_path: Path) -> None:
    """A mirror that was killed with half of a tree knows that the log had signed it."""
    log.numbered(3)
    await mirror(log.server, tmp_path)
    log.numbered(597)
    log.server.instead["tile/entries/001"] = Answer(b"", 404)
    assert (await refused(log.server, tmp_path)).reason == "LOG_UNREACHABLE"
    log.server.instead.clear()
    log.server.files.clear()
    log.entries = log.entries[:300]
    log.grow(*(b"other %d" % i for i in range(400)))
    error = await refused(log.server, tmp_path)
    assert error.reason == "LOG_FORK"
    evidence = kept_by(error)
    assert [c.size for c in evidence.verify([verifier(log.signer.key)])] == [600, 700]


async def test_a_rollback(log: TestLog, tmp_path: Path) -> None:
    log.numbered(3)
    old = log.server.files["checkpoint"]
    log.numbered(300)
    new = log.server.files["checkpoint"]
    await mirror(log.server, tmp_path)
    log.server.files["checkpoint"] = old
    error = await refused(log.server, tmp_path)
    assert error.reason == "LOG_ROLLBACK"
    assert "3 entries, after it had signed 303" in error.message
    # An old answer of a cache passes, and so does the refusal.
    log.server.files["checkpoint"] = new
    assert (await mirror(log.server, tmp_path)).entries == 0


async def test_the_empty_tree_has_one_root(log: TestLog, tmp_path: Path) -> None:
    log.server.files["checkpoint"] = signed_checkpoint(0, bytes(32))
    assert (await refused(log.server, tmp_path)).reason == "FALSE_TILE"
    assert kept(tmp_path) == {}
    # The log signed that, so whatever it has instead is another history.
    log.server.files["checkpoint"] = signed_checkpoint(0, EMPTY_ROOT)
    assert (await refused(log.server, tmp_path)).reason == "LOG_FORK"
    assert (await mirror(log.server, tmp_path / "new")).entries == 0
    log.numbered(3)
    assert (await mirror(log.server, tmp_path / "new")).entries == 3


async def test_who_has_to_have_signed(log: TestLog, tmp_path: Path) -> None:
    log.numbered(300)
    some = policy_of("some")
    assert (await refused(log.server, tmp_path, some)).reason == "QUORUM_NOT_MET"
    log.witnesses = WITNESSES[:1]
    log.grow()
    assert (await refused(log.server, tmp_path, some)).reason == "QUORUM_NOT_MET"
    namesake = policy_of(signer=NoteSigner(ORIGIN, key_of(50)))
    assert (await refused(log.server, tmp_path, namesake)).reason == "NOT_SIGNED"
    assert kept(tmp_path) == {}
    log.witnesses = WITNESSES[1:]
    log.grow()
    assert (await mirror(log.server, tmp_path, some)).entries == 300


# --- the folder


async def test_a_folder_of_another_log(log: TestLog, tmp_path: Path) -> None:
    log.numbered(3)
    await mirror(log.server, tmp_path)
    other = NoteSigner("other.example", key_of(60))
    error = await refused(log.server, tmp_path, policy_of(signer=other))
    assert error.reason == "OTHER_LOG"


async def test_damage_is_found_and_healed(log: TestLog, tmp_path: Path) -> None:
    log.numbered(600)
    await mirror(log.server, tmp_path)
    want = kept(tmp_path)
    for path in ("tile/0/002.p/88", "tile/1/000.p/2"):
        for wrong in (None, b"", bytes(len(want[path]))):
            (tmp_path / path).unlink()
            if wrong is not None:
                (tmp_path / path).write_bytes(wrong)
            error = await refused_damage(log.server, tmp_path)
            assert error.reason == "STATE_DAMAGED"
            await mirror(log.server, tmp_path, whole=True)
            assert kept(tmp_path) == want
    # What is not at the edge is looked at when that is asked for.
    for path in ("tile/0/000", "tile/entries/001", "tile/entries/002.p/88"):
        (tmp_path / path).write_bytes(want[path][:-1] + b"\0")
    (tmp_path / "tile/entries/000").unlink()
    log.server.asked.clear()
    await mirror(log.server, tmp_path, whole=True)
    assert kept(tmp_path) == want
    fetched = set(log.server.asked) - {"checkpoint", "tile/0/002.p/88", "tile/1/000.p/2"}
    assert fetched == {
        "tile/0/000", "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"
    }  # fmt: skip
    (tmp_path / "checkpoint").write_bytes(b"no note")
    assert (await refused_damage(log.server, tmp_path)).reason == "STATE_DAMAGED"


async def refused_damage(server: LogServer, folder: Path) -> TracechainError:
    with pytest.raises(TracechainError) as caught:
        await mirror(server, folder)
    return caught.value


def test_one_mirror_at_a_time(tmp_path: Path) -> None:
    with MirrorFolder(tmp_path).held():
        other = MirrorFolder(tmp_path).held()
        with pytest.raises(FailedPrecondition) as caught:
            other.__enter__()
        assert caught.value.reason == "FOLDER_IN_USE"
    with MirrorFolder(tmp_path).held():
        pass


class Killed(BaseException):
    """The process ends here."""


STEPS = {
    "open": Path, "unlink": Path, "mkdir": Path, "fsync": os, "replace": os, "rmtree": shutil,
}  # fmt: skip


@contextmanager
def dying_at(step: int) -> Iterator[Callable[[], int]]:
    """The process dies at the so manyth thing that it does to the disk; how many it did."""
    count = 0

    def dying(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count >= step:  # whoever else still works in a thread is dead as well
                raise Killed
            return real(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name, where in STEPS.items():
            patch.setattr(where, name, dying(getattr(where, name)))
        yield lambda: count


async def test_killed_at_any_step(log: TestLog, tmp_path: Path) -> None:
    """Whatever was the last thing that it did: the folder is a whole tree, and the next start
    ends where one does that nobody disturbed."""
    log.numbered(250)
    first, then = tmp_path / "first", tmp_path / "then"
    await mirror(log.server, first)
    log.numbered(10)
    shutil.copytree(first, then)
    with dying_at(1 << 30) as steps:
        await mirror(log.server, then)
    want, all_steps = kept(then), steps()
    assert all_steps > 30
    seen = set()
    for step in range(1, all_steps + 1):
        folder = tmp_path / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(first, folder)
        with dying_at(step), pytest.raises(Killed):
            await mirror(log.server, folder)
        assert_whole(folder)
        seen.add(Checkpoint.parse(Note.parse((folder / "checkpoint").read_bytes()).text).size)
        assert (await mirror(log.server, folder)).checkpoint.size == 260
        assert kept(folder) == want
        assert not any((folder / ".mirror" / "drafts").iterdir())
    assert seen == {250, 260}


async def test_a_power_cut_finds_the_tree_of_the_checkpoint(
    log: TestLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a checkpoint gets its name, the disk has all that it speaks of: files and names."""
    log.numbered(300)
    await mirror(log.server, tmp_path)
    log.numbered(250)
    real_fsync, real_replace = os.fsync, os.replace
    unsure: set[Path] = set()
    published = []

    def fsync(handle: int) -> None:
        unsure.discard(Path(os.readlink(f"/proc/self/fd/{handle}")))
        real_fsync(handle)

    def replace(source: Path, target: Path) -> None:
        if target == tmp_path / "checkpoint":
            published.append(set(unsure))
        unsure.update((target, target.parent))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    await mirror(log.server, tmp_path)
    # The pending note was written out before it had its name; it is the one that moves.
    assert published == [{tmp_path / ".mirror" / "pending"}]
    assert unsure <= {tmp_path / ".mirror" / "pending", tmp_path / "checkpoint"}
    assert_whole(tmp_path)


def test_which_log_is_meant() -> None:
    one, two = (NoteSigner(f"{name}.example", key_of(i)) for i, name in ((1, "one"), (2, "two")))
    lines = f"log {one.key} https://one.example/\nlog {two.key} https://two.example\nquorum none\n"
    policy = Policy.parse(lines.encode())
    for url, origin, name in (
        ("https://one.example", "", "one.example"),
        ("https://two.example/", "", "two.example"),
        ("https://else.example/", "two.example", "two.example"),
        ("https://one.example/", "two.example", "two.example"),
    ):
        assert [log.key.name for log in of_one_log(policy, url, origin).logs] == [name]
    only = Policy.parse(f"log {one.key}\nquorum none\n".encode())
    assert of_one_log(only, "https://else.example/") == only
    for given_policy, url, origin in (
        (policy, "https://else.example/", ""),
        (policy, "https://one.example/", "three.example"),
        (Policy.parse(b"quorum none\n"), "https://one.example/", ""),
    ):
        with pytest.raises(InvalidArgument) as caught:
            of_one_log(given_policy, url, origin)
        assert caught.value.reason == "UNKNOWN_LOG"
    assert base64(EMPTY_ROOT).endswith("=")
