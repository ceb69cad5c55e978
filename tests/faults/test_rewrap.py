"""A new key-encryption key takes the place of the old one while nodes serve, and whoever does it is
killed in the middle: nothing is lost, nothing is half, and a repetition ends it."""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.service import (
    TIMEOUT,
    Lot,
    World,
    outcome,
    running_world,
    second_node,
    settings_for,
)
from tests.support.softhsm import Token
from tracechain.adapters.kek import kek_from_text
from tracechain.adapters.keys import Vault
from tracechain.adapters.pkcs11_kek import make_in_token
from tracechain.app.secrets import Rewrapped
from tracechain.app.working_key import sealed
from tracechain.bootstrap import build, rewrap
from tracechain.domain.code import Algorithm
from tracechain.domain.errors import DataCorrupted
from tracechain.domain.keys import IssuerKey, generate
from tracechain.v1 import issuance_pb2, verification_pb2

OLD, NEW = (base64.b64encode(letter * 32).decode() for letter in (b"o", b"n"))
KEYS, HALF = 30, 12
# The command, that comes to a stop half-way: whoever kills it is in time.
COMMAND = f"""
import time
from tracechain.adapters.keys import Vault
from tracechain.cli import main

rewrap, done = Vault.rewrap, []

def some(*given):
    done.append(given)
    if len(done) > {HALF}:
        time.sleep(600)
    return rewrap(*given)

Vault.rewrap = some
main()
"""


def under(store: Path) -> Counter[str]:
    """How many secrets of a store are under each key-encryption key."""
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute(
            "SELECT wrapped_secret FROM issuer_key UNION ALL "
            "SELECT wrapped_secret FROM service_secret"
        ).fetchall()
    return Counter(row[0][5 : 5 + row[0][4]].decode() for row in rows)


async def started(folder: Path) -> asyncio.subprocess.Process:
    """`tracechain keys rewrap` on the store in a folder."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, "keys", "rewrap", "--json",
        env={**os.environ, "TRACECHAIN_DATA_DIR": str(folder), "TRACECHAIN_KEK": NEW,
             "TRACECHAIN_KEK_PREVIOUS": OLD, "TRACECHAIN_STORE_PROCESS": "false",
             "TRACECHAIN_STORE_URL": ""},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def rewrapped(folder: Path, *, dry: bool = False, kek: str = NEW) -> Rewrapped:
    """What the same comes to in this process: another one takes seconds to start."""
    return await rewrap(settings_for(folder, kek=kek, kek_previous=OLD), dry=dry)


async def many_keys(world: World) -> None:
    """Keys of the issuer under the old key-encryption key, all of one secret: making it costs."""
    vault = Vault(kek_from_text(OLD))
    public, secret = generate(Algorithm.ES256)
    for number in range(KEYS):
        key_id = await world.app.store.reserve_key_id()
        wrapped = sealed(key_id, world.issuer.gln, secret, vault)
        await world.app.store.put_key(
            IssuerKey(
                key_id,
                world.issuer.gln,
                Algorithm.ES256,
                public,
                wrapped,
                f"n{number}",
                1,
                activate_time=1,
            )
        )


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kill is of a process, whatever the store; its rows are looked at behind its back here."""
    monkeypatch.delenv("TRACECHAIN_TEST_STORE", raising=False)


async def claim(world: World, code: issuance_pb2.Code) -> int:
    """What comes of a claim by the one device of this test."""
    request = verification_pb2.ClaimUnitRequest(
        code=code.uri, pin=code.pin, context=verification_pb2.ScanContext(device_id="mine")
    )
    return int((await world.nobody.verification.ClaimUnit(request)).status)


async def test_rewrapping_goes_on_after_a_kill_while_nodes_serve(tmp_path: Path) -> None:
    old, new = kek_from_text(OLD).kek_id, kek_from_text(NEW).kek_id
    async with running_world(tmp_path, kek=OLD) as world:
        lot = await world.lot()
        before, claimed = await lot.issue(2, "before", include_pins=True)
        assert await claim(world, claimed) == verification_pb2.CLAIM_STATUS_CLAIMED
        await many_keys(world)
        store = world.app.settings.store_path
        total = under(store)[old]
        assert total == KEYS + 4, "those of two issuers, the service's own and the root's"
        async with second_node(world, kek=NEW, kek_previous=OLD, key_poll_ms=20) as node:
            process = await started(tmp_path)
            async with asyncio.timeout(TIMEOUT):
                while under(store)[new] < HALF:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            process.kill()
            await process.wait()
            halfway = under(store)
            assert halfway == {old: total - HALF, new: HALF}
            assert outcome(await node.verify(before.uri)) == "GENUINE"
            for dry in (True, False):
                found = await rewrapped(tmp_path, dry=dry)
                assert found == Rewrapped(new, halfway[old], total)
            assert under(store) == {new: total}
            assert (await rewrapped(tmp_path)).rewrapped == 0
            await node.app.keyring.refresh()
            assert outcome(await node.verify(before.uri)) == "GENUINE"
        # A node that knows the new one alone reads all, and knows the devices of before.
        async with second_node(world, kek=NEW) as node:
            assert await claim(node, claimed) == verification_pb2.CLAIM_STATUS_CLAIMED_BY_YOU
            assert outcome(await node.verify(before.uri)) == "GENUINE"
            there = Lot(node.issuer, lot.gtin, lot.lot, lot.number)
            (after,) = await there.issue(1, "after")
            assert outcome(await node.verify(after.uri)) == "GENUINE"
        settings = world.app.settings
    with pytest.raises(DataCorrupted, match=new):
        await build(settings)


async def test_two_who_rewrap_at_once_end_it_together(tmp_path: Path) -> None:
    new = kek_from_text(NEW).kek_id
    async with running_world(tmp_path, kek=OLD) as world:
        await many_keys(world)
        store = world.app.settings.store_path
    await asyncio.gather(rewrapped(tmp_path), rewrapped(tmp_path))
    assert under(store) == {new: KEYS + 4}


async def test_a_key_of_a_file_gives_way_to_one_in_a_token(tmp_path: Path, token: Token) -> None:
    uri = token.uri("kek-rewrap")
    name = make_in_token(uri)
    async with running_world(tmp_path, kek=OLD) as world:
        lot = await world.lot(quantity=5000)
        (before,) = await lot.issue(1, "before")
        assert (await rewrapped(tmp_path, kek=uri)).kek_id == name
        assert set(under(world.app.settings.store_path)) == {name}
        async with second_node(world, kek=uri) as node:
            assert outcome(await node.verify(before.uri)) == "GENUINE"
            # So many that they are made, and so many that they are proved, in other processes:
            # each opens the token for itself.
            codes = await Lot(node.issuer, lot.gtin, lot.lot, lot.number).issue(2000, "many")
            requests = [verification_pb2.VerifyCodeRequest(code=code.uri) for code in codes[:50]]
            answer = await node.nobody.verification.BatchVerifyCodes(
                verification_pb2.BatchVerifyCodesRequest(requests=requests)
            )
            assert {outcome(verdict) for verdict in answer.verdicts} == {"GENUINE"}
