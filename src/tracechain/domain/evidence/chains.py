"""The chains of a bundle, walked: each leaf names the one before it, and the export ends them all.

Promises that a chain which passes has all its leaves, from the first to the export's own. That the
leaves are those of the log is for proofs to tell. Were a gap overlooked, the one event that counts
could be the one that is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.evidence.manifest import MANIFEST, ChainHead, Manifest, leaf_name
from tracechain.domain.log.leaf import NONE_BEFORE, Leaf, Link


class Placed(NamedTuple):
    """A leaf's index and its place in a chain."""

    leaf_index: int
    link: Link


def walk_chains(
    manifest: Manifest, leaves: Mapping[int, Leaf], export_index: int
) -> list[list[Placed]]:
    """The leaves of each chain of the manifest, in its order.

    Raises InvalidArgument EVENT_MISSING, REORDERED, TRUNCATED and CHAIN_MISSING, naming the member
    that shows it; MEMBER_UNKNOWN for a leaf of none of the chains.
    """
    by_label: dict[bytes, list[Placed]] = {chain.label: [] for chain in manifest.chains}
    for index in sorted(leaves):
        of_ours = False
        for link in leaves[index].links:
            if (chain := by_label.get(link.label)) is not None:
                chain.append(Placed(index, link))
                of_ours = True
        if not of_ours:
            raise _unchained(leaf_name(index), "MEMBER_UNKNOWN", "is in none of the chains")
    for head in manifest.chains:
        _walk(head, by_label[head.label], export_index)
    if len(leaves[export_index].links) != len(manifest.chains):
        raise _unchained(
            leaf_name(export_index), "CHAIN_MISSING",
            f"ends {len(leaves[export_index].links)} chains, not {len(manifest.chains)}",
        )  # fmt: skip
    return list(by_label.values())


def _walk(head: ChainHead, placed: list[Placed], export_index: int) -> None:
    numbers = {at.link.sequence for at in placed}
    before = NONE_BEFORE
    for expected, (index, link) in enumerate(placed):
        if expected not in numbers:
            raise _unchained(
                leaf_name(index), "EVENT_MISSING",
                f"number {expected} of the chain of {head.name} is not there",
            )  # fmt: skip
        if (link.sequence, link.previous) != (expected, before):
            raise _unchained(
                leaf_name(index), "REORDERED",
                f"is number {link.sequence} of the chain of {head.name} behind leaf "
                f"{link.previous}, and stands as number {expected} behind {before}",
            )  # fmt: skip
        before = index
    if before != export_index or len(placed) <= head.length:
        raise _unchained(
            MANIFEST if before == NONE_BEFORE else leaf_name(before), "TRUNCATED",
            f"the chain of {head.name} does not end in the leaf of the export",
        )  # fmt: skip


def _unchained(member: str, reason: str, why: str) -> InvalidArgument:
    return InvalidArgument.of(member, reason, why)
