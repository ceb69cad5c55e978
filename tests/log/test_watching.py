"""A watch over a log: every lie is told, by its name, and nothing that is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.log_server import (
    ORIGIN,
    WITNESSES,
    Answer,
    TestLog,
    key_of,
    policy_of,
    signed_checkpoint,
    tree_files,
)
from tracechain.adapters.log.client import HttpLog, Pace
from tracechain.adapters.log.watch_folder import WatchFolder
from tracechain.app.log.following import of_one_log
from tracechain.app.log.watching import SKEW, Look, Watch, freshness
from tracechain.domain.errors import TracechainError
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.fork import Fork
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.policy import Policy

DATA = Path(__file__).parents[1] / "data"
TESSERA = DATA / "tessera" / "log"
TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
QUICK = Pace(attempts=2, timeout=30, first=0.001, most=0.001)
NOW = 1_790_000_000


@dataclass
class Watcher:
    """A watch whose clock the test sets, and that can be started anew."""

    log: TestLog
    folder: Path
    policy: bytes
    silence: int = 0
    now: int = NOW

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The process ends, and another one begins."""
        trusted = of_one_log(Policy.parse(self.policy), "")
        self.client = HttpLog(self.log.server.url, QUICK)
        notebook = WatchFolder(self.folder)
        self.watch = Watch(self.client, notebook, trusted, lambda: self.now, self.silence)

    async def look(self) -> Look:
        """Looks once."""
        return await self.watch.look()

    async def kinds(self) -> list[str]:
        """What a look raises, by kind; and what it clears, after a minus."""
        found = await self.look()
        return [alarm.kind for alarm in found.raised] + [f"-{kind}" for kind in found.cleared]

    def only(self, found: Look) -> Fork:
        """The evidence of the one alarm that a look raised, which is of a fork."""
        (alarm,) = found.raised
        assert alarm.kind == "FORK"
        return Fork.parse(Path(alarm.evidence).read_bytes())


@pytest.fixture
def watcher(log: TestLog, tmp_path: Path) -> Watcher:
    """A watch that asks for no witnesses."""
    return Watcher(log, tmp_path, policy_of())


async def test_a_recorded_log_is_what_it_says(log: TestLog, tmp_path: Path) -> None:
    """tessera's log through all of its checkpoints, then back to one of them."""
    policy = f"log {TESSERA_KEY}\nquorum none\n".encode()
    for path in TESSERA.rglob("tile/**/*"):
        if path.is_file():
            log.server.files[str(path.relative_to(TESSERA))] = path.read_bytes()
    watcher = Watcher(log, tmp_path, policy)
    for size in range(16):
        log.server.files["checkpoint"] = (TESSERA / f"checkpoint.{size}").read_bytes()
        for grown in (True, False):
            found = await watcher.look()
            assert found.checkpoint
            assert (found.checkpoint.size, found.grown) == (size, grown)
            assert (found.raised, found.cleared, found.unreachable) == ((), (), "")
        watcher.restart()
    assert not any("entries" in path for path in log.server.asked)
    log.server.files["checkpoint"] = (TESSERA / "checkpoint.7").read_bytes()
    found = await watcher.look()
    assert [alarm.kind for alarm in found.raised] == ["ROLLBACK"]
    assert found.checkpoint
    assert found.checkpoint.size == 15  # what was signed is signed


@pytest.mark.parametrize(("first", "second"), [(300, 600), (300, 300), (256, 512), (3, 300)])
async def test_a_fork_is_told_with_evidence(watcher: Watcher, first: int, second: int) -> None:
    watcher.log.numbered(first)
    await watcher.look()
    known = watcher.log.server.files["checkpoint"]
    watcher.restart()
    watcher.log.server.files.clear()
    watcher.log.entries.clear()
    watcher.log.grow(*(b"other %d" % i for i in range(second)))
    found = await watcher.look()
    evidence = watcher.only(found)
    assert (evidence.smaller.encode(), evidence.larger.encode()) == (
        known, watcher.log.server.files["checkpoint"]
    )  # fmt: skip
    assert [c.size for c in evidence.verify([verifier(watcher.log.signer.key)])] == [first, second]
    # It is told once, and again by every watch to come, whatever the log shows then.
    assert await watcher.kinds() == []
    watcher.restart()
    watcher.log.server.files["checkpoint"] = known
    assert (await watcher.kinds())[0] == "FORK"


async def test_a_fork_without_its_quorum_is_a_fork(log: TestLog, tmp_path: Path) -> None:
    """What somebody would be shown who is to be deceived: signed, and not cosigned."""
    log.witnesses = WITNESSES[:2]
    watcher = Watcher(log, tmp_path, policy_of("some"))
    log.numbered(3)
    assert await watcher.kinds() == []
    log.witnesses = ()
    log.entries = [b"other"]
    log.numbered(4)
    assert sorted(await watcher.kinds()) == ["FORK", "QUORUM_NOT_MET"]


