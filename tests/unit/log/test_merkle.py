"""Merkle proofs: every vector, every pair of sizes of small trees, and nothing that was altered."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.log.trees import DATA, LEAVES, mth, path, reading, subproof
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Node,
    consistency,
    cover,
    hashes,
    inclusion,
    is_subtree,
    leaf_hash,
    node_hash,
    nodes,
    row_root,
    subtree_root,
    verify_consistency,
    verify_inclusion,
    verify_subtree,
)

VECTORS = DATA / "transparency-dev-merkle" / "testdata"
SMALL = 40
read = reading(LEAVES)


def octets(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def holds(family: str, case: dict[str, Any]) -> bool:
    proof = [octets(value) for value in case["proof"] or []]
    try:
        match family:
            case "inclusion":
                verify_inclusion(
                    octets(case["leafHash"]), case["leafIdx"], proof, octets(case["root"]),
                    case["treeSize"],
                )  # fmt: skip
            case "subtreeinclusion":
                verify_inclusion(
                    octets(case["leafHash"]), case["leafIdx"], proof, octets(case["root"]),
                    case["end"], case["start"],
                )  # fmt: skip
            case "consistency":
                verify_consistency(
                    case["size1"], case["size2"], proof, octets(case["root1"]),
                    octets(case["root2"]),
                )  # fmt: skip
            case "subtreeconsistency":
                verify_subtree(
                    case["start"], case["end"], case["size"], proof, octets(case["root1"]),
                    octets(case["root2"]),
                )  # fmt: skip
    except InvalidArgument as error:
        if error.reason != "FALSE_LOG_PROOF":
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("family", "count", "true"),
    [
        ("inclusion", 98, 6),
        ("consistency", 98, 6),
        ("subtreeinclusion", 204, 12),
        ("subtreeconsistency", 118, 12),
    ],
)
def test_vectors(family: str, count: int, true: int) -> None:
    files = sorted((VECTORS / family).rglob("*.json"))
    cases: dict[Path, dict[str, Any]] = {file: json.loads(file.read_text()) for file in files}
    found = {file: holds(family, case) for file, case in cases.items()}
    wrong = [str(file) for file, case in cases.items() if found[file] is case["wantErr"]]
    assert not wrong
    assert (len(found), sum(found.values())) == (count, true)


def test_the_reference_tree() -> None:
    tree = json.loads((DATA / "rfc6962" / "reference_tree.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(text)) for text in tree["leaf_inputs_hex"]]
    roots = [bytes.fromhex(text) for text in tree["root_by_size_hex"]]
    for size, root in enumerate(roots):
        assert subtree_root(0, size, reading(leaves)) == row_root(leaves[:size]) == root
    assert roots[0] == EMPTY_ROOT
    for level, row in enumerate(tree["node_hashes_hex"]):
        for place, text in enumerate(row):
            start, end = place << level, place + 1 << level
            assert subtree_root(start, end, reading(leaves)).hex() == text


def test_inclusion_as_the_text_defines_it() -> None:
    for size in range(1, SMALL):
        root = mth(LEAVES[:size])
        for index in range(size):
            proof = hashes(inclusion(index, size), read)
            assert proof == path(index, LEAVES[:size])
            verify_inclusion(LEAVES[index], index, proof, root, size)


def test_consistency_of_every_pair_as_the_text_defines_it() -> None:
    for size in range(1, SMALL):
        root = mth(LEAVES[:size])
        for old in range(1, size + 1):
            proof = hashes(consistency(old, size), read)
            assert proof == subproof(old, LEAVES[:size])
            verify_consistency(old, size, proof, mth(LEAVES[:old]), root)


def test_every_subtree_of_every_small_tree() -> None:
    seen = 0
    for size in range(1, 24):
        root = mth(LEAVES[:size])
        for start in range(size):
            for end in range(start + 1, size + 1):
                width = 1
                while width < end - start:
                    width *= 2
                assert is_subtree(start, end) is (start % width == 0)
                if start % width:
                    with pytest.raises(InvalidArgument, match="no tree of"):
                        consistency(end, size, start)
                    continue
                seen += 1
                inner = mth(LEAVES[start:end])
                proof = hashes(consistency(end, size, start), read)
                verify_subtree(start, end, size, proof, inner, root)
                assert subtree_root(start, end, read) == inner
                for index in range(start, end):
                    proof = hashes(inclusion(index, end, start), read)
                    assert proof == path(index - start, LEAVES[start:end])
                    verify_inclusion(LEAVES[index], index, proof, inner, end, start)
    assert seen == 768


@given(st.data())
def test_proofs_of_larger_trees(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    root = subtree_root(0, size, read)
    index = data.draw(st.integers(0, size - 1))
    planned = inclusion(index, size)
    asked: list[Node] = []
    proof = hashes(planned, lambda node: asked.append(node) or read(node))  # type: ignore[func-returns-value]
    assert asked == nodes(planned)
    verify_inclusion(LEAVES[index], index, proof, root, size)
    old = data.draw(st.integers(1, size))
    proof = hashes(consistency(old, size), read)
    verify_consistency(old, size, proof, subtree_root(0, old, read), root)


@given(st.data())
def test_no_altered_inclusion_proof_holds(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    proof = hashes(inclusion(index, size), read)
    given_ = [LEAVES[index], subtree_root(0, size, read), *proof]
    altered = altered_hashes(data, given_)
    with pytest.raises(InvalidArgument) as caught:
        verify_inclusion(altered[0], index, altered[2:], altered[1], size)
    assert caught.value.reason == "FALSE_LOG_PROOF"
    for other in {index - 1, index + 1, index ^ 2, index + size}:
        with pytest.raises(InvalidArgument):
            verify_inclusion(LEAVES[index], other, proof, given_[1], size)


@given(st.data())
def test_no_altered_consistency_proof_holds(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 200))
    old = data.draw(st.integers(1, size - 1))
    proof = hashes(consistency(old, size), read)
    altered = altered_hashes(
        data, [subtree_root(0, old, read), subtree_root(0, size, read), *proof]
    )
    with pytest.raises(InvalidArgument) as caught:
        verify_consistency(old, size, altered[2:], altered[0], altered[1])
    assert caught.value.reason == "FALSE_LOG_PROOF"


def altered_hashes(data: st.DataObject, values: list[bytes]) -> list[bytes]:
    """The same hashes with one bit, one length or their number altered; the first two stay."""
    found = list(values)
    at = data.draw(st.integers(0, len(values) - 1))
    match data.draw(st.sampled_from(["bit", "cut", "longer", "dropped", "added", "swapped"])):
        case "cut":
            found[at] = found[at][:-1]
        case "longer":
            found[at] += b"\0"
        case "dropped" if len(values) > 2:
            del found[max(at, 2)]
        case "added":
            found.insert(max(at, 2), data.draw(st.sampled_from(values)))
        case "swapped" if len(values) > 3:
            found[2], found[3] = found[3], found[2]
        case _:
            bit = data.draw(st.integers(0, 255))
            found[at] = (int.from_bytes(found[at]) ^ 1 << bit).to_bytes(32)
    return found


def test_the_largest_tree_has_proofs_of_63_hashes() -> None:
    proof = [bytes([i]) * 32 for i in range(63)]
    for index in (0, MAX_SIZE // 3, MAX_SIZE - 1):
        ranges = inclusion(index, MAX_SIZE)
        assert len(ranges) <= 63
        root = LEAVES[0]
        for (start, _), value in zip(ranges, proof, strict=False):
            root = node_hash(root, value) if start > index else node_hash(value, root)
        verify_inclusion(LEAVES[0], index, proof[: len(ranges)], root, MAX_SIZE)
    assert len(inclusion(0, MAX_SIZE)) == 63
    assert cover(0, MAX_SIZE)[0] == Node(62, 0)
    assert len(cover(0, MAX_SIZE)) == 63


@pytest.mark.parametrize(
    ("index", "size"),
    [(0, 0), (-1, 5), (5, 5), (1 << 70, 5), (0, MAX_SIZE + 1), (0, 1 << 4000), (3, -1)],
)
def test_no_tree_has_such_a_leaf(index: int, size: int) -> None:
    with pytest.raises(InvalidArgument, match="no leaf") as caught:
        verify_inclusion(LEAVES[0], index, [], LEAVES[0], size)
    assert caught.value.reason == "FALSE_LOG_PROOF"


@pytest.mark.parametrize(
    ("old", "size"),
    [(0, 0), (0, 5), (6, 5), (-1, 5), (5, MAX_SIZE + 1), (1 << 4000, 1 << 4001), (1, -1)],
)
def test_no_tree_continues_such_a_one(old: int, size: int) -> None:
    for root in (LEAVES[0], EMPTY_ROOT):
        with pytest.raises(InvalidArgument) as caught:
            verify_consistency(old, size, [], root, root)
        assert caught.value.reason == "FALSE_LOG_PROOF"


def test_a_tree_continues_itself_only_with_its_root() -> None:
    verify_consistency(7, 7, [], LEAVES[1], LEAVES[1])
    for old, new, proof in ((1, 2, []), (1, 1, [LEAVES[1]])):
        with pytest.raises(InvalidArgument):
            verify_consistency(7, 7, proof, LEAVES[old], LEAVES[new])


def test_no_leaves_are_in_every_tree() -> None:
    """As the vectors have it; but only where the tree has a place for them."""
    for place, size in ((0, 0), (3, 4), (4, 4), (0, MAX_SIZE)):
        verify_subtree(place, place, size, [], EMPTY_ROOT, LEAVES[0])
    for place, size in ((-1, 4), (5, 4), (0, -1), (0, MAX_SIZE + 1)):
        with pytest.raises(InvalidArgument, match="no tree of"):
            verify_subtree(place, place, size, [], EMPTY_ROOT, LEAVES[0])
