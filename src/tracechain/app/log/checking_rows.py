"""What the store has against what the log says: every fact is as its row has it, and every row
that must have a leaf has exactly one.

A fact is made anew from its row, by the same functions that made it at first, and compared: so
there is no second list of what counts. What is older than the log cannot be told from what was
slipped in with an old time: it is counted, and the count is for its reader to know.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tracechain.app.checking import Findings, Groups
from tracechain.app.log.log_rows import LogRows, Row
from tracechain.domain.batch_key import event_key
from tracechain.domain.code import Algorithm
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.keys import IssuerKey, JudgeEarlier
from tracechain.domain.log import fact as facts
from tracechain.domain.log.canonical import octets
from tracechain.domain.log.fact import FactKind
from tracechain.domain.log.leaf import Leaf, chain_label
from tracechain.domain.product import Batch
from tracechain.domain.recall import Recall

# Facts of one key within this of the last, in microseconds, may have come in another order than
# the log has them in: two nodes' clocks are never quite the same.
_SKEW = 60_000_000
_JUDGEMENTS = tuple(JudgeEarlier)

Fact = Mapping[str, Any]
# A recall from what a row holds of it: its body, when it was lifted, and why.
ReadRecall = Callable[[str, int | None, str], Recall]


class Opened(NamedTuple):
    """The first leaf of a fact, and the fact."""

    leaf_index: int
    fact: Fact


class RowCheck:
    """Checks facts as the leaves bring them, and then all rows. `older` counts the rows of each
    table that are older than the log."""

    def __init__(self, rows: LogRows, findings: Findings, read_recall: ReadRecall) -> None:
        self._rows = rows
        self._findings = findings
        self._read_recall = read_recall
        self._started: int | None = None
        # What waits, by what it is about; and of each key what was said last.
        self._waits: set[tuple[object, ...]] = set()
        self._raised: dict[int, int] = {}
        self._keys: dict[int, list[Fact]] = {}
        self._waiting_keys: list[Fact] = []
        self.pending = 0
        self.waiting: int | None = None
        self.older: Counter[str] = Counter()

    async def read_pending(self) -> None:
        """Notes what waits for its place."""
        async for page in self._rows.pages("log_pending"):
            for row in page:
                fact = json.loads(row["body"])
                self.pending += 1
                self._begin(fact)
                self._waits.update(_identities(fact))
                if fact["kind"] == FactKind.QUANTITY:
                    number = fact["batch_number"]
                    self._raised[number] = max(self._raised.get(number, 0), fact["quantity"])
                elif fact["kind"] == FactKind.KEY:
                    self._waiting_keys.append(fact)
        self.waiting = self._started

    async def check_facts(self, opened: Sequence[Opened]) -> None:
        """Each fact is what its row says, and its row is there."""
        wanted: dict[str, list[tuple[object, ...]]] = {}
        for _, fact in opened:
            self._begin(fact)
            if fact["kind"] == FactKind.KEY:
                self._remember_key(fact)
            if place := _place(fact):
                wanted.setdefault(place[0], []).append(place[1])
        found = {name: await self._rows.find(name, keys) for name, keys in wanted.items()}
        for index, fact in opened:
            if not (place := _place(fact)):
                continue
            row = found[place[0]].get(place[1])
            what = f"leaf {index}: {_named(fact)}"
            if row is None:
                self._findings.add("ROW_MISSING", what)
            elif differs := self._differences(fact, row):
                self._findings.add("ROW_DIFFERS", f"{what}: {', '.join(differs)}")

    async def check_rows(self) -> None:
        """Every row that must have a leaf has one, or is older than the log."""
        await self._batches()
        await self._issuer_keys()
        async for page in self._rows.pages("event"):
            leaves = await self._rows.of_chains(row["batch_key"] for row in page)
            for row in page:
                identity = ("event", row["event_id"].hex(), row["declaration"].hex())
                said = _facts(leaves.get(row["batch_key"], ()))
                self._once("event", identity, said, row["record_time"])
        async for page in self._rows.pages("touch"):
            await self._touches(page)

    async def _batches(self) -> None:
        raises = Groups(self._rows.pages("quantity_raise"), ("batch_key",))
        recalls = Groups(self._rows.pages("recall"), ("batch_key",))
        async for page in self._rows.pages("batch"):
            chains = {row["batch_key"]: facts.decisions_chain(row["batch_key"]) for row in page}
            leaves = await self._rows.of_chains(chains.values())
            for row in page:
                number = row["batch_key"]
                said = _facts(leaves.get(chains[number], ()))
                if self._once("batch", ("batch", number), said, row["create_time"]):
                    self._once("batch", ("quantity", number, ""), said, row["create_time"])
                self._quantity(row, said)
                for each in await raises.take((number,)):
                    identity = ("quantity", number, each["request_id"])
                    self._once("quantity_raise", identity, said, each["create_time"])
                for each in await recalls.take((number,)):
                    recall_id, lifted = each["recall_id"], each["lift_time"]
                    identity = ("recall", number, recall_id)
                    self._once("recall", identity, said, each["create_time"])
                    if lifted is not None:
                        identity = ("recall_lifted", number, recall_id)
                        self._once("recall", identity, said, lifted)
        await raises.rest()
        await recalls.rest()

    def _quantity(self, row: Row, said: Sequence[Fact]) -> None:
        """A batch has the largest quantity that was authorised."""
        known = [fact["quantity"] for fact in said if fact["kind"] == FactKind.QUANTITY]
        known += [quantity for fact in said if (quantity := facts.told_quantity(fact)) is not None]
        known += [self._raised[n] for n in (row["batch_key"],) if n in self._raised]
        if known and max(known) != row["authorized_quantity"]:
            self._findings.add(
                "ROW_DIFFERS",
                f"batch {row['batch_key']}: authorized_quantity is {row['authorized_quantity']}, "
                f"the log says {max(known)}",
            )

    async def _issuer_keys(self) -> None:
        for fact in self._waiting_keys:
            self._remember_key(fact)
        async for page in self._rows.pages("issuer_key"):
            for row in page:
                said = self._keys.get(row["key_id"], [])
                if not said:
                    self._once("issuer_key", ("key", row["key_id"]), [], row["create_time"])
                    continue
                now = json.loads(facts.key_fact(_key(row), 0).text)
                differs = [_different(fact, now, "time") for fact in said]
                if all(differs):
                    self._findings.add(
                        "ROW_DIFFERS", f"issuer_key {row['key_id']}: {', '.join(differs[-1])}"
                    )

    async def _touches(self, page: Sequence[Row]) -> None:
        """The leaf of an event is in the chain of all that the event touches."""
        events = {(row["event_id"], row["declaration"]) for row in page}
        leaves = await self._rows.of_chains({event_key(event_id) for event_id, _ in events})
        labels = {
            key: chain_label(chain["salt"], key)
            for (key,), chain in (
                await self._rows.find("log_chain", [(row["batch_key"],) for row in page])
            ).items()
        }
        linked: dict[tuple[bytes, bytes], set[bytes]] = {}
        for event_id, declaration in events:
            identity = ("event", event_id.hex(), declaration.hex())
            for leaf in leaves.get(event_key(event_id), ()):
                if identity in _identities(json.loads(leaf["body"])):
                    of_event = linked.setdefault((event_id, declaration), set())
                    of_event |= await self._labels(leaf)
        for row in page:
            in_chains = linked.get((row["event_id"], row["declaration"]))
            if in_chains is not None and labels.get(row["batch_key"]) not in in_chains:
                self._findings.add(
                    "CHAIN_INCOMPLETE",
                    f"event {row['event_id'].hex()} touches {row['batch_key']}, and its leaf is "
                    "not in that chain",
                )

    async def _labels(self, row: Row) -> set[bytes]:
        """The labels of the chains that a fact is in, given its first leaf's row."""
        try:
            leaf, index = Leaf.parse(row["entry"]), row["leaf_index"]
            further = await self._rows.leaves(range(index + 1, index + leaf.parts))
            parts = [leaf, *(Leaf.parse(one["entry"]) for one in further.values())]
        except InvalidArgument:
            return set()  # said where the leaf was read
        return {link.label for part in parts for link in part.links}

    def _once(
        self, table: str, identity: tuple[object, ...], said: Iterable[Fact], time: int
    ) -> bool:
        """Of the facts in its chain exactly one is about a row. Whether any is, or one waits."""
        count = sum(identity in _identities(fact) for fact in said)
        where = " ".join(map(str, identity))
        if count > 1:
            self._findings.add("LOGGED_TWICE", where)
        elif not count and identity not in self._waits:
            if self._started is None or time < self._started:
                self.older[table] += 1
            else:
                self._findings.add("ROW_NOT_LOGGED", where)
            return False
        return True

    def _begin(self, fact: Fact) -> None:
        time = fact["time"]
        self._started = time if self._started is None else min(self._started, time)

    def _remember_key(self, fact: Fact) -> None:
        before = self._keys.get(fact["key_id"], [])
        self._keys[fact["key_id"]] = [
            *(one for one in before if one["time"] > fact["time"] - _SKEW),
            fact,
        ]

    def _differences(self, fact: Fact, row: Row) -> list[str]:
        """What a fact says otherwise than its row."""
        try:
            now = json.loads(self._made(fact, row).text)
        except (ValueError, TypeError, KeyError, InvalidArgument):
            return ["the row cannot be read"]
        # What the earlier spelling of a batch's fact says besides, `_quantity` looks at.
        return _different(fact, now, "authorized_quantity")

    def _made(self, fact: Fact, row: Row) -> facts.Fact:
        """The fact as its row has it now, but for what may have changed since."""
        match fact["kind"]:
            case FactKind.KEY:
                then = {
                    **row,
                    **{n: fact[n] for n in _LIFE},
                    "judge_earlier": _JUDGEMENTS.index(fact["judge_earlier"]),
                    "certificate": octets(fact["certificate"], "certificate", "INVALID_KEY"),
                }
                return facts.key_fact(_key(then), fact["time"])
            case FactKind.BATCH:
                return facts.batch_fact(_batch(row, row["authorized_quantity"]))
            case FactKind.QUANTITY if not fact["request_id"]:
                # The row has what was authorised last, and `_quantity` checks that.
                return facts.first_quantity_fact(_batch(row, fact["quantity"]), row["issuer_gln"])
            case FactKind.QUANTITY:
                return facts.quantity_fact(
                    row["batch_key"], row["quantity"], row["request_id"], row["decider"],
                    row["reason"], row["create_time"],
                )  # fmt: skip
            case FactKind.RECALL:
                return facts.recall_fact(
                    self._read_recall(row["body"], row["lift_time"], row["lift_reason"])
                )
            case FactKind.RECALL_LIFTED:
                return facts.lifted_fact(
                    row["batch_key"], row["recall_id"], row["lift_time"], row["lift_reason"]
                )
            case _:
                return facts.event_fact(
                    row["event_id"], row["declaration"], row["event_time"], row["record_time"],
                    row["recorder"], row["body"], (),
                )  # fmt: skip