async def test_a_smaller_tree_of_another_history_is_a_fork(watcher: Watcher) -> None:
    """As long as the larger one is served: the two cannot be told apart by size."""
    watcher.log.numbered(300)
    await watcher.look()
    _, other = tree_files([b"other %d" % i for i in range(100)])
    watcher.log.server.files["checkpoint"] = signed_checkpoint(100, other)
    evidence = watcher.only(await watcher.look())
    assert [c.size for c in evidence.verify([verifier(watcher.log.signer.key)])] == [100, 300]


@pytest.mark.parametrize("served", [True, False])
async def test_a_rollback_is_told_until_it_is_over(watcher: Watcher, served: bool) -> None:
    """Also where what it went back from is not served any more."""
    watcher.log.numbered(3)
    old = dict(watcher.log.server.files)
    watcher.log.numbered(300)
    new = dict(watcher.log.server.files)
    await watcher.look()
    watcher.restart()
    watcher.log.server.files = (new if served else {}) | old
    found = await watcher.look()
    (alarm,) = found.raised
    assert (alarm.kind, found.grown) == ("ROLLBACK", False)
    assert "3 entries, after it had signed 303" in alarm.message
    assert (Path(alarm.evidence) / "known").read_bytes() == new["checkpoint"]
    assert (Path(alarm.evidence) / "found").read_bytes() == old["checkpoint"]
    assert await watcher.kinds() == []
    watcher.log.server.files = new
    assert await watcher.kinds() == ["-ROLLBACK"]


async def test_who_has_to_have_signed(log: TestLog, tmp_path: Path) -> None:
    watcher = Watcher(log, tmp_path, policy_of("some"))
    log.witnesses = WITNESSES[:2]
    log.numbered(3)
    assert await watcher.kinds() == []
    good = log.server.files["checkpoint"]
    log.witnesses = WITNESSES[:1]
    log.numbered(1)
    assert await watcher.kinds() == ["QUORUM_NOT_MET"]
    namesake = NoteSigner(ORIGIN, key_of(50))
    log.server.files["checkpoint"] = signed_checkpoint(4, log.root, namesake)
    assert await watcher.kinds() == ["NOT_SIGNED", "-QUORUM_NOT_MET"]
    # The true text under the signature of an older one; and of a witness alike.
    new, old = (Note.parse(x) for x in (signed_checkpoint(4, log.root), good))
    log.server.files["checkpoint"] = Note(new.text, old.signatures[:1]).encode()
    assert await watcher.kinds() == ["FALSE_SIGNATURE", "-NOT_SIGNED"]
    log.server.files["checkpoint"] = Note(new.text, new.signatures + old.signatures[1:]).encode()
    assert await watcher.kinds() == []
    log.server.files["checkpoint"] = b"no note"
    assert await watcher.kinds() == ["MALFORMED_NOTE", "-FALSE_SIGNATURE"]
    text = "no checkpoint\n"
    log.server.files["checkpoint"] = Note(text, (log.signer.sign(text),)).encode()
    assert await watcher.kinds() == ["MALFORMED_CHECKPOINT", "-MALFORMED_NOTE"]
    log.witnesses = WITNESSES
    log.grow()
    assert await watcher.kinds() == ["-MALFORMED_CHECKPOINT"]


@pytest.mark.parametrize("path", ["tile/0/002.p/88", "tile/1/000.p/2", "tile/0/001"])
async def test_a_tile_that_is_not_the_log_s(watcher: Watcher, path: str) -> None:
    """That is told as what it is; a log that is served badly has not forked."""
    watcher.log.numbered(300)
    await watcher.look()
    watcher.log.numbered(300)
    content = watcher.log.server.files[path]
    for wrong, kind in (
        (bytes([content[0] ^ 1]) + content[1:], "FALSE_TILE"), (content[:-32], "MALFORMED_TILE")
    ):  # fmt: skip
        watcher.log.server.instead[path] = Answer(wrong)
        found = await watcher.look()
        (alarm,) = found.raised
        assert (alarm.kind, found.grown) == (kind, False)
        assert path in alarm.message
    watcher.log.server.instead.clear()
    assert await watcher.kinds() == ["-MALFORMED_TILE"]


async def test_at_the_first_look_what_is_signed_has_to_be_served(watcher: Watcher) -> None:
    watcher.log.numbered(300)
    good = watcher.log.server.files["tile/1/000.p/1"]
    watcher.log.server.files["tile/1/000.p/1"] = bytes(32)
    assert await watcher.kinds() == ["FALSE_TILE"]
    watcher.log.server.files["tile/1/000.p/1"] = good
    assert await watcher.kinds() == ["-FALSE_TILE"]


