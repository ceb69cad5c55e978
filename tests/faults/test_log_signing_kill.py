"""The signer and the witness, killed or failed by the disk at each step of keeping what they
signed, and their answers lost: whatever happens, all signatures that left are of one history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.dying import ENDS, LOG, WITNESS, End, Mortuary, mortuary, signing, witnessing
from tests.support.histories import FORK, MAIN, ORIGIN, SHARED, History
from tracechain.adapters.log_heads import FileHeads
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.note import Note, parse_lines, verify
from tracechain.domain.log.witness import Status, known_size

OLD, NEW = SHARED, SHARED + 30


@pytest.fixture(scope="module")
def dying() -> Iterator[Mortuary]:
    """Where processes come from that end badly."""
    with mortuary() as made:
        yield made


@pytest.fixture(params=["sign", "cosign"])
def what(request: pytest.FixtureRequest) -> str:
    """Each of the two that keep what they signed."""
    found: str = request.param
    return found


@pytest.fixture
def body(what: str) -> Callable[[History, int, int], bytes]:
    """What each is asked."""
    if what == "sign":
        return lambda history, old, size: history.to_sign(old, size)
    return lambda history, old, size: history.to_cosign(old, size, LOG)


@pytest.fixture
def folder(what: str, tmp_path: Path) -> Path:
    """A state that knows a tree of OLD leaves."""
    if what == "sign":
        signing(tmp_path).begin()
        assert signing(tmp_path).sign(MAIN.to_sign(0, OLD)).status == Status.COSIGN
    else:
        assert witnessing(tmp_path).add_checkpoint(MAIN.to_cosign(0, OLD, LOG)).status == 200
    return tmp_path


def kept(folder: Path) -> Checkpoint:
    note = FileHeads(folder).latest(ORIGIN)
    assert note is not None
    return Checkpoint.parse(note.text)


@pytest.mark.parametrize("end", ENDS, ids=str)
def test_whoever_dies_leaves_the_old_state_or_the_new_one(
    dying: Mortuary,
    what: str,
    body: Callable[[History, int, int], bytes],
    folder: Path,
    end: End,
) -> None:
    answer = dying.do(what, folder, body(MAIN, OLD, NEW), end)
    if end.kill:
        assert answer is None, "it lived"
    else:
        assert answer is not None
        # An error of the disk is told, and no signature leaves.
        assert answer.status == 503
        assert answer.body.startswith(b"LOG_STATE_UNAVAILABLE")
    state = kept(folder)
    renamed = end.number == 2 or (end.step, end.after) == ("replace", True)
    assert state == MAIN.checkpoint(NEW if renamed else OLD)
    # Another history has no chance where the new state is there, since its signature may be
    # anywhere; where the old one is, it has: then nobody has a signature of the new one.
    other = dying.do(what, folder, body(FORK, OLD, NEW))
    assert other is not None
    assert other.status == (Status.OTHER_SIZE if renamed else Status.COSIGN)
    truth = MAIN if renamed else FORK
    # The one who asked asks again, as he does where an answer was lost, and learns what is known.
    again = dying.do(what, folder, body(truth, OLD, NEW))
    assert again is not None
    assert again.status == Status.OTHER_SIZE
    known = known_size(again.body.decode())
    given = dying.do(what, folder, body(truth, known, NEW))
    assert given is not None
    assert given.status == Status.COSIGN
    note = Note(truth.checkpoint(NEW).text, parse_lines(given.body.decode()))
    assert verify(note, [verifier((LOG if what == "sign" else WITNESS).key)])
    other_history = FORK if renamed else MAIN
    for size in (NEW, NEW + 10):
        late = dying.do(what, folder, body(other_history, known, size))
        assert late is not None
        assert late.status == Status.INCONSISTENT
    left = [path.name for path in folder.rglob("checkpoint.*")]
    assert len(left) <= 1  # the draft of the one that died


def test_a_full_disk_signs_nothing_and_forgets_nothing(
    dying: Mortuary, what: str, body: Callable[[History, int, int], bytes], folder: Path
) -> None:
    for end in (End("replace", 1, False, False), End("open", 1, False, False)):
        for _ in range(2):
            answer = dying.do(what, folder, body(MAIN, OLD, NEW), end)
            assert answer is not None
            assert answer.status == 503
    assert kept(folder) == MAIN.checkpoint(OLD)
    answer = dying.do(what, folder, body(MAIN, OLD, NEW))
    assert answer is not None
    assert answer.status == Status.COSIGN
