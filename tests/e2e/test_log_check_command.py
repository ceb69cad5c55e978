"""`tracechain log check` as an operator runs it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.log import SIGNER, published, signed
from tests.support.service import gln_of, gtin_of
from tests.support.stores import RULES, batch, party, product
from tracechain.adapters.sqlite import open_store
from tracechain.domain.log.checkpoint import Checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of a store with a log; two facts in it have no place yet."""

    async def fill() -> None:
        store = await open_store(tmp_path / "data" / "store.sqlite3", RULES)
        await store.put_party(party(1))
        await store.put_product(product(1, gln_of(1)))
        await store.put_batch(batch(gtin_of(1), "A"))
        await published(store)
        await store.put_batch(batch(gtin_of(1), "B"))
        await store.close()

    asyncio.run(fill())
    return tmp_path / "data"


def test_a_log_is_checked(run: Command, folder: Path, tmp_path: Path) -> None:
    here = {"data_dir": str(folder)}
    sound = run("log", "check", **here)
    assert sound.status == 0, sound.err
    for words in ("2 leaves in 2 chains, and all holds", "covers 2 leaves; who signed it was not",
                  "2 facts wait"):  # fmt: skip
        assert words in sound.out
    policy = tmp_path / "policy"
    policy.write_text(f"log {SIGNER.key}\nquorum none\n")
    for believed in (("--policy", policy), ("--vkey", str(SIGNER.key))):
        found = run("log", "check", "--json", *believed, **here)
        assert found.status == 0, found.err
        assert (found.json["size"], found.json["checkpoint_size"]) == (2, 2)
        assert (found.json["pending"], found.json["differences"]) == (2, [])
    refused = run("log", "check", "--json", "--policy", policy, "--vkey", "x", **here)
    assert (refused.status, refused.error["reason"]) == (1, "TWO_POLICIES")
    refused = run("log", "check", "--json", "--vkey", "x", **here)
    assert (refused.status, refused.error["reason"]) == (1, "INVALID_VERIFIER_KEY")


def test_what_was_tampered_with_is_named_with_status_one(
    run: Command, folder: Path, tmp_path: Path
) -> None:
    here = {"data_dir": str(folder)}
    kept = tmp_path / "kept"
    kept.write_bytes(signed(Checkpoint(SIGNER.name, 1, bytes(32))))
    found = run("log", "check", "--checkpoint", kept, "--json", **here)
    assert (found.status, found.json["differences"][0]["kind"]) == (1, "ROOT_DIFFERS")
    with closing(sqlite3.connect(folder / "store.sqlite3")) as connection, connection:
        connection.execute("UPDATE batch SET authorized_quantity = 101 WHERE lot = 'A'")
    found = run("log", "check", **here)
    assert found.status == 1
    assert "ROW_DIFFERS: 1" in found.out
    assert "batch 1: authorized_quantity is 101, the log says 100" in found.out
