"""The command line as a test runs it: in this process for speed, or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tracechain.cli import main

ROOT = Path(__file__).resolve().parents[2]
ENTRY = [sys.executable, "-m", "tracechain.cli"]


@dataclass(frozen=True)
class Ran:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The failure that `--json` printed."""
        found: dict[str, Any] = json.loads(self.err)["error"]
        return found


@dataclass
class Command:
    """Runs `tracechain` in this process with an environment of its own."""

    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path, **environment: str) -> Ran:
        self.capfd.readouterr()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["tracechain", *map(str, arguments)])
            for name, value in environment.items():
                patch.setenv(f"TRACECHAIN_{name.upper()}", value)
            status = 0
            try:
                main()
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1
        out, err = self.capfd.readouterr()
        return Ran(status, out, err)


@contextmanager
def serving(
    folder: Path, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`tracechain serve` as a process of its own, and its address. Stopped at the end."""
    ports = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    process = start(["serve", *ports, "--json", *arguments], folder, environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        yield process, json.loads(line)["listening"]
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def start(
    arguments: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A command as a process, its store in `folder`, its log in `folder`/log."""
    given = {f"TRACECHAIN_{k.upper()}": v for k, v in (environment or {}).items()}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            [*ENTRY, *arguments],
            env={**os.environ, "TRACECHAIN_DATA_DIR": str(folder), **given},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
        )
