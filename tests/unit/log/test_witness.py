"""The witness's rules: each request has the one answer that the text gives it."""

from __future__ import annotations

import sys
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.unit.log.trees import LEAVES, ed25519_key, examples, leaf, mth, reading, subproof
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import Cosigner, timestamp_of, verifier
from tracechain.domain.log.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    consistency,
    hashes,
    subtree_root,
)
from tracechain.domain.log.note import MAX_NOTE_BYTES, Note, NoteSigner, Signature, verify
from tracechain.domain.log.witness import (
    MAX_REQUEST_BYTES,
    AddCheckpoint,
    Head,
    Status,
    checkpoint_path,
    cosigned,
    decide,
    known_size,
)

ORIGIN = "log.example/1"
LOG = NoteSigner(ORIGIN, ed25519_key(1))
KEYS = [LOG.key]
WITNESS = Cosigner("w.example", ed25519_key(2))
TIME = 1_790_000_000
read = reading(LEAVES)


def root(size: int) -> bytes:
    return subtree_root(0, size, read)


def head(size: int) -> Head:
    return Head(size, root(size))


def note_of(checkpoint: Checkpoint, *more: Signature) -> Note:
    return Note(checkpoint.text, (LOG.sign(checkpoint.text), *more))


def asking(old: int, size: int) -> AddCheckpoint:
    """What an honest log asks."""
    proof = tuple(hashes(consistency(old, size), read)) if old else ()
    return AddCheckpoint(old, proof, note_of(Checkpoint(ORIGIN, size, root(size))))


def test_the_example_of_the_text() -> None:
    body = next(text for text in examples("tlog-witness") if text.startswith("old 2085"))
    request = AddCheckpoint.parse(body.encode())
    assert (request.old_size, len(request.proof)) == (20852014, 4)
    assert request.checkpoint.size == 20852163
    assert len(request.note.signatures) == 2
    assert request.encode().decode() == body
    answer = next(text for text in examples("tlog-witness") if text.startswith("— witness.example"))
    with pytest.raises(InvalidArgument) as caught:  # three signatures, of nobody known here
        cosigned(request.note, answer.encode(), [WITNESS.key])
    assert caught.value.reason == "NOT_SIGNED"


@pytest.mark.parametrize(
    ("old", "size"), [(0, 0), (0, 1), (0, 7), (1, 1), (1, 2), (6, 7), (7, 7), (255, 1000)]
)
def test_what_continues_is_cosigned(old: int, size: int) -> None:
    request = AddCheckpoint.parse(asking(old, size).encode())
    assert request == asking(old, size)
    decision = decide(request, KEYS, head(old))
    assert (decision.status, decision.body) == (Status.COSIGN, "")
    assert decision.checkpoint == Checkpoint(ORIGIN, size, root(size))
    signature = WITNESS.sign(decision.checkpoint, TIME)
    note = cosigned(request.note, str(signature).encode(), [WITNESS.key])
    assert note.signatures == (*request.note.signatures, signature)
    assert timestamp_of(verify(note, [verifier(WITNESS.key)])[0]) == TIME


def test_before_the_first_checkpoint() -> None:
    assert Head() == Head(0, EMPTY_ROOT) == head(0)
    assert decide(asking(0, 5), KEYS, Head()).status is Status.COSIGN
    assert decide(asking(3, 5), KEYS, Head()).body == "0\n"


GOOD = asking(4, 7)
FORK = Checkpoint(ORIGIN, 7, root(8))


def with_note(note: Note) -> AddCheckpoint:
    return replace(GOOD, note=note)


OTHER_KEY = NoteSigner(ORIGIN, ed25519_key(3))
FALSE = Signature(ORIGIN, LOG.key.key_id, bytes(64))
SIGNED_TEXT = GOOD.note.text


