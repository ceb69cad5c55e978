"""The ApprovalStore port, over every backend: a proposal is made once and decided once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.contract.conftest import Open
from tests.support.service import gln_of
from tests.support.stores import approval, credential, issuer_key
from tracechain.app.ports import Store
from tracechain.domain.approval import ApprovalState
from tracechain.domain.keys import JudgeEarlier

ME, OTHER = gln_of(2), gln_of(3)


async def test_what_was_proposed_comes_back_and_the_first_of_an_id_stays(
    store: Store, open_another: Open
) -> None:
    assert await store.get_approval("a") is None
    assert await store.decide_approval("a", ApprovalState.REJECTED, ME, "c", 1) is None
    first = approval("a", ME)
    assert await store.put_approval(first) == first
    assert await store.put_approval(approval("a", OTHER, arguments={})) == first
    assert await (await open_another()).get_approval("a") == first


async def test_proposals_are_listed_page_by_page_of_one_issuer_or_of_all(store: Store) -> None:
    made = [approval(f"a{n}", (ME, OTHER)[n % 2]) for n in range(5)]
    for one in reversed(made):
        await store.put_approval(one)
    assert await store.list_approvals("", "", 10) == made
    assert await store.list_approvals("", "a1", 2) == made[2:4]
    assert await store.list_approvals(ME, "", 2) == [made[0], made[2]]
    assert await store.list_approvals(ME, "a2", 2) == [made[4]]
    assert await store.list_approvals(gln_of(9), "", 2) == []


async def test_of_many_who_decide_at_once_one_decides(store: Store, open_another: Open) -> None:
    stores = [store, await open_another()]
    await store.put_approval(approval("a", ME))
    decisions = (ApprovalState.APPROVED, ApprovalState.REJECTED)
    found = await asyncio.gather(
        *(stores[i % 2].decide_approval("a", decisions[i % 2], OTHER, f"c{i}", i)
          for i in range(20))
    )  # fmt: skip
    assert len({str(one) for one in found}) == 1
    decided = found[0]
    assert decided is not None
    assert decided.kept is decisions[int(decided.decider_credential[1:]) % 2]
    assert decided.decide_time == int(decided.decider_credential[1:])


async def test_only_what_was_approved_is_done(store: Store) -> None:
    for name, decision in (("a", ApprovalState.APPROVED), ("b", ApprovalState.REJECTED)):
        await store.put_approval(approval(name, ME))
        await store.finish_approval(name)
        assert await store.get_approval(name) == approval(name, ME)
        decided = await store.decide_approval(name, decision, OTHER, "c", 9)
        assert decided == replace(
            approval(name, ME), kept=decision, decider_gln=OTHER, decider_credential="c",
            decide_time=9,
        )  # fmt: skip
        await store.finish_approval(name)
        found = await store.get_approval(name)
        done = ApprovalState.DONE if decision is ApprovalState.APPROVED else decision
        assert found == replace(decided, kept=done)
        assert await store.decide_approval(name, ApprovalState.REJECTED, ME, "d", 10) == found


async def test_revocations_are_counted_by_when_they_were_made(store: Store) -> None:
    for number in (1, 2):
        await store.put_key(issuer_key(number, ME, f"r{number}"))
        await store.put_credential(credential(number, ME))
    assert await store.count_revocations(0) == 0
    # From a moment long ago, but done at 2000.
    await store.revoke_key(1, 5, JudgeEarlier.ACCEPT, "", 2000)
    await store.revoke_credential(credential(1, ME).credential_id, 3000)
    assert [await store.count_revocations(since) for since in (2000, 2001, 3001)] == [2, 1, 0]
    # To tighten one is no further one.
    await store.revoke_key(1, 4, JudgeEarlier.REFUSE, "", 4000)
    assert await store.count_revocations(3001) == 0
