"""Credentials over every backend, with a clock that the tests turn: who is let in until when."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import pytest_asyncio

from tests.contract.conftest import Open
from tests.support.certificates import certified
from tests.support.service import gln_of
from tests.support.stores import party
from tracechain.app.authenticating import Authenticating
from tracechain.app.credentials import Credentials
from tracechain.app.known_callers import KnownCallers
from tracechain.app.last_use import LastUses
from tracechain.app.ports import Store
from tracechain.app.visibility import Visibility
from tracechain.domain.certificate import public_key_of
from tracechain.domain.errors import TracechainError, Unavailable
from tracechain.domain.party import CredentialKind, Principal, Role

ME, OTHER = gln_of(2), gln_of(3)
SECOND = 1_000_000
PUBLIC_KEY = public_key_of(certified("client").pem)


@dataclass
class Bench:
    """Credentials on a store; `now` is the time of day."""

    store: Store
    now: int = 1_000 * SECOND

    def __post_init__(self) -> None:
        self.uses = LastUses(self.store, lambda: self.now)
        self.known = KnownCallers(lambda: self.now, os.urandom)
        self.credentials = Credentials(
            self.store, Visibility(self.store), lambda: self.now, os.urandom, self.uses, self.known
        )
        self.authenticating = Authenticating(self.credentials, None, self.known)
        self.number = itertools.count(1).__next__

    async def create(self, role: Role = Role.HANDLER, **fields: object) -> tuple[str, str]:
        """A new API key as (id, key)."""
        made, key = await self.credentials.create(
            ME, role, "", "line 3", f"r{self.number()}", **fields  # type: ignore[arg-type]
        )  # fmt: skip
        return made.credential_id, key

    async def call(self, key: str) -> Principal:
        """Whom the key makes, asked as the gate asks."""
        return self.authenticating.known(key) or await self.authenticating.bearer(key)

    def later(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@pytest_asyncio.fixture
async def bench(store: Store) -> Bench:
    await store.put_party(party(2))
    await store.put_party(party(3))
    return Bench(store)


async def reason(call: Awaitable[object]) -> str:
    """Why a call is refused."""
    with pytest.raises(TracechainError) as refused:
        await call
    return refused.value.reason


async def test_a_key_is_good_until_the_moment_of_its_expiry(bench: Bench) -> None:
    _, key = await bench.create(expire_time=bench.now + 60 * SECOND)
    _, forever = await bench.create()
    bench.later(59.999999)
    assert (await bench.call(key)).party_gln == ME
    bench.later(0.000001)
    assert await reason(bench.call(key)) == "CREDENTIAL_EXPIRED"
    bench.later(10**9)
    assert (await bench.call(forever)).role is Role.HANDLER


async def test_who_has_half_a_key_is_not_told_that_it_expired(bench: Bench) -> None:
    _, key = await bench.create(expire_time=bench.now + 1)
    bench.later(1)
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert await reason(bench.call(wrong)) == "INVALID_CREDENTIAL"


async def test_an_expiry_that_has_passed_is_refused(bench: Bench) -> None:
    assert await reason(bench.create(expire_time=bench.now)) == "INVALID_LIFETIME"
    known, _ = await bench.create()
    rotated = bench.credentials.rotate(ME, known, 0, "x", expire_time=bench.now)
    assert await reason(rotated) == "INVALID_LIFETIME"


async def test_the_next_key_may_the_same_and_the_old_one_ends_after_the_overlap(
    bench: Bench, open_another: Open
) -> None:
    known, old = await bench.create(Role.ISSUER, scopes=("IssuanceService", "read"))
    # Another node has looked the old one up a moment ago.
    other = Bench(await open_another(), bench.now)
    await other.call(old)
    made, new = await bench.credentials.rotate(ME, known, 3600, "next")
    assert (made.role, made.scopes, made.label) == (
        Role.ISSUER, ("IssuanceService", "read"), "line 3",
    )  # fmt: skip
    for node in (bench, other):
        for key in (old, new):
            assert (await node.call(key)).scopes == {"IssuanceService", "read"}
        node.later(3600)
        assert await reason(node.call(old)) == "CREDENTIAL_EXPIRED"
        await node.call(new)


async def test_a_rotation_does_not_lengthen_a_life(bench: Bench) -> None:
    end = bench.now + 10 * SECOND
    known, old = await bench.create(expire_time=end)
    await bench.credentials.rotate(ME, known, 3600, "next")
    stored = await bench.store.get_credential(known)
    assert stored is not None
    assert stored.expire_time == end
    bench.later(10)
    assert await reason(bench.call(old)) == "CREDENTIAL_EXPIRED"


async def test_without_overlap_the_old_key_ends_at_once_here_and_soon_elsewhere(
    bench: Bench, open_another: Open
) -> None:
    known, old = await bench.create()
    other = Bench(await open_another(), bench.now)
    for node in (bench, other):
        await node.call(old)
    await bench.credentials.rotate(ME, known, 0, "next")
    assert await reason(bench.call(old)) == "CREDENTIAL_EXPIRED"
    other.later(1)
    assert await reason(other.call(old)) == "CREDENTIAL_EXPIRED"


async def test_a_rotation_that_is_repeated_makes_no_second_key(bench: Bench) -> None:
    known, _ = await bench.create()
    made, _ = await bench.credentials.rotate(ME, known, 0, "next")
    for overlap in (0, 60):
        again = bench.credentials.rotate(ME, known, overlap, "next")
        assert await reason(again) == "REQUEST_ID_USED"
    listed = await bench.credentials.list_of(ME)
    assert {c.credential_id for c in listed} == {known, made.credential_id}


async def test_what_cannot_be_rotated(bench: Bench) -> None:
    known, _ = await bench.create()
    rotate = bench.credentials.rotate
    assert await reason(rotate(OTHER, known, 0, "a")) == "CREDENTIAL_NOT_FOUND"
    assert await reason(rotate(ME, "a" * 16, 0, "a")) == "CREDENTIAL_NOT_FOUND"
    for overlap in (-1, 90 * 86_400 + 1):
        assert await reason(rotate(ME, known, overlap, "a")) == "INVALID_LIFETIME"
    await bench.credentials.revoke(ME, known)
    assert await reason(rotate(ME, known, 0, "a")) == "CREDENTIAL_ENDED"
    expired, _ = await bench.create(expire_time=bench.now + 1)
    bench.later(1)
    assert await reason(rotate(ME, expired, 0, "a")) == "CREDENTIAL_ENDED"
    shown = await bench.credentials.register(ME, Role.HANDLER, "", "", PUBLIC_KEY)
    assert await reason(rotate(ME, shown.credential_id, 0, "a")) == "NO_API_KEY"


class Slow:
    """A directory whose look-ups wait until they are let go."""

    def __init__(self, store: Store) -> None:
        self.store, self.looks, self.go = store, 0, asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def get_credential(self, credential_id: str) -> Any:
        found = await self.store.get_credential(credential_id)
        # Only now: who waits for a look changes what it would else have seen.
        self.looks += 1
        await self.go.wait()
        return found


@dataclass
class Narrowed:
    """A directory in which one credential has scopes by now; no call of ours changes them."""

    store: Store
    credential_id: str

    async def get_credential(self, credential_id: str) -> Any:
        found = await self.store.get_credential(credential_id)
        assert found is not None
        return replace(found, scopes=("read",)) if credential_id == self.credential_id else found


async def answer(bench: Bench, key: str) -> str | frozenset[str]:
    """The scopes that a key makes, or why it makes none."""
    try:
        return (await bench.call(key)).scopes
    except TracechainError as error:
        return error.reason


async def test_those_who_call_together_look_once_and_none_ends_it_for_the_others(
    bench: Bench,
) -> None:
    _, key = await bench.create()
    slow = Slow(bench.store)
    bench.credentials._directory = cast("Any", slow)
    calls = [asyncio.create_task(bench.call(key)) for _ in range(20)]
    while not slow.looks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    calls.pop(0).cancel()
    slow.go.set()
    assert {principal.party_gln for principal in await asyncio.gather(*calls)} == {ME}
    assert slow.looks == 1


async def test_who_goes_on_calling_does_not_wait_for_the_next_look(bench: Bench) -> None:
    known, key = await bench.create()
    await bench.call(key)
    slow = Slow(bench.store)
    bench.credentials._directory = cast("Any", slow)
    bench.later(0.5)
    for _ in range(3):
        await bench.call(key)
    while not slow.looks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert slow.looks == 1
    slow.go.set()
    while bench.credentials._loads:  # noqa: ASYNC110
        await asyncio.sleep(0)
    # It is a second from the new look on; what another node revokes is seen within it.
    bench.later(0.9)
    await bench.call(key)
    await bench.store.revoke_credential(known, bench.now)
    bench.later(1)
    assert await reason(bench.call(key)) == "INVALID_CREDENTIAL"


async def test_who_called_a_moment_ago_is_known_and_nothing_is_looked_up(bench: Bench) -> None:
    _, key = await bench.create(Role.ISSUER, scopes=("read",))
    principal = await bench.call(key)
    slow = Slow(bench.store)
    bench.credentials._directory = cast("Any", slow)
    bench.later(0.499999)
    for _ in range(10):
        assert bench.authenticating.known(key) is principal
    assert (slow.looks, bench.credentials._loads) == (0, {})
    for other in (key[:-1], key + "a", key.upper()):
        assert bench.authenticating.known(other) is None
    # From now on the record is looked up anew, beside its calls.
    bench.later(0.000001)
    assert bench.authenticating.known(key) is None


async def test_a_known_caller_is_good_until_the_moment_of_its_keys_expiry(bench: Bench) -> None:
    _, key = await bench.create(expire_time=bench.now + SECOND // 5)
    await bench.call(key)
    bench.later(0.199999)
    assert bench.authenticating.known(key)
    bench.later(0.000001)
    assert await reason(bench.call(key)) == "CREDENTIAL_EXPIRED"


async def test_a_known_caller_whose_key_is_revoked_here_is_refused_at_once(bench: Bench) -> None:
    known, key = await bench.create()
    _, other = await bench.create()
    for one in (key, other):
        await bench.call(one)
    await bench.credentials.revoke(ME, known)
    assert await reason(bench.call(key)) == "INVALID_CREDENTIAL"
    assert bench.authenticating.known(other)


@pytest.mark.parametrize("quiet", [0.1, 0.45, 0.5, 0.7])
async def test_what_another_node_changes_is_seen_within_a_second_however_often_one_calls(
    bench: Bench, open_another: Open, quiet: float
) -> None:
    other = Bench(await open_another(), bench.now)
    revoked, a = await bench.create()
    rotated, b = await bench.create()
    narrowed, c = await bench.create()
    keys = {a: "INVALID_CREDENTIAL", b: "CREDENTIAL_EXPIRED", c: ""}
    for _ in range(7):
        # The last of these is the last to see what was.
        for key in keys:
            assert (await bench.call(key)).scopes == frozenset()
        while bench.credentials._loads:  # noqa: ASYNC110
            await asyncio.sleep(0)
        bench.later(quiet)
        other.later(quiet)
    bench.later(-quiet)
    other.later(-quiet)
    await other.credentials.revoke(ME, revoked)
    await other.credentials.rotate(ME, rotated, 0, "next")
    bench.credentials._directory = cast("Any", Narrowed(bench.store, narrowed))
    changed = bench.now
    while bench.now + quiet * SECOND < changed + SECOND:
        bench.later(quiet)
        for key in keys:
            await answer(bench, key)
        while bench.credentials._loads:  # noqa: ASYNC110
            await asyncio.sleep(0)
    bench.now = changed + SECOND
    assert [await answer(bench, key) for key in keys] == [*list(keys.values())[:2], {"read"}]


async def test_a_look_that_a_revocation_overtook_is_not_believed(bench: Bench) -> None:
    known, key = await bench.create()
    slow = Slow(bench.store)
    bench.credentials._directory = cast("Any", slow)
    before = asyncio.create_task(bench.call(key))
    while not slow.looks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    bench.credentials._directory = bench.store
    await bench.credentials.revoke(ME, known)
    after = bench.call(key)
    assert await reason(after) == "INVALID_CREDENTIAL"
    slow.go.set()
    # It came before the revocation; what it saw is nobody else's.
    assert (await before).party_gln == ME
    assert bench.authenticating.known(key) is None
    assert await reason(bench.call(key)) == "INVALID_CREDENTIAL"


async def test_a_look_that_takes_longer_than_a_second_is_not_waited_for_by_others(
    bench: Bench,
) -> None:
    known, key = await bench.create()
    slow = Slow(bench.store)
    bench.credentials._directory = cast("Any", slow)
    first = asyncio.create_task(bench.call(key))
    while not slow.looks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    # On another node.
    await bench.store.revoke_credential(known, bench.now)
    bench.later(1)
    second = asyncio.create_task(reason(bench.call(key)))
    async with asyncio.timeout(10):
        while slow.looks < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    slow.go.set()
    assert ((await first).party_gln, await second) == (ME, "INVALID_CREDENTIAL")
    assert await reason(bench.call(key)) == "INVALID_CREDENTIAL"


async def test_a_certificate_is_known_by_its_public_key(bench: Bench) -> None:
    assert await reason(bench.credentials.recognise(PUBLIC_KEY)) == "UNKNOWN_CERTIFICATE"
    register = bench.credentials.register
    made = await register(ME, Role.HANDLER, "", "gate", PUBLIC_KEY, scopes=("read",))
    assert made.kind is CredentialKind.CERTIFICATE
    principal = await bench.credentials.recognise(PUBLIC_KEY)
    assert (principal.party_gln, principal.role, principal.scopes) == (ME, Role.HANDLER, {"read"})
    bench.later(5)
    assert await register(ME, Role.HANDLER, "", "gate", PUBLIC_KEY, scopes=("read",)) == made
    for other in (
        register(OTHER, Role.HANDLER, "", "gate", PUBLIC_KEY, scopes=("read",)),
        register(ME, Role.ISSUER, "", "gate", PUBLIC_KEY, scopes=("read",)),
        register(ME, Role.HANDLER, "", "gate", PUBLIC_KEY),
    ):
        assert await reason(other) == "CERTIFICATE_REGISTERED"
    await bench.credentials.revoke(ME, made.credential_id)
    assert await reason(bench.credentials.recognise(PUBLIC_KEY)) == "UNKNOWN_CERTIFICATE"


async def test_a_certificates_record_is_no_api_key(bench: Bench) -> None:
    """Its hash is of something public: nobody may pass for its bearer with that."""
    made = await bench.credentials.register(ME, Role.HANDLER, "", "", PUBLIC_KEY)
    forged = f"tck_{made.credential_id}_{PUBLIC_KEY.decode('latin-1')}"
    for key in (forged, f"tck_{made.credential_id}_{PUBLIC_KEY.hex()}"):
        assert await reason(bench.call(key)) == "INVALID_CREDENTIAL"


async def test_the_last_use_is_kept_to_the_minute_and_never_goes_back(bench: Bench) -> None:
    known, key = await bench.create()
    unused, _ = await bench.create()
    for _ in range(3):
        await bench.call(key)
    bench.later(30)
    await bench.uses.write()
    used = await bench.store.get_credential(known)
    assert used is not None
    assert used.last_use_time == bench.now
    await bench.store.note_uses([known, "nobody"], bench.now - 7)
    assert await bench.store.get_credential(known) == used
    # Nothing new: the next writing changes nothing.
    bench.later(60)
    await bench.uses.write()
    assert await bench.store.get_credential(known) == used
    never = await bench.store.get_credential(unused)
    assert never is not None
    assert never.last_use_time is None


async def test_a_use_that_could_not_be_written_is_written_later(bench: Bench) -> None:
    known, key = await bench.create()
    await bench.call(key)

    class Away:
        async def note_uses(self, *_: object) -> None:
            raise Unavailable("STORE_BUSY", "not now")

    bench.uses._directory = Away()  # type: ignore[assignment]
    await bench.uses.write()
    bench.uses._directory = bench.store
    await bench.uses.write()
    found = await bench.store.get_credential(known)
    assert found is not None
    assert found.last_use_time == bench.now


async def test_of_a_rotation_both_halves_happen_or_neither(bench: Bench) -> None:
    known, _ = await bench.create()
    taken, _ = await bench.create()
    before = await bench.store.list_credentials(ME)
    wanted = replace(before[0], credential_id=taken)
    assert not await bench.store.replace_credential(known, 5, wanted)
    assert await bench.store.list_credentials(ME) == before
