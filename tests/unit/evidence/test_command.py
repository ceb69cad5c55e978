"""`tracechain evidence`: status, words and JSON of `verify`, and what `export` refuses at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.bundles import TAMPERINGS, made_bundle, policy_text
from tests.support.command import Command
from tests.support.time_stamps import running_authority
from tracechain.adapters.evidence.stamps import HttpTimeStamps
from tracechain.domain.evidence import wording


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy"
    file.write_text(policy_text())
    return file


@pytest.fixture
def tracechain(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def test_a_good_bundle(tmp_path: Path, policy: Path, tracechain: Command) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(made_bundle().data)
    said = tracechain("evidence", "verify", file, "--policy", policy)
    assert said.status == 0
    for words in (wording.ACCEPTED.zh, "cosigned by w2", wording.NOT_PROVED[0].en,
                  wording.NO_BODY.zh, wording.SEALED.zh, wording.WITHOUT_TEXT.zh):  # fmt: skip
        assert words in said.out
    ran = tracechain("evidence", "verify", file, "--policy", policy, "--json")
    assert ran.status == 0
    found = ran.json
    assert found["verified"] is True
    counts = [(chain["sealed"], chain["without_text"]) for chain in found["chains"]]
    assert counts == [(0, 0), (1, 1), (0, 1)]
    assert [entry["kind"] for entry in found["story"]][-2:] == ["event", "evidence"]
    assert found["time_stamp"] is None


@pytest.mark.parametrize("name", ["an event dropped", "no seal", "two witnesses dropped"])
def test_a_forged_one(tmp_path: Path, policy: Path, name: str, tracechain: Command) -> None:
    made = made_bundle()
    (one,) = [one for one in TAMPERINGS if one.name == name]
    file = tmp_path / "forged.zip"
    file.write_bytes(one.tamper(made))
    said = tracechain("evidence", "verify", file, "--policy", policy)
    assert said.status == 1
    for words in (wording.REFUSED.zh, wording.REASONS[one.reason].zh, one.reason, one.member(made)):
        assert words in said.out
    said = tracechain("evidence", "verify", file, "--policy", policy, "--json")
    assert said.status == 1
    found = said.json
    assert (found["verified"], found["reason"], found["member"]) == (
        False, one.reason, one.member(made),
    )  # fmt: skip


def test_a_stamp_is_checked_where_roots_are_given(
    tmp_path: Path, policy: Path, tracechain: Command
) -> None:
    false, file = made_bundle(stamp=b"?"), tmp_path / "stamped.zip"
    with running_authority(tmp_path) as authority:
        stamps = HttpTimeStamps(authority.url, authority.roots.read_bytes())
        stamp = asyncio.run(stamps.stamp(false.members["checkpoint.txt"]))
    verify = ("evidence", "verify", file, "--policy", policy)
    with_roots = (*verify, "--tsa-roots", authority.roots, "--json")
    file.write_bytes(made_bundle(stamp=stamp).data)
    said = tracechain(*verify)
    assert said.status == 0
    assert "not checked" in said.out
    assert tracechain(*with_roots).json["time_stamp"].endswith("+00:00")
    file.write_bytes(false.data)
    assert tracechain(*verify).status == 0
    said = tracechain(*with_roots)
    assert (said.status, said.json["reason"]) == (1, "FALSE_TIME_STAMP")


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ([], "WHICH_GOODS"),
        (["--code", "x", "--container", "y"], "WHICH_GOODS"),
        (["--code", "x", "--unit", "y"], "WHICH_GOODS"),
    ],
)
def test_one_thing_is_exported(
    tmp_path: Path, args: list[str], reason: str, tracechain: Command
) -> None:
    out = tmp_path / "out.zip"
    said = tracechain("evidence", "export", "--out", out, *args, "--json")
    assert (said.status, said.error["reason"]) == (1, reason)
    assert not out.exists()


def test_nothing_is_written_over(tmp_path: Path, tracechain: Command) -> None:
    out = tmp_path / "out.zip"
    out.write_bytes(b"other evidence")
    said = tracechain("evidence", "export", "--out", out, "--code", "x", "--json")
    assert (said.status, said.error["reason"]) == (1, "FILE_EXISTS")
    assert out.read_bytes() == b"other evidence"


def test_every_refusal_has_words() -> None:
    assert {one.reason for one in TAMPERINGS} <= wording.REASONS.keys()
