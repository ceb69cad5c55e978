"""Logs: readable by machines, without what must not be in them, and never in the way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack

_PROGRAM = """
import structlog, sys
from tracechain.telemetry import configure_logs
configure_logs("info", sys.argv[1], worker=7)
log = structlog.get_logger("test")
log.debug("quiet")
log.info("started", port=1)
api_key = "tck_secret"
try:
    raise ValueError("went wrong")
except ValueError as error:
    log.error("internal_error", exc_info=error)
print("still here")
"""


def _run(form: str, stderr: str = "") -> subprocess.CompletedProcess[str]:
    with ExitStack() as stack:
        to = stack.enter_context(open(stderr, "w")) if stderr else subprocess.PIPE
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM, form],
            stdout=subprocess.PIPE,
            stderr=to,
            text=True,
            check=True,
        )


def test_json_lines_say_who_and_what_and_hide_locals() -> None:
    ran = _run("json")
    started, failed = (json.loads(line) for line in ran.stderr.splitlines())
    assert (started["event"], started["port"], started["worker"]) == ("started", 1, 7)
    assert failed["level"] == "error"
    assert "went wrong" in ran.stderr
    assert "tck_secret" not in ran.stderr


def test_people_see_the_traceback_without_locals() -> None:
    ran = _run("console")
    assert "went wrong" in ran.stderr
    assert "tck_secret" not in ran.stderr


def test_a_log_that_cannot_be_written_fails_nobody() -> None:
    for form in ("json", "console"):
        assert _run(form, "/dev/full").stdout == "still here\n"


def test_a_line_is_written_in_one_piece() -> None:
    # Workers share the stream: a line in two writes is mixed with another's. Each write to a
    # socket of this kind is a packet of its own, also where Python does not buffer.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-u", "-c", _PROGRAM, "json"],
            stdout=subprocess.DEVNULL,
            stderr=theirs.fileno(),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            check=True,
        )
        packets = [ours.recv(1 << 20) for _ in range(2)]
    assert [json.loads(packet)["level"] for packet in packets] == ["info", "error"]
    assert all(packet.endswith(b"\n") for packet in packets)
