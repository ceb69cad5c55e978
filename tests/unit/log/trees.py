"""Trees as RFC 6962 section 2.1 defines them, by recursion over all leaves; and keys.

Slow on purpose, and sharing nothing with what it is compared to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from tracechain.domain.log.merkle import Node

DATA = Path(__file__).parents[2] / "data"


def entry(index: int) -> bytes:
    return b"entry %d" % index


def leaf(data: bytes) -> bytes:
    return sha256(b"\0" + data).digest()


LEAVES = [leaf(entry(i)) for i in range(1200)]


def split(size: int) -> int:
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def mth(leaves: Sequence[bytes]) -> bytes:
    """The Merkle Tree Hash over leaf hashes."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]), section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], known: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b), section 2.1.2."""
    if m == len(leaves):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], known), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def reading(leaves: Sequence[bytes]) -> Callable[[Node], bytes]:
    """Complete subtrees over these leaves, as a store would give them."""
    known = {Node(0, place): value for place, value in enumerate(leaves)}

    def read(node: Node) -> bytes:
        if node not in known:
            assert node.level > 0, f"{node} is no complete subtree"
            below = [Node(node.level - 1, 2 * node.place + side) for side in (0, 1)]
            known[node] = sha256(b"\1" + read(below[0]) + read(below[1])).digest()
        return known[node]

    return read


def ed25519_key(seed: int) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def examples(name: str) -> list[str]:
    """The texts that a C2SP document sets apart as code, without their indentation."""
    found: list[list[str]] = []
    fenced, indented = False, False
    for line in (DATA / "c2sp" / f"{name}.md").read_text().split("\n"):
        if line.startswith("```"):
            fenced = not fenced
            if fenced:
                found.append([])
        elif fenced:
            found[-1].append(line)
        elif line.startswith("    ") or (indented and not line):
            if not indented:
                found.append([])
            indented = True
            found[-1].append(line[4:])
        else:
            indented = False
    return ["\n".join(lines).strip("\n") + "\n" for lines in found]
