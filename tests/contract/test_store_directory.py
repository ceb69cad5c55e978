"""The Directory port, over every backend: parties, credentials, keys and products."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.conftest import Open
from tests.support.service import gln_of, gtin_of
from tests.support.stores import credential, issuer_key, party, product
from tracechain.app.ports import Store, StoredSecret
from tracechain.domain.keys import IssuerKey, JudgeEarlier
from tracechain.domain.text import LocalizedText

one_store_for_all = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30
)
ME, OTHER = gln_of(2), gln_of(3)
fresh = itertools.count(1).__next__


async def paged(
    ask: Callable[[Any, int], Awaitable[list[Any]]],
    name: Callable[[Any], Any],
    start: Any,
    size: int,
) -> list[Any]:
    """Everything that a list gives page by page."""
    found: list[Any] = []
    while page := await ask(name(found[-1]) if found else start, size):
        assert len(page) <= size
        found += page
    return found


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.get_party(ME) is None
    assert await store.list_parties("", 10, "") == []
    assert await store.get_credential("nobody") is None
    assert await store.list_credentials(ME) == []
    assert await store.revoke_credential("nobody", 1) is None
    assert await store.list_keys(0) == []
    assert await store.list_secrets() == []
    assert not await store.rewrap_key(1, b"", b"new", 1)
    assert not await store.rewrap_secret("nothing", b"", b"new")
    assert await store.activate_key(1, 1, 1) is None
    assert await store.retire_key(1, 1, 1) is None
    assert await store.revoke_key(1, 1, JudgeEarlier.REFUSE, "lost", 1) is None
    assert await store.get_product(gtin_of(1)) is None
    assert await store.list_products("", "", 10) == []
    assert await store.list_products(ME, "", 10) == []


async def test_what_was_kept_comes_back_exactly_and_from_another_store_too(
    store: Store, open_another: Open
) -> None:
    me, key = party(2), issuer_key(1, ME, "first", activate_time=10**15)
    secret, thing = credential(1, ME), product(1, ME)
    bare = product(2, ME, display_name=LocalizedText(), licenses=(), standards=())
    assert await store.put_party(me) == me
    assert await store.put_credential(secret)
    assert await store.put_key(key) == key
    assert await store.put_product(thing) == thing
    assert await store.put_product(bare) == bare
    for at in (store, await open_another()):
        assert await at.get_party(ME) == me
        assert await at.get_credential(secret.credential_id) == secret
        assert await at.list_keys(0) == [key]
        assert await at.get_product(thing.gtin) == thing
        assert await at.get_product(bare.gtin) == bare


async def test_the_first_of_a_name_stays(store: Store) -> None:
    first = await store.put_party(party(2))
    assert await store.put_party(party(2, region="110101", create_time=9)) == first
    assert await store.get_party(ME) == first

    thing = await store.put_product(product(1, ME))
    assert await store.put_product(product(1, OTHER, standards=())) == thing
    assert await store.get_product(thing.gtin) == thing
    assert await store.list_products(OTHER, "", 10) == []

    assert await store.put_credential(credential(1, ME))
    assert not await store.put_credential(credential(1, OTHER, label="mine"))
    assert await store.get_credential("credential000001") == credential(1, ME)
    assert await store.list_credentials(OTHER) == []


async def test_of_many_who_register_one_name_at_once_one_is_first(
    store: Store, open_another: Open
) -> None:
    stores = [store, await open_another()]
    kept = await asyncio.gather(
        *(stores[i % 2].put_party(party(2, create_time=i)) for i in range(20))
    )
    assert len(set(kept)) == 1
    taken = await asyncio.gather(
        *(stores[i % 2].put_credential(credential(1, gln_of(i))) for i in range(20))
    )
    assert sum(taken) == 1
    keys = await asyncio.gather(
        *(stores[i % 2].put_key(issuer_key(i + 1, ME, "one")) for i in range(20))
    )
    assert len(set(keys)) == 1
    assert await store.list_keys(0) == [keys[0]]


@one_store_for_all
@given(
    numbers=st.sets(st.integers(0, 99), max_size=12),
    size=st.integers(1, 5),
    region=st.sampled_from(["", "2", "21", "2101", "210102", "22", "99"]),
)
async def test_parties_are_listed_page_by_page_below_a_region(
    store: Store, numbers: set[int], size: int, region: str
) -> None:
    # Each example has a hundred GLNs of its own, so that they share the store in peace.
    base = fresh() * 100
    regions = ["210102", "210204", "220102", "110101"]
    made = [party(base + n, regions[n % 4]) for n in numbers]
    for one in made:
        await store.put_party(one)
    start, beyond = gln_of(base)[:-1], gln_of(base + 99)
    found = await paged(
        lambda after, limit: store.list_parties(after, limit, region),
        lambda one: one.gln,
        start,
        size,
    )
    wanted = [one for one in made if one.region.startswith(region)]
    assert [one for one in found if one.gln <= beyond] == sorted(wanted, key=lambda one: one.gln)


@one_store_for_all
@given(numbers=st.sets(st.integers(0, 99), max_size=12), size=st.integers(1, 5))
async def test_products_are_listed_page_by_page_of_one_issuer_or_of_all(
    store: Store, numbers: set[int], size: int
) -> None:
    base = fresh() * 100
    owners = [gln_of(base), gln_of(base + 1)]
    made = sorted((product(base + n, owners[n % 2]) for n in numbers), key=lambda one: one.gtin)
    for one in reversed(made):
        await store.put_product(one)
    for owner in owners:
        found = await paged(
            lambda after, limit, owner=owner: store.list_products(owner, after, limit),
            lambda one: one.gtin,
            "",
            size,
        )
        assert found == [one for one in made if one.issuer_gln == owner]
    everything = await paged(
        lambda after, limit: store.list_products("", after, limit),
        lambda one: one.gtin,
        gtin_of(base)[:-1],
        size,
    )
    assert [one for one in everything if one.gtin <= gtin_of(base + 99)] == made


async def test_credentials_of_a_party_are_listed_newest_last(store: Store) -> None:
    made = [credential(n, ME, create_time=100 - n) for n in range(5)]
    for one in [*made, credential(9, OTHER)]:
        await store.put_credential(one)
    assert await store.list_credentials(ME) == made[::-1]


async def test_a_credential_is_revoked_once(store: Store) -> None:
    one = credential(1, ME)
    await store.put_credential(one)
    assert await store.revoke_credential(one.credential_id, 50) == replace(one, revoke_time=50)
    assert await store.revoke_credential(one.credential_id, 60) == replace(one, revoke_time=50)
    assert await store.get_credential(one.credential_id) == replace(one, revoke_time=50)
    assert await store.list_credentials(ME) == [replace(one, revoke_time=50)]
    # To register it again does not bring it back.
    assert not await store.put_credential(one)
    assert await store.get_credential(one.credential_id) == replace(one, revoke_time=50)


async def test_no_key_id_is_given_twice(store: Store, open_another: Open) -> None:
    stores = [store, await open_another()]
    given_out = await asyncio.gather(*(stores[i % 2].reserve_key_id() for i in range(30)))
    assert len(set(given_out)) == 30
    assert min(given_out) >= 1


async def test_a_request_makes_one_key_for_each_issuer(store: Store) -> None:
    first = await store.put_key(issuer_key(1, ME, "make"))
    assert await store.put_key(issuer_key(2, ME, "make", public_key=b"other")) == first
    second = await store.put_key(issuer_key(3, OTHER, "make"))
    third = await store.put_key(issuer_key(4, ME, "another"))
    assert await store.list_keys(0) == [first, second, third]


async def test_keys_that_changed_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    for key_id, made in ((3, 100), (1, 300), (2, 200)):
        await store.put_key(issuer_key(key_id, ME, f"r{key_id}", create_time=made))
    assert [key.key_id for key in await store.list_keys(0)] == [1, 2, 3]
    assert [key.key_id for key in await store.list_keys(200)] == [1, 2]
    assert await store.list_keys(301) == []
    # Revoked as of a time long ago, but changed now: a node that asks for changes must see it.
    await store.revoke_key(3, 50, JudgeEarlier.ACCEPT, "泄露", 400)
    (changed,) = await store.list_keys(301)
    assert (changed.key_id, changed.revoke_time, changed.revoke_reason) == (3, 50, "泄露")


@pytest.mark.parametrize(
    ("change", "field"), [("activate_key", "activate_time"), ("retire_key", "retire_time")]
)
async def test_a_key_is_activated_and_retired_at_the_earliest_time_that_was_said(
    store: Store, change: str, field: str
) -> None:
    await store.put_key(issuer_key(2, ME, "another"))
    key = await store.put_key(issuer_key(1, ME, "make"))
    assert getattr(key, field) is None
    for said, holds in ((3000, 3000), (4000, 3000), (2000, 2000), (2000, 2000), (2500, 2000)):
        assert await getattr(store, change)(1, said, said) == replace(key, **{field: holds})
    # What changed nothing is no change: nodes that ask for changes need not hear of it.
    assert await store.list_keys(2001) == [replace(key, **{field: 2000})][:0]
    changed, other = await store.list_keys(1000)
    assert (changed, other.key_id) == (replace(key, **{field: 2000}), 2)
    assert getattr(other, field) is None


async def test_a_key_that_is_revoked_stays_as_it_was_in_all_else(store: Store) -> None:
    await store.put_key(issuer_key(1, ME, "make", activate_time=1000))
    revoked = await store.revoke_key(1, 2000, JudgeEarlier.CAUTION, "", 2000)
    assert revoked is not None
    assert await store.retire_key(1, 1500, 3000) == revoked
    assert await store.activate_key(1, 500, 3000) == revoked
    assert await store.list_keys(2001) == []


async def test_a_revocation_only_becomes_stricter(store: Store) -> None:
    key = await store.put_key(issuer_key(1, ME, "make"))

    async def revoked(time: int, earlier: JudgeEarlier, reason: str, now: int) -> IssuerKey:
        found = await store.revoke_key(1, time, earlier, reason, now)
        assert found is not None
        return found

    first = replace(key, revoke_time=50, judge_earlier=JudgeEarlier.ACCEPT, revoke_reason="lost")
    # The first may be milder than what a key that is not revoked has.
    assert await revoked(50, JudgeEarlier.ACCEPT, "lost", 1100) == first
    assert await revoked(60, JudgeEarlier.ACCEPT, "again", 1200) == first
    assert await store.list_keys(1101) == []
    sooner = replace(first, revoke_time=40, revoke_reason="leaked sooner")
    assert await revoked(40, JudgeEarlier.ACCEPT, "leaked sooner", 1300) == sooner
    stricter = replace(sooner, judge_earlier=JudgeEarlier.REFUSE, revoke_reason="copies seen")
    assert await revoked(70, JudgeEarlier.REFUSE, "copies seen", 1400) == stricter
    assert await revoked(40, JudgeEarlier.CAUTION, "milder", 1500) == stricter
    assert await store.list_keys(1400) == [stricter]
    assert await store.list_keys(1401) == []


async def test_a_key_stays_revoked_whoever_repeats_what_made_it(store: Store) -> None:
    await store.put_key(issuer_key(1, ME, "make"))
    revoked = await store.revoke_key(1, 5, JudgeEarlier.CAUTION, "lost", 10)
    assert await store.put_key(issuer_key(2, ME, "make")) == revoked


async def test_of_many_who_make_a_secret_at_once_all_have_the_first(
    store: Store, open_another: Open
) -> None:
    stores = [store, await open_another()]
    made = [StoredSecret("s", bytes([i]), bytes([i, i]), i) for i in range(20)]
    kept = await asyncio.gather(*(stores[i % 2].put_secret(one) for i, one in enumerate(made)))
    assert len(set(kept)) == 1
    assert kept[0] in made
    bare = await store.put_secret(StoredSecret("another", b"\x00\xff", b"", 1))
    assert await store.list_secrets() == [bare, kept[0]]


async def test_a_secret_is_wrapped_anew_where_it_is_what_was_read(store: Store) -> None:
    key = await store.put_key(issuer_key(1, ME, "make"))
    secret = await store.put_secret(StoredSecret("s", b"old", b"public", 1))
    assert await store.rewrap_key(1, key.wrapped_secret, b"new", 2000)
    assert await store.list_keys(2000) == [replace(key, wrapped_secret=b"new")]
    assert not await store.rewrap_key(1, key.wrapped_secret, b"late", 3000)
    assert await store.list_keys(2001) == []
    assert await store.rewrap_secret("s", b"old", b"new")
    assert not await store.rewrap_secret("s", b"old", b"late")
    assert await store.list_secrets() == [replace(secret, wrapped=b"new")]


async def test_a_key_gets_another_certificate(store: Store) -> None:
    key = await store.put_key(issuer_key(1, ME, "make", certificate=b"first"))
    assert key.certificate == b"first"
    await store.certify_key(1, b"second", 2000)
    await store.certify_key(77, b"nobody's", 2000)
    assert await store.list_keys(2000) == [replace(key, certificate=b"second")]
