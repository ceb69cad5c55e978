"""The press: the same codes wherever they are made, and processes that end with their service."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.processes import children
from tracechain.adapters.kek import LocalKek
from tracechain.adapters.keys import Vault
from tracechain.adapters.press import SMALL, Press
from tracechain.app.working_key import WorkingKey, sealed, working
from tracechain.domain.code import Algorithm, Profile, parse_code
from tracechain.domain.code_run import CodeRun, make_codes
from tracechain.domain.keys import IssuerKey, generate

RESOLVER, GTIN = "id.tracechain.example", "06901234500110"
VAULT = Vault(LocalKek(bytes(range(32))))


def _key(algorithm: Algorithm) -> WorkingKey:
    public, secret = generate(algorithm)
    wrapped = sealed(7, "6901234120127", secret, VAULT)
    record = IssuerKey(7, "6901234120127", algorithm, public, wrapped, "r", 1)
    return working(record, VAULT)


def _run(first: int, count: int, profile: Profile = Profile.SIGNED, pins: bool = False) -> CodeRun:
    return CodeRun(RESOLVER, GTIN, 3, first, count, profile, pins)


@pytest_asyncio.fixture
async def press() -> AsyncIterator[Press]:
    made = Press(VAULT, 2)
    yield made
    await made.close()


def _presses(pid: int) -> list[int]:
    """Children of a process that are its press."""
    return [c for c in children(pid) if b"crypto_child" in Path(f"/proc/{c}/cmdline").read_bytes()]


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("profile", Profile)
async def test_large_and_small_runs_give_the_same_codes(
    press: Press, algorithm: Algorithm, profile: Profile
) -> None:
    key = _key(algorithm)
    run = _run(5, SMALL + 1, profile, pins=True)
    large = await press.make(key, run)
    assert large == make_codes(key.secret, run)
    small = await press.make(key, _run(6, 3, profile, pins=True))
    assert (small.first, small.uris) == (6, large.uris[1:4])
    assert small.pins == large.pins[1:4]
    assert key.verify(parse_code(large.uris[-1], RESOLVER))


async def test_small_runs_start_no_process(press: Press) -> None:
    before = _presses(os.getpid())
    await press.make(_key(Algorithm.ES256), _run(0, SMALL - 1))
    assert _presses(os.getpid()) == before


async def test_a_process_that_is_killed_costs_time_and_no_code(press: Press) -> None:
    key = _key(Algorithm.ES256)
    await press.make(key, _run(0, SMALL))
    jobs = [asyncio.ensure_future(press.make(key, _run(i * 4000, 4000))) for i in range(4)]
    await asyncio.sleep(0.05)
    for child in _presses(os.getpid()):
        os.kill(child, signal.SIGKILL)
    for i, codes in enumerate(await asyncio.gather(*jobs)):
        assert (codes.first, len(codes.uris)) == (i * 4000, 4000)
    # And the next order has processes again.
    assert len((await press.make(key, _run(0, SMALL))).uris) == SMALL
    assert _presses(os.getpid())


_PARENT = """
import asyncio, sys
from tests.contract.test_press import _key, _presses, _run, VAULT, SMALL
from tracechain.adapters.press import Press
from tracechain.domain.code import Algorithm
import os

async def main():
    press = Press(VAULT, 2)
    await asyncio.gather(*(press.make(_key(Algorithm.ES256), _run(0, SMALL)) for _ in range(2)))
    print(*_presses(os.getpid()), flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_no_process_outlives_a_service_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(text) for text in parent.stdout.readline().split()]
    assert pids
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 30
    while any(_is_alive(pid) for pid in pids):
        assert time.monotonic() < end, "a process of the press is still there"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
