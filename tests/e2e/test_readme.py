"""What the READMEs and the deployment files say, done."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT
from tests.support.ports import free_port
from tracechain.settings import Settings

READMES = ("README.md", "README.zh-CN.md")


def _blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def _without_comments(block: str) -> list[str]:
    return [line for line in block.splitlines() if not line.startswith("#")]


def test_the_commands_and_the_program_of_the_readme_run(tmp_path: Path) -> None:
    (shell,) = _blocks("README.md", "sh")
    (program,) = _blocks("README.md", "python")
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    # The trap speaks however it ends: the service in the background keeps the pipe open.
    script = f"trap 'echo ended $?' EXIT\nset -eu\n{shell}\npython3 program.py\n"
    address, pages = (f"127.0.0.1:{free_port()}" for _ in range(2))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TRACECHAIN_LISTEN": address,
        "TRACECHAIN_HTTP_LISTEN": pages,
        "NO_PROXY": "127.0.0.1",
        "TRACECHAIN_SERVER": address,
    }
    process = subprocess.Popen(
        ["sh", "-c", script], cwd=tmp_path, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("ended "):
                break
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    out = "".join(lines)
    assert lines[-1] == "ended 0\n", errors + out
    assert "真品 GENUINE" in out
    assert "VERDICT_REASON_RECALLED_RANGE" in out
    assert '{"outcome": "OUTCOME_CAUTION", "issuance": "ISSUANCE_ISSUED"' in out  # by JSON
    assert "AUTHENTIC" in out


def test_the_chinese_readme_has_the_same_commands() -> None:
    english, chinese = ([*_blocks(n, "sh"), *_blocks(n, "python")] for n in READMES)
    assert [_without_comments(b) for b in english] == [_without_comments(b) for b in chinese]


@pytest.mark.parametrize(
    "document", [*READMES, "SECURITY.md", "deploy/README.md", "docs/architecture.md",
                 "docs/integrating.md", "docs/mirror.md", "docs/scale.md", "docs/threat-model.md",
                 "clients/python/README.md"],
)  # fmt: skip
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    missing = [link for link in local if not (path.parent / link).exists()]
    assert not missing


def test_the_deployment_sets_what_exists() -> None:
    text = (ROOT / "deploy" / "tracechain.env").read_text()
    names = re.findall(r"^(?:# )?TRACECHAIN_(\w+)=", text, re.M)
    assert names
    assert {name.lower() for name in names} <= set(Settings.model_fields)