@pytest.mark.parametrize(
    ("request_", "latest", "status"),
    [
        # In the order of the text: signature, sizes, state, consistency.
        (with_note(Note(SIGNED_TEXT, (OTHER_KEY.sign(SIGNED_TEXT),))), 4, 403),
        (with_note(Note(SIGNED_TEXT, (FALSE,))), 4, 403),
        (with_note(Note(SIGNED_TEXT, (LOG.sign(SIGNED_TEXT), FALSE))), 4, 403),
        (with_note(Note(SIGNED_TEXT, (FALSE, LOG.sign(SIGNED_TEXT)))), 4, 403),
        (with_note(note_of(FORK)), 4, 422),
        (with_note(note_of(FORK)), 5, 409),
        (with_note(Note(FORK.text, (LOG.sign(SIGNED_TEXT),))), 4, 403),
        (replace(GOOD, old_size=8), 8, 400),
        (replace(GOOD, old_size=8), 4, 400),
        (replace(GOOD, old_size=MAX_SIZE), 4, 400),
        (replace(GOOD, old_size=3), 4, 409),
        (replace(GOOD, old_size=0), 4, 409),
        (replace(GOOD, old_size=5), 4, 409),
        (GOOD, 0, 409),
        (GOOD, 9, 409),
        (replace(GOOD, proof=()), 4, 422),
        (replace(GOOD, proof=GOOD.proof[1:]), 4, 422),
        (replace(GOOD, proof=(*GOOD.proof, LEAVES[0])), 4, 422),
        (replace(GOOD, proof=GOOD.proof[::-1]), 4, 200),  # it has one hash
        (replace(GOOD, proof=(LEAVES[0],)), 4, 422),
        (replace(asking(0, 7), proof=(LEAVES[0],)), 0, 422),
        (replace(asking(7, 7), proof=(LEAVES[0],)), 7, 422),
        (AddCheckpoint(7, (), note_of(FORK)), 7, 422),
        (AddCheckpoint(0, (), note_of(Checkpoint(ORIGIN, 0, root(1)))), 0, 422),
        (AddCheckpoint(0, (), note_of(Checkpoint(ORIGIN, 0, bytes(32)))), 0, 422),
        (AddCheckpoint(0, (LEAVES[0],), note_of(Checkpoint(ORIGIN, 0, EMPTY_ROOT))), 0, 422),
        (AddCheckpoint(4, (), note_of(Checkpoint(ORIGIN, 0, EMPTY_ROOT))), 4, 400),
    ],
)
def test_the_answers(request_: AddCheckpoint, latest: int, status: int) -> None:
    decision = decide(AddCheckpoint.parse(request_.encode()), KEYS, head(latest))
    assert decision.status == status
    # Only what may be signed, or proves that the log misbehaves, is handed back to be kept.
    assert (decision.checkpoint is not None) is (status in (200, 422))
    if status == 409:
        assert decision.body == f"{latest}\n"
        assert known_size(decision.body) == latest
    elif status != 200:
        assert decision.body.endswith("\n")
        assert decision.body.count("\n") == 1
    # An unknown origin comes before everything else.
    unknown = decide(request_, [], head(latest))
    assert (unknown.status, unknown.checkpoint) == (404, None)


def test_the_witness_compares_to_what_it_saw() -> None:
    """The proof leads from a root of the log's choice; the one that was cosigned is another."""
    assert decide(GOOD, KEYS, Head(4, root(4))).status is Status.COSIGN
    for other in (root(5), bytes(32), EMPTY_ROOT):
        assert decide(GOOD, KEYS, Head(4, other)).status is Status.INCONSISTENT


def test_signatures_of_strangers_are_ignored() -> None:
    stranger = WITNESS.sign(GOOD.checkpoint, TIME)
    noisy = with_note(GOOD.note.signed(stranger, OTHER_KEY.sign(SIGNED_TEXT)))
    assert decide(noisy, KEYS, head(4)).status is Status.COSIGN
    # A trusted key need not bear the origin's name (tlog-checkpoint, Signatures: SHOULD).
    renamed = NoteSigner("key-2026", ed25519_key(8))
    request = with_note(Note(SIGNED_TEXT, (renamed.sign(SIGNED_TEXT),)))
    assert decide(request, [LOG.key, renamed.key], head(4)).status is Status.COSIGN


