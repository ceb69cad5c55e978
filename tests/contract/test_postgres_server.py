"""The PostgreSQL of the tests: it comes back where it was, and it never outlives who started it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres_server import PostgresServer, _is_alive, find_postgres

START_AND_WAIT = """
import sys
from tests.support.postgres_server import PostgresServer
server = PostgresServer().start()
print(server.pid, server._folder, flush=True)
sys.stdin.readline()
"""


def gone(pid: int) -> None:
    """Waits until a process is no more."""

    async def wait() -> None:
        async with asyncio.timeout(30):
            while _is_alive(pid):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    asyncio.run(wait())


def test_there_is_one() -> None:
    assert find_postgres() is not None


@pytest.mark.parametrize("end", ["return", "kill"])
def test_it_is_gone_when_its_owner_is(end: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert owner.stdout is not None
    try:
        pid, folder = owner.stdout.readline().split()
        assert _is_alive(int(pid))
        if end == "return":
            owner.communicate("go\n", timeout=60)
            assert not Path(folder).exists()
        else:
            owner.kill()
        gone(int(pid))
    finally:
        owner.kill()
        owner.communicate()
    # Who was killed cannot tidy up.
    shutil.rmtree(folder, ignore_errors=True)


def test_a_restart_keeps_port_and_data() -> None:
    with PostgresServer(durable=True) as server:
        asyncio.run(server.run("CREATE TABLE kept AS SELECT 7 AS n"))
        port, pid = server.port, server.pid
        server.restart()
        assert (server.port, server.pid != pid) == (port, True)
        assert asyncio.run(server.run("SELECT n FROM kept"))[0][0] == 7
