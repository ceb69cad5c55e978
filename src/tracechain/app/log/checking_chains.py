"""The chains of the log against its leaves: each number there once, each leading to its leaf, and
each leaf naming the one before it. Were a link missing, an event could be left out of an answer.
"""

from __future__ import annotations

from tracechain.app.checking import Findings
from tracechain.app.log.log_rows import LogRows, Row
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.leaf import NONE_BEFORE, Leaf, Link, chain_label


async def check_chains(rows: LogRows, findings: Findings, links: int) -> int:
    """Checks every chain; how many there are. `links` is how many the leaves have."""
    walk = _Walk(findings)
    async for page in rows.pages("log_link"):
        chains = await rows.find("log_chain", [(row["batch_key"],) for row in page])
        leaves = await rows.leaves(row["leaf_index"] for row in page)
        named: dict[int, dict[bytes, Link] | None] = {}
        for row in page:
            index = row["leaf_index"]
            if index not in named:
                named[index] = _links(leaves.get(index))
            walk.step(row, chains.get((row["batch_key"],)), named[index])
    walk.end()
    if walk.steps != links and not walk.found:
        findings.add("LINK_MISSING", f"the leaves have {links} links, and the chains {walk.steps}")
    if await rows.count("log_chain") != walk.chains:
        async for page in rows.pages("log_chain"):
            firsts = await rows.find("log_link", [(row["batch_key"], 0) for row in page])
            for row in page:
                if (row["batch_key"], 0) not in firsts:
                    findings.add("CHAIN_WITHOUT_LINKS", f"chain {row['batch_key']}")
    return walk.chains


class _Walk:
    """Goes along all links, chain after chain."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._key: int | None = None
        self._chain: Row | None = None
        self._number = 0
        # The leaf with the number before; None where that is missing.
        self._last: int | None = NONE_BEFORE
        self.steps = self.chains = 0
        self.found = False

    def step(self, row: Row, chain: Row | None, links: dict[bytes, Link] | None) -> None:
        """The next link, its chain's row, and the links of the leaf that it leads to by label;
        None where there is no such leaf."""
        key, number, index = row["batch_key"], row["number"], row["leaf_index"]
        if key != self._key:
            self.end()
            self._key, self._chain, self._number, self._last = key, chain, 0, NONE_BEFORE
            self.chains += 1
            if chain is None:
                self._add("CHAIN_MISSING", f"chain {key}")
        where = f"chain {key}, number {number}"
        if number != self._number:
            self._add("LINK_MISSING", f"chain {key}, number {self._number}")
            self._last = None
        if links is None:
            self._add("LINK_DIFFERS", f"{where}: there is no leaf {index} to be read")
        elif self._chain is not None:
            link = links.get(chain_label(self._chain["salt"], key))
            if link is None:
                self._add("LINK_DIFFERS", f"{where}: leaf {index} is not in this chain")
            elif link.sequence != number or self._last not in (None, link.previous):
                self._add(
                    "LINK_DIFFERS",
                    f"{where}: leaf {index} says number {link.sequence} after leaf {link.previous}",
                )
        self._number, self._last = number + 1, index
        self.steps += 1

    def end(self) -> None:
        """No more links of this chain."""
        chain = self._chain
        if chain is not None and (chain["length"], chain["last"]) != (self._number, self._last):
            self._add(
                "CHAIN_DIFFERS",
                f"chain {self._key} has {self._number} links up to leaf {self._last}, and says "
                f"{chain['length']} up to {chain['last']}",
            )
        self._chain = None

    def _add(self, kind: str, where: str) -> None:
        self.found = True
        self._findings.add(kind, where)


def _links(row: Row | None) -> dict[bytes, Link] | None:
    if row is None:
        return None
    try:
        return {link.label: link for link in Leaf.parse(row["entry"]).links}
    except InvalidArgument:
        return None  # said where the leaf was read