def test_a_log_that_signs_by_ml_dsa(monkeypatch: pytest.MonkeyPatch) -> None:
    modern = Cosigner(ORIGIN, mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
    request = with_note(Note(SIGNED_TEXT, (modern.sign(GOOD.checkpoint, TIME),)))
    assert decide(request, [modern.key], head(4)).status is Status.COSIGN
    monkeypatch.delattr("cryptography.hazmat.primitives.asymmetric.mldsa")
    monkeypatch.setitem(sys.modules, mldsa.__name__, None)
    with pytest.raises(InvalidArgument) as caught:  # no refusal: the log did nothing wrong
        decide(request, [modern.key], head(4))
    assert caught.value.reason == "UNSUPPORTED_ALGORITHM"


FILE = GOOD.encode()
LINE = FILE.split(b"\n")[1]
ZERO = asking(0, 7).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n", b"\n\n", b"old 4", b"old 4\n", b"old 4\n\n", FILE[:-1], FILE + b"\n",
        FILE.replace(b"old 4\n", b""), FILE.replace(b"old 4", b"old"),
        FILE.replace(b"old 4", b"old  4"), FILE.replace(b"old 4", b"old 04"),
        FILE.replace(b"old 4", b"old +4"), FILE.replace(b"old 4", b"old -4"),
        FILE.replace(b"old 4", b"old 4 "), FILE.replace(b"old 4", b"Old 4"),
        FILE.replace(b"old 4", b" old 4"), FILE.replace(b"old 4", b"old \xd9\xa4"),
        FILE.replace(b"old 4", b"old \xff"), FILE.replace(LINE, LINE + b"\xff"),
        FILE.replace(b"old 4", b"old 4\r"), FILE.replace(b"old 4", b"old %d" % (MAX_SIZE + 1)),
        FILE.replace(b"old 4", b"old " + b"9" * 5000), FILE.replace(b"old 4\n", b"old 4\nold 4\n"),
        FILE.replace(LINE, LINE[:-1]), FILE.replace(LINE, LINE + b"="), FILE.replace(LINE, b""),
        FILE.replace(LINE, b" " + LINE), FILE.replace(LINE, b"AAAA"),
        FILE.replace(LINE, LINE[:-2] + bytes([LINE[-2] + 1]) + b"="),
        FILE.replace(LINE + b"\n", (LINE + b"\n") * 64), FILE.replace(b"\n\n", b"\n"),
        FILE.replace(b"\n7\n", b"\n07\n"), FILE.replace(b"\n7\n", b"\n\n"),
        ZERO.replace(b"old 0", b"old 00"), b"\n" + FILE, b"x" * (MAX_REQUEST_BYTES + 1),
    ],
)  # fmt: skip
def test_no_requests(body: bytes) -> None:
    """All of these are answered 400."""
    with pytest.raises(InvalidArgument) as caught:
        AddCheckpoint.parse(body)
    assert caught.value.reason in (
        "MALFORMED_WITNESS_MESSAGE", "MALFORMED_NOTE", "MALFORMED_CHECKPOINT"
    )  # fmt: skip


def test_limits() -> None:
    with pytest.raises(InvalidArgument, match="more than 1004096 bytes"):
        AddCheckpoint.parse(FILE + b"x" * MAX_REQUEST_BYTES)
    full = replace(GOOD, proof=(bytes(32),) * 63)
    assert AddCheckpoint.parse(full.encode()) == full
    for wrong in (
        {"proof": (bytes(32),) * 64}, {"proof": (bytes(31),)}, {"old_size": -1},
        {"old_size": MAX_SIZE + 1}, {"note": Note("no checkpoint\n", GOOD.note.signatures)},
    ):  # fmt: skip
        with pytest.raises(InvalidArgument):
            replace(GOOD, **wrong)  # type: ignore[arg-type]
    text = Checkpoint(ORIGIN, 7, root(7), ("x" * (MAX_NOTE_BYTES - 300),)).text
    large = replace(full, note=Note(text, (LOG.sign(text),)))
    assert AddCheckpoint.parse(large.encode()) == large


