"""docs/integrating.md, done: its examples run in their order, and answer what it shows."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import World

DOCUMENT = Path(__file__).parents[2] / "docs" / "integrating.md"
_BLOCK = re.compile(r"^```(sh|python|json)\n(.*?)^```$", re.S | re.M)


def assert_shown(shown: Any, answered: Any) -> None:
    """What the document shows is in the answer; `…` stands for any text."""
    if isinstance(shown, dict):
        assert isinstance(answered, dict)
        assert set(shown) <= set(answered), answered
        for name, value in shown.items():
            assert_shown(value, answered[name])
    elif isinstance(shown, list):
        assert len(shown) == len(answered), answered
        for one, other in zip(shown, answered, strict=True):
            assert_shown(one, other)
    elif shown == "…":
        assert isinstance(answered, str)
        assert answered
    else:
        assert shown == answered


async def run(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a program prints. It has to end well."""
    process = await asyncio.create_subprocess_exec(
        *arguments, cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, (arguments, out.decode(), errors.decode())
    return out.decode()


async def test_its_examples_do_what_it_shows(world: World, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.fail(
            "there is no curl on PATH; the examples of docs/integrating.md are written in it"
        )
    environment = {**os.environ, "URL": world.http, "KEY": world.issuer.api_key, "NO_PROXY": "*"}
    shell, last, seen = "set -eu\n", "", {"sh": 0, "python": 0, "json": 0}
    for language, text in _BLOCK.findall(DOCUMENT.read_text(encoding="utf-8")):
        seen[language] += 1
        if language == "sh":
            # Variables of the blocks before are known, their calls are not made again.
            out = await run(["sh", "-c", shell + text], tmp_path, environment)
            last = out
            shell += "".join(re.findall(r"^\w+=.*\n", text, re.M))
        elif language == "python":
            await run([sys.executable, "-c", text], tmp_path, environment)
        else:
            assert_shown(json.loads(text), json.loads(last))
    assert seen["sh"] == seen["json"] >= 8
    assert seen["python"] == 1
    codes = (tmp_path / "codes.csv").read_text().splitlines()
    assert len(codes) == len(set(codes)) == 1000
