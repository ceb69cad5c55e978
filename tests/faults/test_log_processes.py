"""The whole of it as processes: a service, a signer and a witness apart from it, both killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx

from tests.support.command import start
from tests.support.ports import free_port
from tests.support.processes import running
from tests.support.service import TIMEOUT
from tracechain.app.log.proofs import consistency_proof
from tracechain.bootstrap import log as bootstrap_log
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.fact import evidence_fact
from tracechain.domain.log.merkle import verify_consistency
from tracechain.domain.log.note import Note
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.witness import checkpoint_path
from tracechain.settings import Settings

MakeWorld = Callable[..., AbstractAsyncContextManager[Any]]
ORIGIN = "log.example/1"


async def began(*processes: subprocess.Popen[str]) -> list[str]:
    """Where they listen, once they do."""
    lines = []
    for process in processes:
        assert process.stdout is not None
        lines.append(await asyncio.to_thread(process.stdout.readline))
    return [json.loads(line)["listening"] for line in lines]


def end(*processes: subprocess.Popen[str], by: signal.Signals) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(by)
        process.communicate(timeout=60)


async def facts(world: Any, count: int) -> int:
    """Writes facts; how many leaves the log has at least, once they have places."""
    for n in range(count):
        await world.app.store.append_fact(
            evidence_fact(f"e{n}", "unit", "", 1 + n, [n + 1], "00" * 32)
        )
    async with asyncio.timeout(TIMEOUT):
        while (await world.app.store.pending_facts())[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return int((await world.app.store.log_head()).size)


async def published(world: Any, size: int) -> Note:
    """The published checkpoint, once it is of this size or larger."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            note = await world.app.store.get_checkpoint()
            if note and Checkpoint.parse((found := Note.parse(note)).text).size >= size:
                return found
            await asyncio.sleep(0.05)


def signers() -> set[int]:
    """Signers that this process started: those of other tests' services too."""
    return running("log.signer_child", os.getpid())


async def test_a_signer_and_a_witness_that_are_killed_lose_nothing(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    bootstrap_log.make_log_signer(settings, tmp_path / "signer", ORIGIN)
    keys = bootstrap_log.log_keys(tmp_path / "signer")
    cosigners = bootstrap_log.make_witness(
        settings, "w.example/1", tmp_path / "witness" / "key", tmp_path / "witness" / "state"
    )
    policy = tmp_path / "policy"
    logs = "".join(f"log {key}\n" for key in keys)
    policy.write_text(f"{logs}quorum none\n")

    def signer() -> subprocess.Popen[str]:
        where = ["--dir", str(tmp_path / "signer"), "--listen", f"unix:{tmp_path}/socket"]
        return start(["log", "sign", *where, "--json"], tmp_path / "signing")

    def witness(listen: str) -> subprocess.Popen[str]:
        where = ["--key-file", str(tmp_path / "witness" / "key"),
                 "--state", str(tmp_path / "witness" / "state")]  # fmt: skip
        told = ["--policy", str(policy), "--listen", listen, "--json"]
        return start(["witness", *where, *told], tmp_path / "witnessing")

    running = [signer(), witness(f"127.0.0.1:{free_port()}")]
    try:
        socket, address = await began(*running)
        # Both of its keys are asked for, at one address.
        lines = [f"witness w{n} {key} http://{address}\n" for n, key in enumerate(cosigners)]
        policy.write_text(f"{logs}{''.join(lines)}group g all w0 w1\nquorum g\n")
        rules = Policy.parse(policy.read_bytes())
        async with make_world(log_signer=socket, log_policy=policy, log_poll_ms=20) as world:
            seen = [rules.accept(await published(world, await facts(world, 5))).checkpoint]
            writing = asyncio.create_task(facts(world, 12))
            await asyncio.sleep(0.1)
            end(*running, by=signal.SIGKILL)
            size = await writing
            running = [signer(), witness(address)]
            await began(*running)
            seen.append(rules.accept(await published(world, size)).checkpoint)
            first, last = seen
            proof = await consistency_proof(world.app.store, first.size, last.size)
            verify_consistency(first.size, last.size, proof, first.root, last.root)
        async with httpx.AsyncClient(trust_env=False) as client:
            served = await client.get(f"http://{address}/{checkpoint_path(ORIGIN)}")
        assert rules.accept(Note.parse(served.content)).checkpoint == last
        end(*running, by=signal.SIGTERM)
        assert [process.returncode for process in running] == [0, 0]
    finally:
        end(*running, by=signal.SIGKILL)


async def test_a_service_with_its_own_signer_outlives_it(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    """Nothing is configured: the service makes the keys and starts the signer by itself."""
    before = signers()
    async with make_world(log_poll_ms=20) as world:
        first = await published(world, await facts(world, 3))
        folder = bootstrap_log.log_signer_dir(world.app.settings)
        keys = [verifier(key) for key in bootstrap_log.log_keys(folder)]
        rules = Policy.parse(b"quorum none\n")
        assert rules.accept(first, keys).checkpoint.origin == "id.tracechain.example/log"
        # The signer is a child of this process, as the store's process is.
        (signer,) = signers() - before
        os.kill(signer, signal.SIGKILL)
        last = await published(world, await facts(world, 3))
        assert rules.accept(last, keys)
    assert signers() == before