# What changes of a key; what it is never does.
_LIFE = ("activate_time", "retire_time", "revoke_time", "revoke_reason")


def _identities(fact: Fact) -> list[tuple[object, ...]]:
    """All that a fact is about: that of a batch, in its earlier spelling, is the first decision on
    its quantity as well."""
    if facts.told_quantity(fact) is None:
        return [_identity(fact)]
    return [_identity(fact), ("quantity", fact["batch_number"], "")]


def _identity(fact: Fact) -> tuple[object, ...]:
    """What a fact is about, so that there must be one of it; but for keys."""
    match fact["kind"]:
        case FactKind.KEY:
            return "key", fact["key_id"]
        case FactKind.BATCH:
            return "batch", fact["batch_number"]
        case FactKind.QUANTITY:
            return "quantity", fact["batch_number"], fact["request_id"]
        case FactKind.RECALL | FactKind.RECALL_LIFTED as kind:
            return kind, fact["batch_number"], fact["recall_id"]
        case FactKind.EVENT:
            return "event", fact["event_id"], fact["declaration"]
    return "evidence", fact["evidence_id"]


def _named(fact: Fact) -> str:
    return " ".join(map(str, _identity(fact)))


def _place(fact: Fact) -> tuple[str, tuple[object, ...]] | None:
    """Table and key of the row of a fact; None for one that has no row."""
    match fact["kind"]:
        case FactKind.KEY:
            return "issuer_key", (fact["key_id"],)
        case FactKind.BATCH:
            return "batch", (fact["batch_number"],)
        case FactKind.QUANTITY if not fact["request_id"]:
            return "batch", (fact["batch_number"],)
        case FactKind.QUANTITY:
            return "quantity_raise", (fact["batch_number"], fact["request_id"])
        case FactKind.RECALL | FactKind.RECALL_LIFTED:
            return "recall", (fact["batch_number"], fact["recall_id"])
        case FactKind.EVENT:
            event_id = bytes.fromhex(fact["event_id"])
            declaration = bytes.fromhex(fact["declaration"])
            return "event", (event_key(event_id), event_id, declaration, fact["event_time"])
    return None


def _different(fact: Fact, now: Fact, *but: str) -> list[str]:
    """The fields that a fact says otherwise than it would now; none that came later."""
    return [name for name in fact if name not in but and fact[name] != now.get(name)]


def _facts(leaves: Iterable[Row]) -> list[Fact]:
    return [json.loads(leaf["body"]) for leaf in leaves]


def _key(row: Row) -> IssuerKey:
    return IssuerKey(
        row["key_id"], row["issuer_gln"], Algorithm(row["algorithm"]), row["public_key"], b"", "",
        row["create_time"], row["revoke_time"], row["revoke_reason"], row["activate_time"],
        row["retire_time"], _JUDGEMENTS[row["judge_earlier"]], row["certificate"],
    )  # fmt: skip


def _batch(row: Row, quantity: int) -> Batch:
    return Batch(
        row["gtin"], row["lot"], row["production_date"], row["expiration_date"], row["plant_gln"],
        quantity, bool(row["activation_required"]), row["issued_quantity"], row["batch_key"],
        row["create_time"],
    )  # fmt: skip
