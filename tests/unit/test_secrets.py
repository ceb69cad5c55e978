"""The search for secrets finds them, and the lock says what is installed, to the byte."""

from __future__ import annotations

import re
import tomllib

import pytest

from scripts.secret_scan import PATTERNS, ROOT, found_in, main

# Put together while the test runs: a whole one in this file would be a find.
PLANTED = {
    "a private key": "-----BEGIN " + "EC PRIVATE KEY-----\n" + "MHcCAQEEIA" * 4,
    "an API key of this service": "tck_" + "a2" * 8 + "_" + "b3" * 26,
    "a key-encryption key": "TRACECHAIN_KEK=" + "A" * 43 + "=",
    "a key of AWS": "AKIA" + "A1" * 8,
    "a token of GitHub": "ghp_" + "a1" * 18,
    "a token of GitLab": "glpat-" + "a1" * 10,
    "a token of a package registry": "pypi-" + "a1" * 40,
    "a token of Slack": "xoxb-" + "1a" * 12,
    "a signed JWT": "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 43,
    "a password in a URL": "postgresql://app:" + "Tr0ub4dor&3x" + "@db.example.com/x",
}
HARMLESS = [
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ",
    "postgresql://user@host/database",
    "redis://user:password@host:6379/0",
    "postgresql://$USER:$PASSWORD@db.example.com/x",
    "tck_aaaaaaaaaaaaaaaa_b",
    "authorization: Bearer {api key}",
]


def test_every_pattern_is_tried() -> None:
    assert PLANTED.keys() == PATTERNS.keys()


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_secret_is_found(what: str) -> None:
    text = "one\ntwo = '" + PLANTED[what] + "'\n"
    assert [kind for _, kind in found_in(text.encode())] == [what]
    assert [line for line, _ in found_in(text.encode())] == [2]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_none(text: str) -> None:
    assert list(found_in(text.encode())) == []


def test_there_is_none_here() -> None:
    assert main() == 0


def locked() -> dict[str, str]:
    """The entries of the lock by name: version, marker and hashes."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return {re.split(r"[\[= ;]", line, maxsplit=1)[0].lower(): line for line in lines}


def test_the_lock_is_complete_and_hashed() -> None:
    entries = locked()
    for line in entries.values():
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[\w.+!-]+", line), line[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line[:80]
    wanted: list[str] = []
    for file in ("pyproject.toml", "clients/python/pyproject.toml"):
        project = tomllib.loads((ROOT / file).read_text())
        wanted += project["project"]["dependencies"]
        wanted += project.get("dependency-groups", {}).get("dev", [])
    names = {re.split(r"[\[<>=!~; ]", one, maxsplit=1)[0].lower() for one in wanted}
    assert names <= entries.keys(), names - entries.keys()
