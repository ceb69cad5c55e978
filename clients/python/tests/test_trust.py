"""A verdict's proof is believed for what it proves, and the log for what it was before."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support import stores as s
from tracechain.domain.code import CodeKey, Profile
from tracechain.domain.keys import IssuerKey
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import Cosigner
from tracechain.domain.log.fact import Fact, batch_fact, first_quantity_fact, key_fact
from tracechain.domain.log.merkle import Node, hashes, inclusion, leaf_hash, row_root
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.proof import LogProof
from tracechain.domain.log.sequencing import LogLeaf, sequence
from tracechain.domain.log.tiles import Edge
from tracechain_client import (
    FalseProof,
    FilePin,
    LogForked,
    LogRolledBack,
    LogTrust,
    MemoryPin,
    ProvedVerdict,
)
from tracechain_client.v1.log_pb2 import LogLeaf as Leaf
from tracechain_client.v1.verification_pb2 import IssueProof, Verdict

GTIN, LOT, NUMBER = "06901234000016", "L1", 7
SIGNER = NoteSigner("log.example/x", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
WITNESS = Cosigner("w.example/x", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
VKEY = str(SIGNER.key)
POLICY = f"log {VKEY}\nwitness w {WITNESS.key}\nquorum w\n"


class History:
    """A log, from facts, and what its service says of codes."""

    def __init__(self, facts: list[Fact], salt: int = 0) -> None:
        numbers = iter(range(salt, salt + 10_000))
        made = sequence(Edge(), facts, {}, lambda count: next(numbers).to_bytes(count))
        self.leaves = made.leaves
        self.tree = [leaf_hash(leaf.entry) for leaf in made.leaves]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(SIGNER.name, size, row_root(self.tree[:size]))

    def note(self, size: int, *, cosigned: bool = True) -> Note:
        checkpoint = self.checkpoint(size)
        note = Note(checkpoint.text, (SIGNER.sign(checkpoint.text),))
        return note.signed(WITNESS.sign(checkpoint, 1_700_000_000)) if cosigned else note

    def leaf(self, leaf: LogLeaf, note: Note, size: int) -> Leaf:
        def read(node: Node) -> bytes:
            first = node.place << node.level
            return row_root(self.tree[first : first + (1 << node.level)])

        path = hashes(inclusion(leaf.leaf_index, size), read)
        proof = LogProof(leaf.leaf_index, tuple(path), note)
        return Leaf(
            leaf_index=leaf.leaf_index, entry=leaf.entry, proof=proof.encode(), salt=leaf.salt,
            fact=leaf.text,
        )  # fmt: skip

    def verdict(self, code: str, size: int = 0, *, cosigned: bool = True) -> Verdict:
        """What an honest service answers by the tree of this size."""
        size = size or len(self.tree)
        note = self.note(size, cosigned=cosigned)
        batch, key = (self.about(kind) for kind in ("batch", "key"))
        serial = code.partition("/21/")[2][:13]
        return Verdict(
            gtin=GTIN, lot=LOT, serial=serial,
            proof=IssueProof(
                batch=self.leaf(batch, note, size), key=self.leaf(key, note, size)
            ),
        )  # fmt: skip

    def about(self, kind: str) -> LogLeaf:
        return next(leaf for leaf in self.leaves if f'"kind":"{kind}"' in leaf.text)


def facts(key: CodeKey) -> list[Fact]:
    der = key.verifying_key.public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = IssuerKey(key.key_id, "6901234000016", key.algorithm, der, b"", "r", 1)
    batch = s.batch(GTIN, LOT, 10, batch_number=NUMBER, create_time=1_700_000_000_000_000)
    others = [
        batch_fact(s.batch(GTIN, f"L{n}", 5, batch_number=n, create_time=n)) for n in range(8, 30)
    ]
    return [key_fact(record, 2), batch_fact(batch), first_quantity_fact(batch, "g"), *others]


@pytest.fixture(params=[7, 8])
def key(request: pytest.FixtureRequest, code_keys: dict[int, CodeKey]) -> CodeKey:
    return code_keys[request.param]


@pytest.fixture
def code(key: CodeKey) -> str:
    ((serial, token),) = key.issue(GTIN, NUMBER, 3, 1, Profile.SIGNED)
    return f"https://trace.example/01/{GTIN}/21/{serial}?91={token}"


@pytest.fixture
def log(key: CodeKey) -> History:
    return History(facts(key))


def test_what_is_proved_is_said(log: History, code: str) -> None:
    issue, note, checkpoint = LogTrust(POLICY, MemoryPin()).check(code, log.verdict(code))
    assert (issue.gtin, issue.lot, issue.batch_number) == (GTIN, LOT, NUMBER)
    assert (issue.leaf_index, issue.register_time.timestamp()) == (1, 1_700_000_000)
    assert (issue.issuer, issue.key_revoke_time) == ("6901234000016", None)
    assert issue.tree_size == checkpoint.size == len(log.tree)
    assert issue.witnessed["w"].timestamp() == 1_700_000_000
    assert note.encode() == log.note(len(log.tree)).encode()
    unwitnessed, _, _ = LogTrust(VKEY, MemoryPin()).check(code, log.verdict(code))
    assert unwitnessed.witnessed == {}


def leaf_of(change: Callable[[Leaf], None], which: str = "batch") -> Callable[[Verdict], None]:
    def changed(verdict: Verdict) -> None:
        change(getattr(verdict.proof, which))

    return changed


def set_to(**fields: Any) -> Callable[[Any], None]:
    def changed(message: Any) -> None:
        for name, value in fields.items():
            setattr(message, name, value)

    return changed


def replaced(field: str, old: Any, new: Any) -> Callable[[Any], None]:
    return lambda message: setattr(message, field, getattr(message, field).replace(old, new))


# What a service that lies changes in an honest answer.
LIES: dict[str, Callable[[Verdict], None]] = {
    "fact": leaf_of(replaced("fact", f'"batch_number":{NUMBER}', '"batch_number":8')),
    "fact of another lot": leaf_of(replaced("fact", '"L1"', '"L2"')),
    "salt": leaf_of(set_to(salt=bytes(32))),
    "no salt": leaf_of(set_to(salt=b"")),
    "entry": leaf_of(replaced("entry", b'"part":0', b'"part":1')),
    "entry in another spelling": leaf_of(replaced("entry", b'"v":1', b'"v": 1')),
    "index": leaf_of(set_to(leaf_index=2)),
    "no proof": leaf_of(set_to(proof=b"")),
    "proof of another leaf": leaf_of(replaced("proof", b"index 1\n", b"index 2\n")),
    "note's text": leaf_of(replaced("proof", b"log.example/x\n", b"log.example/y\n")),
    "key's fact": leaf_of(replaced("fact", '"key_id":', '"key_id":1'), "key"),
    "key's proof": leaf_of(set_to(proof=b""), "key"),
    "no key": lambda verdict: verdict.proof.ClearField("key"),
    "no batch": lambda verdict: verdict.proof.ClearField("batch"),
    "batch as key": lambda verdict: verdict.proof.key.CopyFrom(verdict.proof.batch),
    "key as batch": lambda verdict: verdict.proof.batch.CopyFrom(verdict.proof.key),
    "lot": set_to(lot="L2"),
    "gtin": set_to(gtin="06901234000023"),
    "serial": set_to(serial="0000000000000"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_no_proof(log: History, code: str, lie: str) -> None:
    verdict = log.verdict(code)
    LIES[lie](verdict)
    with pytest.raises(FalseProof):
        LogTrust(POLICY, MemoryPin()).check(code, verdict)


def test_a_true_proof_is_of_its_own_code_alone(
    log: History, key: CodeKey, code: str, code_keys: dict[int, CodeKey]
) -> None:
    trust = LogTrust(POLICY, MemoryPin())
    other = code_keys[15 - key.key_id]
    ((serial, token),) = other.issue(GTIN, NUMBER, 3, 1, Profile.SIGNED)
    theirs = f"https://trace.example/01/{GTIN}/21/{serial}?91={token}"
    for text in (theirs, "x", code.replace("https", "http")):
        with pytest.raises(FalseProof):
            trust.check(text, log.verdict(text))
    # Signed by the right key, and a bit was changed since.
    forged = code[:-4] + ("AAAA" if code[-4:] != "AAAA" else "BBBB")
    with pytest.raises(FalseProof):
        trust.check(forged, log.verdict(forged))


def test_a_proof_counts_only_by_the_policy(log: History, code: str) -> None:
    trust = LogTrust(POLICY, MemoryPin())
    with pytest.raises(FalseProof) as raised:
        trust.check(code, log.verdict(code, cosigned=False))
    assert raised.value.reason == "QUORUM_NOT_MET"
    stranger = NoteSigner(SIGNER.name, Ed25519PrivateKey.generate())
    with pytest.raises(FalseProof) as raised:
        LogTrust(str(stranger.key), MemoryPin()).check(code, log.verdict(code))
    assert raised.value.reason == "NOT_SIGNED"


@pytest.mark.parametrize("policy", ["", "x", "log x\nquorum none\n", b"\xff", VKEY[:-1]])
def test_what_is_no_policy_is_refused(policy: str | bytes) -> None:
    with pytest.raises(ValueError, match="no policy"):
        LogTrust(policy, MemoryPin())


async def test_a_checkpoint_is_pinned_and_has_to_be_continued(
    service: Any, ask: Any, log: History, code: str, tmp_path: Path
) -> None:
    pin = FilePin(tmp_path / "log.pin")
    trust = LogTrust(POLICY, pin)
    service.tree = log.tree
    for size, pinned in ((6, 6), (25, 25), (25, 25), (10, 25)):
        service.script.append(log.verdict(code, size=size))
        proved: ProvedVerdict = await ask("verify_with_proof", code, trust)
        assert proved.issue is not None
        assert proved.issue.tree_size == size
        assert pin.load() == log.note(pinned).encode()
    asked = service.requests("GetConsistencyProof")
    assert [(one.first_size, one.second_size) for one in asked] == [(6, 25), (10, 25)]
    assert [one.include_proof for one in service.requests("VerifyCode")] == [True] * 4


def evidence(pin: FilePin) -> list[bytes]:
    """What was kept beside a pin."""
    return sorted(path.read_bytes() for path in pin.path.parent.glob(f"{pin.path.name}.fork-*"))


async def test_a_fork_and_a_rollback_are_named_and_both_notes_kept(
    service: Any, ask: Any, log: History, key: CodeKey, code: str, tmp_path: Path
) -> None:
    other = History(facts(key), salt=5000)
    cases = [
        # The same size with another root; a larger tree that does not continue; a smaller one
        # that is no beginning, with and without the pinned one still there.
        (other, other.tree, 12, 12, LogForked),
        (other, other.tree, 12, 20, LogForked),
        (other, other.tree, 12, 8, LogRolledBack),
        (log, log.tree[:8], 12, 8, LogRolledBack),
    ]
    for history, tree, before, now, kind in cases:
        pin = FilePin(tmp_path / f"{id(tree)}-{now}.pin")
        pinned, seen = log.note(before).encode(), history.note(now).encode()
        pin.save(pinned)
        service.tree = tree
        service.script.append(history.verdict(code, size=now))
        with pytest.raises(LogForked) as raised:
            await ask("verify_with_proof", code, LogTrust(POLICY, pin))
        assert type(raised.value) is kind
        assert (raised.value.pinned, raised.value.seen) == (pinned, seen)
        assert pin.load() == pinned
        assert evidence(pin) == sorted([pinned, seen])
        again = pickle.loads(pickle.dumps(raised.value))
        assert (type(again), again.seen, again.reason) == (kind, seen, "LOG_FORKED")


async def test_a_pin_of_another_log_or_of_none_is_refused(
    service: Any, ask: Any, log: History, code: str
) -> None:
    checkpoint = replace(log.checkpoint(5), origin="log.example/other")
    signed = Note(checkpoint.text, (SIGNER.sign(checkpoint.text),))
    for note in (signed.encode(), b"", b"nothing"):
        service.script.append(log.verdict(code))
        with pytest.raises(FalseProof):
            await ask("verify_with_proof", code, LogTrust(POLICY, MemoryPin(note)))


async def test_a_log_that_is_behind_is_waited_for_and_the_scan_counts_once(
    service: Any, ask: Any, log: History, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracechain_client._methods._BEHIND.retry_after", 0.001)
    behind = log.verdict(code)
    behind.proof.Clear()
    behind.proof.absent_reason = "LEAF_NOT_PUBLISHED"
    behind.previous_scans = 1
    service.script.extend([behind, log.verdict(code)])
    proved = await ask("verify_with_proof", code, LogTrust(POLICY, MemoryPin()))
    assert proved.issue is not None
    assert proved.verdict.previous_scans == 1
    first, second = service.requests("VerifyCode")
    assert first.request_id == second.request_id != ""
    # A verdict is not lost where the log stays behind, nor where there is nothing to be proved.
    service.script.extend([behind] * 6)
    proved = await ask("verify_with_proof", code, LogTrust(POLICY, MemoryPin()))
    assert (proved.issue, proved.verdict.proof.absent_reason) == (None, "LEAF_NOT_PUBLISHED")
    behind.proof.absent_reason = "CODE_NOT_ISSUED"
    service.script.append(behind)
    proved = await ask("verify_with_proof", code, LogTrust(POLICY, MemoryPin()))
    assert (proved.issue, proved.verdict.previous_scans) == (None, 1)


def test_an_error_is_one_of_the_tree() -> None:
    error = FalseProof(message="x")
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "FALSE_LOG_PROOF")
