"""Where `./dev test` finds a browser, with a PATH of the test's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts import chromium


def program(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


class Ran:
    """Stands where commands would run, and keeps them."""

    def __init__(self, *fails: str) -> None:
        self.fails = fails
        self.commands: list[str] = []

    def __call__(self, command: Sequence[str], seconds: float) -> bool:
        assert seconds <= 600
        line = " ".join(command)
        self.commands.append(line)
        return not any(failing in line for failing in self.fails)


def test_the_systems_own_is_taken_and_a_stub_that_does_not_run_is_not(tmp_path: Path) -> None:
    program(tmp_path, "chromium", "echo 'install the snap first'; exit 1")
    program(tmp_path, "chromium-browser", "echo 'Some other program 1.0'")
    chrome = program(tmp_path, "google-chrome", "echo 'Google Chrome 140.0.1'")
    assert chromium.find({"PATH": str(tmp_path)}) == chrome
    plain = program(tmp_path, "chromium", "echo 'Chromium 140.0.1 built on Debian'")
    assert chromium.find({"PATH": str(tmp_path)}) == plain


def test_what_the_variable_names_comes_first_and_has_to_work(tmp_path: Path) -> None:
    program(tmp_path, "chromium", "echo Chromium 1")
    named = program(tmp_path, "mine", "echo Chromium 2")
    environment = {"PATH": str(tmp_path), chromium.VARIABLE: named}
    assert chromium.find(environment) == named
    environment[chromium.VARIABLE] = str(tmp_path / "nothing")
    with pytest.raises(chromium.NoChromium, match="is no Chromium that starts"):
        chromium.find(environment)


@pytest.mark.parametrize("root", [True, False], ids=["root", "sudo"])
def test_apt_is_asked_where_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    apt, sudo = program(tmp_path, "apt-get", ""), program(tmp_path, "sudo", "")
    ran = Ran()
    assert chromium.install_packages(ran, {"PATH": str(tmp_path)})
    prefix = "" if root else f"{sudo} -n "
    head = f"{prefix}env DEBIAN_FRONTEND=noninteractive {apt} -qq -o Dpkg::Use-Pty=0 "
    assert ran.commands[0 if root else 1 :] == [
        f"{head}update",
        f"{head}install --yes --no-install-recommends chromium fonts-wqy-microhei",
    ]
    if not root:
        assert ran.commands[0] == f"{sudo} -n true"


def test_a_browser_without_the_font_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(tmp_path, "apt-get", "")
    ran = Ran("fonts-")
    assert chromium.install_packages(ran, {"PATH": str(tmp_path)})
    assert ran.commands[-1].endswith("--no-install-recommends chromium")


@pytest.mark.parametrize("there", [(), ("apt-get",), ("apt-get", "sudo")], ids=str)
def test_apt_is_left_alone_where_it_may_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: tuple[str, ...],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in there:
        program(tmp_path, name, "")
    ran = Ran("sudo -n true")
    assert not chromium.install_packages(ran, {"PATH": str(tmp_path)})
    assert not any("apt-get" in command for command in ran.commands)


def test_where_nothing_works_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chromium, "find", lambda: None)
    monkeypatch.setattr(chromium, "install_packages", lambda: True)
    monkeypatch.setattr(chromium, "fetch_playwrights", lambda: False)
    assert chromium.main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "install your system's package `chromium`" in err
