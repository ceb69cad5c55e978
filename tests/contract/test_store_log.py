"""The transparency log in every store: each fact has its leaf, in one order that never forks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from hashlib import sha256

import pytest

from tests.contract.conftest import Open
from tests.support import stores as s
from tests.support.service import gln_of
from tracechain.app.ports import Store
from tracechain.domain.batch_key import event_key
from tracechain.domain.keys import JudgeEarlier
from tracechain.domain.log.checkpoint import Head
from tracechain.domain.log.fact import FactKind, evidence_fact, issuer_chain
from tracechain.domain.log.leaf import MAX_CHAINS, Leaf, Link, chain_label, commitment
from tracechain.domain.log.merkle import consistency, hashes, leaf_hash, nodes, verify_consistency
from tracechain.domain.log.sequencing import LogLeaf
from tracechain.domain.log.tiles import Edge, Tile, reader, tiles, tiles_of

HOUR = 3_600_000_000


async def held(store: Store, holder: str = "a", now: int = 1) -> int:
    """The fencing number of a lease for an hour."""
    fence = await store.take_log_lease(holder, now, now + HOUR)
    assert fence is not None
    return fence


async def sequenced(store: Store, limit: int = 1000) -> list[LogLeaf]:
    """All leaves, once nothing waits."""
    fence = await held(store)
    head = await store.sequence(fence, limit)
    while (await store.pending_facts())[0]:
        head = await store.sequence(fence, limit)
    assert head is not None
    return await store.read_leaves(0, head.size)


async def kinds(store: Store) -> list[str]:
    """What all leaves are about."""
    return [Leaf.parse(leaf.entry).kind.value for leaf in await sequenced(store)]


async def test_an_empty_log_has_the_empty_tree(store: Store) -> None:
    assert await store.log_head() == Head()
    assert await store.pending_facts() == (0, None)
    assert await store.get_checkpoint() is None
    assert await store.sequence(1, 10) is None
    assert await store.sequence(await held(store), 10) == Head()
    assert await store.read_leaves(0, 10) == []
    assert await store.read_tiles([Tile(0, 0, 1)]) == [None]


async def test_what_can_be_denied_leaves_a_fact_once(store: Store) -> None:
    owner = gln_of(1)
    await store.put_party(s.party(1))
    key = s.issuer_key(await store.reserve_key_id(), owner, "r")
    for _ in range(2):
        await store.put_key(key)
        await store.activate_key(key.key_id, 2000, 2000)
        await store.certify_key(key.key_id, b"certificate", 2500)
        await store.retire_key(key.key_id, 3000, 3000)
        await store.revoke_key(key.key_id, 4000, JudgeEarlier.REFUSE, "leaked", 4000)
    assert await store.activate_key(999, 1, 1) is None
    assert not await store.rewrap_key(key.key_id, b"other", b"new", 5000)
    await store.put_product(s.product(1, owner))
    for _ in range(2):
        batch = await store.put_batch(s.batch(s.gtin_of(1)))
        number = batch.batch_number
        await store.raise_quantity(number, 200, "raise", owner, "需要", 6000)
        await store.raise_quantity(number, 150, "lower", owner, "", 6000)
        await store.put_recall(s.recall(number, "one"))
        await store.lift_recall(number, "one", 8000, "解除")
        await store.lift_recall(number, "none", 8000, "")
        await store.append_events(
            [s.event(s.digest("e", 9), [s.touch(number, 0, 5, s.digest("e", 9))])]
        )
    found = await sequenced(store)
    told = [json.loads(leaf.text) for leaf in found]
    # The certificate is put twice, which is a change each time; the rest once.
    assert sorted(fact["kind"] for fact in told) == sorted(
        [*["key"] * 6, "batch", "quantity", "quantity", "recall", "recall_lifted", "event"]
    )
    by_kind = {fact["kind"]: fact for fact in told}
    quantities = [fact for fact in told if fact["kind"] == "quantity"]
    assert [(fact["quantity"], fact["request_id"], fact["decider"]) for fact in quantities] == [
        (100, "", owner), (200, "raise", owner),
    ]  # fmt: skip
    assert "quantity" not in str(by_kind["batch"])
    assert by_kind["batch"]["batch_number"] == number
    assert by_kind["recall_lifted"]["reason"] == "解除"
    last = max((f for f in told if f["kind"] == "key"), key=lambda f: f["time"])
    assert (last["revoke_reason"], last["judge_earlier"]) == ("leaked", "refuse")
    assert key.wrapped_secret.hex() not in json.dumps(told)
    kept = await store.get_events([(s.event_id("e"), b"")])
    assert kept[0] is not None
    assert by_kind["event"]["body_sha256"] == sha256(kept[0].body.encode()).hexdigest()
    assert len(await store.read_links(issuer_chain(owner), 0, 100)) == 6
    assert len(await store.read_links(number, 0, 100)) == 6
    assert len(await store.read_links(event_key(s.event_id("e")), 0, 100)) == 1


async def test_leaves_open_and_chains_hang_together(store: Store) -> None:
    keys = [s.fresh_key() for _ in range(3)]
    for n in range(40):
        said = s.digest(f"chained {n}", n)
        touched = [s.touch(key, n, n + 1, said) for key in keys[: 1 + n % 3]]
        await store.append_events([s.event(said, touched)])
    found = await sequenced(store, limit=7)
    chains = await store.read_chains([*keys, 1 << 40])
    assert chains[3] is None
    for key, chain in zip(keys, chains, strict=False):
        assert chain is not None
        indices = await store.read_links(key, 0, 1000)
        assert (chain.length, chain.last) == (len(indices), indices[-1])
        assert await store.read_links(key, 2, 3) == indices[2:5]
        label, before = chain_label(chain.salt, key), -1
        for number, index in enumerate(indices):
            leaf = Leaf.parse(found[index].entry)
            assert Link(label, number, before) in leaf.links
            before = index
    for n, one in enumerate(found):
        assert one.leaf_index == n
        leaf = Leaf.parse(one.entry)
        assert leaf.commitment == commitment(one.salt, one.text)
        assert json.loads(one.text)["time"] == leaf.time
    assert len({one.salt for one in found}) == len(found)


async def test_the_tree_is_that_of_its_leaves_and_grows_consistently(store: Store) -> None:
    fence, before, heads = await held(store), 0, []
    for group in (1, 255, 3, 300):
        events = [s.event(s.digest(f"grown {group} {n}", n)) for n in range(group)]
        await store.append_events(events)
        assert await store.pending_facts() == (group, min(e.event.record_time for e in events))
        while (await store.pending_facts())[0]:
            head = await store.sequence(fence, 250)
            assert head is not None
            assert head.size > before
            before = head.size
        heads.append(await store.log_head())
    leaves = await store.read_leaves(0, 10_000)
    for head in heads:
        edge, _ = Edge().append([leaf_hash(leaf.entry) for leaf in leaves[: head.size]])
        assert edge.root() == head.root
    newest = heads[-1]
    _, wanted = Edge().append([leaf_hash(leaf.entry) for leaf in leaves])
    assert await store.read_tiles(list(wanted)) == list(wanted.values())
    for old in heads[:-1]:
        path = consistency(old.size, newest.size)
        needed = tiles_of(nodes(path), newest.size)
        contents = await store.read_tiles(needed)
        read = reader({t: c or b"" for t, c in zip(needed, contents, strict=True)}, newest.size)
        verify_consistency(old.size, newest.size, hashes(path, read), old.root, newest.root)
    # What an earlier tree had as its last tile is still to be had.
    assert all(await store.read_tiles(list(tiles(heads[1].size))))
    assert await store.read_tiles([Tile(0, 2, 256), Tile(5, 0, 1)]) == [None, None]


async def test_one_continues_at_a_time_and_who_lost_the_lease_does_nothing(
    store: Store, open_another: Open
) -> None:
    other = await open_another()
    first = await store.take_log_lease("a", 100, 200)
    assert first is not None
    assert await other.take_log_lease("b", 150, 250) is None
    assert await store.take_log_lease("a", 150, 300) == first
    await store.append_events([s.event(s.digest("waiting"))])
    second = await other.take_log_lease("b", 300, 400)
    assert second is not None
    assert second > first
    assert await store.sequence(first, 10) is None
    assert not await store.put_checkpoint(first, 0, b"old")
    assert (await store.pending_facts())[0] == 1
    head = await other.sequence(second, 10)
    assert head is not None
    assert head.size == 1
    assert await store.log_head() == head
    assert await store.take_log_lease("a", 350, 450) is None


async def test_two_at_once_never_give_one_place_twice(store: Store, open_another: Open) -> None:
    other = await open_another()
    fence = await held(store)
    events = [s.event(s.digest(f"raced {n}", n)) for n in range(120)]
    writes = [store.append_events(events[i : i + 10]) for i in range(0, 120, 10)]
    await asyncio.gather(*writes, *(node.sequence(fence, 9) for node in (store, other) * 10))
    found = await sequenced(other)
    told = [json.loads(leaf.text)["event_id"] for leaf in found]
    assert sorted(told) == sorted(e.event.event_id.hex() for e in events)
    edge, _ = Edge().append([leaf_hash(leaf.entry) for leaf in found])
    assert await store.log_head() == Head(120, edge.root())


async def test_a_checkpoint_replaces_only_a_smaller_one(store: Store) -> None:
    fence = await held(store)
    for size, note, taken in ((2, b"two", True), (5, b"five", True), (4, b"four", False)):
        assert await store.put_checkpoint(fence, size, note) is taken
    assert await store.put_checkpoint(fence, 5, b"five, cosigned")
    assert await store.get_checkpoint() == b"five, cosigned"


async def test_a_fact_about_very_many_goods_has_several_leaves(store: Store) -> None:
    keys = tuple(range(1 << 62, (1 << 62) + MAX_CHAINS + 1))
    fact = evidence_fact("id", "subject", gln_of(1), 7, keys, "00" * 32)
    await store.append_fact(fact)
    first, second = [Leaf.parse(leaf.entry) for leaf in await sequenced(store)]
    assert (first.part, first.parts, second.part, second.parts) == (0, 2, 1, 2)
    assert first.commitment == second.commitment
    assert (len(first.links), len(second.links)) == (MAX_CHAINS, 1)
    assert await store.read_links(keys[-1], 0, 5) == [1]
    assert first.kind is FactKind.EVIDENCE


async def test_facts_of_one_moment_keep_their_order(store: Store) -> None:
    events = [s.event(replace(s.digest(f"order {n}", 5), record_time=10)) for n in range(50)]
    await store.append_events(events)
    told = [json.loads(leaf.text)["event_id"] for leaf in await sequenced(store, limit=7)]
    assert told == [event.event.event_id.hex() for event in events]


@pytest.mark.parametrize("limit", [1, 1000])
async def test_what_is_there_survives_and_goes_on(
    store: Store, open_another: Open, limit: int
) -> None:
    await store.append_events([s.event(s.digest(f"kept {n}", n)) for n in range(3)])
    before = await sequenced(store, limit)
    again = await open_another()
    await again.append_events([s.event(s.digest("kept later"))])
    assert (await sequenced(again, limit))[:3] == before
