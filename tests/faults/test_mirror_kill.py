"""A mirror that is killed, by -9, again and again: its folder is a whole tree at every moment."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.support.command import start
from tests.support.log_server import LogServer, TestLog, log_server, policy_of
from tests.support.mirrored import assert_whole, kept

ROUNDS = 3


def test_killed_at_any_moment(tmp_path: Path) -> None:
    dice = random.Random(6)
    copy, policy = tmp_path / "copy", tmp_path / "policy"
    policy.write_bytes(policy_of())
    with log_server() as server:
        log = TestLog(server)
        arguments = ["mirror", server.url, "--policy", str(policy), "--to", str(copy)]
        for _ in range(ROUNDS):
            log.numbered(dice.randrange(300, 900))
            process = start([*arguments, "--interval", "0.1"], tmp_path)
            try:
                _wait_for(server, 1 + dice.randrange(10))
            finally:
                process.kill()
                process.communicate()
            assert_whole(copy)
        last = start([*arguments, "--once", "--json"], tmp_path)
        assert last.wait(timeout=120) == 0, (tmp_path / "log").read_text()
        last.communicate()
        assert_whole(copy)
        assert {path for path in kept(copy) if ".p/" not in path} == {
            path for path in server.files if ".p/" not in path
        }


def _wait_for(server: LogServer, requests: int) -> None:
    """Until so many more things were asked for."""
    goal, end = len(server.asked) + requests, time.monotonic() + 120
    while len(server.asked) < goal:
        assert time.monotonic() < end
        time.sleep(0.001)