@pytest.mark.parametrize("body", ["", "\n", "7", "7\n\n", "07\n", "-7\n", "7\r\n", "x\n", " 7\n"])
def test_no_sizes(body: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        known_size(body)
    assert caught.value.reason == "MALFORMED_WITNESS_MESSAGE"


def test_answers_of_a_witness_are_not_believed() -> None:
    """Only true cosignatures of the witnesses that were asked are taken over."""
    note, other = GOOD.note, Cosigner("w2.example", ed25519_key(4))
    true, strange = WITNESS.sign(GOOD.checkpoint, TIME), other.sign(GOOD.checkpoint, TIME)
    both = f"{strange}{true}".encode()
    assert cosigned(note, both, [WITNESS.key]).signatures == (*note.signatures, true)
    assert len(cosigned(note, both, [WITNESS.key, other.key]).signatures) == 3
    false = WITNESS.sign(FORK, TIME)
    for body, reason in (
        (str(strange).encode(), "NOT_SIGNED"),
        (str(false).encode(), "FALSE_SIGNATURE"),
        (both + str(false).encode(), "FALSE_SIGNATURE"),
        (b"", "MALFORMED_NOTE"),
        (b"\n", "MALFORMED_NOTE"),
        (both[:-1], "MALFORMED_NOTE"),
        (both + b"\n", "MALFORMED_NOTE"),
        (both * 80, "MALFORMED_NOTE"),
        (b"\xff\n", "MALFORMED_WITNESS_MESSAGE"),
        (GOOD.note.encode(), "MALFORMED_NOTE"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            cosigned(note, body, [WITNESS.key])
        assert caught.value.reason == reason


def test_where_checkpoints_are_served() -> None:
    assert checkpoint_path("rome2026h1.example.org") == (
        "000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706/checkpoint"
    )
    assert checkpoint_path("é").startswith(sha256(b"\xc3\xa9").hexdigest())


class Forks(RuleBasedStateMachine):
    """A log that keeps several histories and tries all of them on one witness."""

    def __init__(self) -> None:
        super().__init__()
        self.histories: list[list[bytes]] = [[], []]
        self.latest = Head()
        self.seen: list[Head] = []

    @rule(which=st.integers(0, 1), entries=st.lists(st.integers(0, 2), min_size=1, max_size=3))
    def append(self, which: int, entries: list[int]) -> None:
        self.histories[which] += [leaf(bytes([value])) for value in entries]

    @rule(which=st.integers(0, 1), back=st.integers(0, 3), proof_of=st.integers(0, 1))
    def ask(self, which: int, back: int, proof_of: int) -> None:
        history = self.histories[which][: max(0, len(self.histories[which]) - back)]
        old, size = self.latest.size, len(history)
        source = self.histories[proof_of][:size]
        proof = subproof(old, source) if 0 < old <= len(source) else []
        checkpoint = Checkpoint(ORIGIN, size, mth(history))
        decision = decide(AddCheckpoint(old, tuple(proof), note_of(checkpoint)), KEYS, self.latest)
        continues = old <= size and mth(history[:old]) == self.latest.root
        honest = proof == (subproof(old, history) if 0 < old <= size else [])
        assert (decision.status is Status.COSIGN) is (continues and honest)
        if decision.status is Status.COSIGN:
            assert decision.checkpoint == checkpoint
            self.latest = Head(size, checkpoint.root)
            self.seen.append(self.latest)

    @invariant()
    def all_that_was_cosigned_is_one_history(self) -> None:
        assert [one.size for one in self.seen] == sorted(one.size for one in self.seen)
        assert any(
            all(one.root == mth(history[: one.size]) for one in self.seen)
            for history in self.histories
        )


TestForks = Forks.TestCase
TestForks.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
