"""The threat model names tests, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`([a-z_0-9/]+\.py(?:::\w+)?)`", MODEL)))
# The list of the issue: each has to be spoken of.
ATTACKS = (
    "enumeration", "forged token", "replay", "algorithm confusion", "PIN brute force", "griefing",
    "tenant crossing", "over-issuing", "backdating", "junk", "stolen backup", "overload",
    "decompression bombs", "nesting bombs", "header tricks", "timing", "fake domain",
    "slow clients",
)  # fmt: skip


def rows() -> list[list[str]]:
    """The attacks: each row of a table but for its head."""
    lines = [line for line in MODEL.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] != "attack"]


@pytest.mark.parametrize("named", NAMED)
def test_a_named_test_is_there(named: str) -> None:
    file, _, function = named.partition("::")
    tests = ROOT if file.startswith("clients/") else ROOT / "tests"
    path = tests / file.removeprefix("tests/")
    assert path.is_file()
    if function:
        found = {
            node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in found


def test_each_attack_has_a_defence_and_a_test() -> None:
    assert len(rows()) >= len(ATTACKS)
    for row in rows():
        assert len(row) == 3, row
        attack, defence, shown = row
        assert attack
        assert defence
        assert ".py" in shown, attack


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attacks_of_the_list_are_there(attack: str) -> None:
    assert [row for row in rows() if attack.lower() in row[0].lower()], attack
