"""`tracechain mirror` and `tracechain log watch` as their users meet them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command, Ran, start
from tests.support.log_server import Answer, TestLog, log_server, policy_of
from tests.support.mirrored import assert_whole, kept
from tests.support.service import gln_of, uscc_of


@pytest.fixture(scope="module")
def running() -> Iterator[TestLog]:
    with log_server() as server:
        yield TestLog(server)


@pytest.fixture
def log(running: TestLog) -> TestLog:
    """A log of 300 entries."""
    running.server.empty()
    running.entries.clear()
    running.numbered(300)
    return running


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file that asks for no witnesses."""
    file = tmp_path / "policy"
    file.write_bytes(policy_of())
    return file


def line(process: subprocess.Popen[str]) -> Any:
    """The next line that a process prints, as JSON."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def until(ask: Callable[[], Ran], good: Callable[[Ran], bool]) -> Ran:
    """What a command answers once it succeeds with what is wanted."""
    end = time.monotonic() + 60
    while (ran := ask()).status or not good(ran):
        assert time.monotonic() < end, ran.err
        time.sleep(0.1)
    return ran


def test_a_mirror_once(run: Command, log: TestLog, policy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    arguments = ["mirror", log.server.url, "--policy", policy, "--to", copy, "--once"]
    first = run(*arguments, "--json")
    assert (first.status, first.json["size"], first.json["new"]) == (0, 300, 300)
    assert kept(copy) == log.server.files
    second = run(*arguments)
    assert second.status == 0
    assert "300 entries, 0 of them new" in second.out
    (copy / "tile/entries/000").write_bytes(b"")
    assert run(*arguments, "--verify").status == 0
    assert kept(copy) == log.server.files
    log.numbered(300)
    log.server.instead["tile/entries/001"] = Answer(log.server.files["tile/entries/000"])
    false = run(*arguments, "--json")
    assert (false.status, false.error["reason"]) == (1, "FALSE_ENTRY")
    assert false.error["cure"]
    log.server.instead["checkpoint"] = Answer(b"", 403)
    away = run(*arguments, "--json")
    assert (away.status, away.error["reason"]) == (1, "LOG_UNREACHABLE")
    assert_whole(copy)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"--policy": "quorum none\n"}, "UNKNOWN_LOG"),
        ({"--policy": "quorum some\n"}, "MALFORMED_LOG_POLICY"),
        ({"--policy": ""}, "MALFORMED_LOG_POLICY"),
        ({"--policy": None}, "FILE_ERROR"),
        ({"--origin": "else.example"}, "UNKNOWN_LOG"),
        ({"url": "http://log.example/"}, "INVALID_LOG_URL"),
    ],
)
def test_called_wrongly(
    run: Command, log: TestLog, policy: Path, tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    if "--policy" in changed:
        policy.unlink()
        if changed["--policy"] is not None:
            policy.write_text(changed["--policy"])
    origin = ["--origin", changed["--origin"]] if "--origin" in changed else []
    url = changed.get("url", log.server.url)
    for command, folder in ((["mirror"], "--to"), (["log", "watch"], "--state")):
        ran = run(
            *command, url, "--policy", policy, folder, tmp_path / "to", "--once", "--json", *origin
        )
        assert (ran.status, ran.error["reason"]) == (1, reason)


def test_a_mirror_that_follows(run: Command, log: TestLog, policy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    arguments = ["mirror", log.server.url, "--policy", str(policy), "--to", str(copy)]
    process = start([*arguments, "--interval", "0.1", "--json"], tmp_path)
    try:
        assert line(process)["size"] == 300
        second = run(*arguments, "--once", "--json")
        assert (second.status, second.error["reason"]) == (1, "FOLDER_IN_USE")
        log.server.instead["checkpoint"] = Answer(b"no note")
        log.numbered(300)
        while "MALFORMED_NOTE" not in (tmp_path / "log").read_text():
            assert process.poll() is None
            time.sleep(0.02)
        log.server.instead.clear()
        assert line(process)["size"] == 600
        assert kept(copy).items() <= log.server.files.items()
        assert_whole(copy)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        said = (tmp_path / "log").read_text()
        assert said.count('{"error"') == 1  # however often it was tried
        assert "Traceback" not in said
    finally:
        process.kill()
        process.communicate()


def test_a_watch_that_follows(run: Command, log: TestLog, policy: Path, tmp_path: Path) -> None:
    """It ends by itself, with evidence that needs neither the log nor the watch."""
    state = tmp_path / "state"
    arguments = ["log", "watch", log.server.url, "--policy", str(policy), "--state", str(state)]
    process = start([*arguments, "--interval", "0.1", "--json"], tmp_path)
    try:
        found = line(process)
        assert (found["event"], found["size"]) == ("checkpoint", 300)
        log.server.instead["checkpoint"] = Answer(b"", 403)
        assert line(process)["event"] == "unreachable"
        log.server.instead["checkpoint"] = Answer(b"no note")
        assert [line(process)["event"], line(process)["kind"]] == ["reached", "MALFORMED_NOTE"]
        log.server.instead.clear()
        found = line(process)
        assert (found["event"], found["kind"]) == ("cleared", "MALFORMED_NOTE")
        log.entries[:] = [b"other"] * 280
        log.numbered(70)
        found = line(process)
        assert (found["event"], found["kind"]) == ("alarm", "FORK")
        assert process.wait(timeout=60) == 3
        said = (tmp_path / "log").read_text()
        assert "✗ FORK: the log signed two histories, one of 300 entries and one of 350" in said
        assert "Traceback" not in said
    finally:
        process.kill()
        process.communicate()
    log.server.empty()
    evidence = found["evidence"]
    proved = run("log", "fork", evidence, "--policy", policy, "--json")
    assert (proved.status, proved.json["sizes"]) == (0, [300, 350])
    shown = run("log", "fork", evidence, "--policy", policy)
    assert "log.example/test signed two histories" in shown.out
    assert shown.out.count("— log.example/test ") == 2
    policy.write_text("quorum none\n")
    refused = run("log", "fork", evidence, "--policy", policy, "--json")
    assert (refused.status, refused.error["reason"]) == (1, "NOT_SIGNED")


def test_a_watch_once(run: Command, log: TestLog, policy: Path, tmp_path: Path) -> None:
    arguments = ["log", "watch", log.server.url, "--policy", policy, "--state", tmp_path, "--once"]
    good = run(*arguments)
    assert (good.status, good.err) == (0, "")
    assert "300 entries, in keeping with all before" in good.out
    old = log.server.files["checkpoint"]
    log.numbered(1)
    assert run(*arguments).status == 0
    log.server.files["checkpoint"] = old
    back = run(*arguments, "--json")
    assert back.status == 3
    assert "✗ ROLLBACK: the log shows 300 entries, after it had signed 301" in back.err
    assert json.loads(back.out)["kind"] == "ROLLBACK"
    log.server.instead["checkpoint"] = Answer(b"", 403)
    away = run(*arguments, "--json")
    assert (away.status, json.loads(away.out)["event"]) == (1, "unreachable")
    assert "LOG_UNREACHABLE" in away.err
    (tmp_path / "state.json").write_text("{}")
    damaged = run(*arguments, "--json")
    assert (damaged.status, damaged.error["reason"]) == (1, "STATE_DAMAGED")


def test_the_log_of_a_service(run: Command, tmp_path: Path) -> None:
    """Ours is as any other: known by its address and its keys alone."""
    data, policy = tmp_path / "data", tmp_path / "policy"
    ports = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    process = start(["serve", *ports, "--json"], data)
    try:
        where = line(process)
        url = where["http"] + "/log/"
        operator, issuer = gln_of(901), gln_of(902)
        made = run(
            "keys", "operator", operator, "--uscc", uscc_of(901), "--region", "210000", "--zh",
            "平台", "--json", data_dir=str(data),
        )  # fmt: skip
        by = {"server": where["listening"], "api_key": made.json["api_key"]}
        run(
            "register", "party", issuer, "--uscc", uscc_of(902), "--region", "210102", "--kind",
            "issuer", "--zh", "老窖", **by,
        )  # fmt: skip
        by["api_key"] = run("keys", "credential", issuer, "--role", "issuer", "--json", **by).json[
            "apiKey"
        ]
        # The service makes the log's keys once it has something to sign.
        assert run("keys", "create", issuer, **by).status == 0
        found = until(lambda: run("log", "key", "--json", data_dir=str(data)), lambda _: True)
        lines = [f"log {key} {url}" for key in found.json["vkeys"]]
        policy.write_text("\n".join([*lines, "quorum none", ""]))
        mirror = ["mirror", url, "--policy", policy, "--to", tmp_path / "copy", "--once", "--json"]
        watch = ["log", "watch", url, "--policy", policy, "--state", tmp_path / "state", "--once"]
        for size in (1, 2):
            until(lambda: run(*mirror), lambda ran, size=size: ran.json["size"] >= size)
            assert_whole(tmp_path / "copy")
            assert run(*watch).status == 0
            assert run("keys", "create", issuer, **by).status == 0
    finally:
        process.terminate()
        process.communicate(timeout=60)