async def test_a_log_that_does_not_answer(watcher: Watcher) -> None:
    """That is no lie, and nothing is over meanwhile."""
    watcher.log.numbered(3)
    await watcher.look()
    good = watcher.log.server.files["checkpoint"]
    watcher.log.server.files["checkpoint"] = b"no note"
    await watcher.look()
    for status in (404, 503):
        watcher.log.server.instead["checkpoint"] = Answer(b"", status)
        found = await watcher.look()
        assert f"status {status}" in found.unreachable
        assert (found.raised, found.cleared) == ((), ())
    watcher.log.server.instead.clear()
    assert await watcher.kinds() == []
    watcher.log.server.files["checkpoint"] = good
    assert await watcher.kinds() == ["-MALFORMED_NOTE"]


async def test_silence(log: TestLog, tmp_path: Path) -> None:
    """A larger tree or a fresh quorum is a sign of life; answering the same is none."""
    watcher = Watcher(log, tmp_path, policy_of("none"), silence=60)
    log.numbered(3)
    assert await watcher.kinds() == []
    watcher.now += 60
    assert await watcher.kinds() == []
    watcher.restart()  # which is no sign of life
    watcher.now += 1
    assert await watcher.kinds() == ["SILENCE"]
    log.numbered(1)
    assert await watcher.kinds() == ["-SILENCE"]
    watcher.now += 50
    log.witnesses = WITNESSES[:1]
    log.grow(at=watcher.now)
    assert await watcher.kinds() == []
    watcher.now += 60
    assert await watcher.kinds() == []
    # Neither an older cosignature nor one from the future tells of now.
    for at in (watcher.now - 100, watcher.now + SKEW + 100):
        log.grow(at=at)
        watcher.now += 1
        assert await watcher.kinds() in (["SILENCE"], [])
    log.grow(at=watcher.now)
    assert await watcher.kinds() == ["-SILENCE"]


async def test_silence_of_a_log_that_is_gone_or_goes_back(log: TestLog, tmp_path: Path) -> None:
    watcher = Watcher(log, tmp_path, policy_of("none"), silence=60)
    log.server.files["checkpoint"] = b"no note"
    assert await watcher.kinds() == ["MALFORMED_NOTE"]
    watcher.now += 61
    assert await watcher.kinds() == ["SILENCE"]
    log.numbered(3)
    old = log.server.files["checkpoint"]
    log.numbered(3)
    assert await watcher.kinds() == ["-MALFORMED_NOTE", "-SILENCE"]
    watcher.now += 61
    log.server.instead["checkpoint"] = Answer(b"", 503)
    assert await watcher.kinds() == ["SILENCE"]
    log.server.instead["checkpoint"] = Answer(old)
    assert await watcher.kinds() == ["ROLLBACK"]


@given(
    st.dictionaries(st.sampled_from(["w0", "w1", "w2"]), st.integers(NOW - 500, NOW + 500)),
    st.sampled_from(["none", "w1", "some"]),
)
def test_how_fresh_a_quorum_is(witnessed: dict[str, int], quorum: str) -> None:
    """Against trying every second."""
    policy = Policy.parse(policy_of(quorum))
    past = {name: at for name, at in witnessed.items() if at <= NOW + SKEW}
    seconds = [
        at for at in range(NOW - 500, NOW + SKEW + 1)
        if any(time >= at for time in past.values())
        and policy.satisfied([name for name, time in past.items() if time >= at])
    ]  # fmt: skip
    assert freshness(policy, witnessed, NOW) == min(max(seconds, default=0), NOW)


@pytest.mark.parametrize(
    "state",
    [
        b"", b"{}", b"[]", b'{"form": "tracechain.log.watch/v1"}', b"\xff",
        b'{"form": "tracechain.log.watch/v1", "note": 1, "alive": 1}',
        b'{"form": "tracechain.log.watch/v1", "note": null, "alive": true}',
        b'{"form": "tracechain.log.watch/v1", "note": null, "alive": -1}',
        b'{"form": "tracechain.log.watch/v1", "note": "no note", "alive": 1}',
        b'{"form": "tracechain.log.watch/v1", "note": "\\ud800", "alive": 1}',
        b'{"form": "tracechain.log.watch/v2", "note": null, "alive": 1}',
    ],
)  # fmt: skip
async def test_a_damaged_memory_is_no_new_one(watcher: Watcher, state: bytes) -> None:
    """A watch that began anew would take the next history for the only one."""
    watcher.log.numbered(3)
    (watcher.folder / "state.json").write_bytes(state)
    with pytest.raises(TracechainError) as caught:
        await watcher.look()
    assert caught.value.reason == "STATE_DAMAGED"
    assert (watcher.folder / "state.json").read_bytes() == state


async def test_the_memory_of_another_log(watcher: Watcher) -> None:
    watcher.log.numbered(3)
    await watcher.look()
    watcher.policy = policy_of(signer=NoteSigner("other.example", key_of(60)))
    watcher.log.signer = NoteSigner("other.example", key_of(60))
    watcher.log.grow()
    watcher.restart()
    with pytest.raises(TracechainError) as caught:
        await watcher.look()
    assert caught.value.reason == "OTHER_LOG"
