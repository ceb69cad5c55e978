"""Looks for secrets in what is committed, or would be. Part of `./dev lint`; needs no network.

Only forms that are a secret and nothing else are looked for, so that a find is one: blocks of
private keys, keys of clouds and forges, JWTs with a signature, API keys and key-encryption keys of
this service, passwords in URLs. A test that needs such a form makes it while it runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATTERNS = {
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/]{16}"),
    "an API key of this service": re.compile(rb"\btck_[a-z2-7]{16}_[a-z2-7]{50,}"),
    "a key-encryption key": re.compile(
        rb"(?i)(?<![a-z])kek['\"]?\s*[:=]\s*['\"]?[A-Za-z0-9+/]{43}="
    ),
    "a key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a token of GitHub": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})"),
    "a token of GitLab": re.compile(rb"\bglpat-[A-Za-z0-9_-]{20}"),
    "a token of a package registry": re.compile(rb"\b(?:pypi-[A-Za-z0-9_-]{60,}|npm_\w{36})"),
    "a token of Slack": re.compile(rb"\bxox[abprs]-[A-Za-z0-9-]{20,}"),
    "a signed JWT": re.compile(rb"\beyJ[\w-]{16,}\.eyJ[\w-]{16,}\.[\w-]{40,}"),
    "a password in a URL": re.compile(
        rb"\b(?:postgres(?:ql)?|rediss?|https?|amqps?)://[\w.+-]+:(?!password@|secret@|\$|<|\{)"
        rb"[^@\s/:'\"`{}<>]{12,}@[\w.-]+\.[a-z]{2,}"
    ),
}


def found_in(content: bytes) -> Iterator[tuple[int, str]]:
    """Line and kind of each secret. The secret itself is not said."""
    for what, pattern in PATTERNS.items():
        for match in pattern.finditer(content):
            yield content.count(b"\n", 0, match.start()) + 1, what


def files() -> list[Path]:
    """What is committed, and what would be: new files count before they are added."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        # An unpacked archive: all that is in it, but for what a run leaves behind.
        return [
            path
            for path in ROOT.rglob("*")
            if path.is_file()
            and not any(part.startswith(".") or part == "__pycache__" for part in
                        path.relative_to(ROOT).parts[:-1])
        ]  # fmt: skip
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def main() -> int:
    """1 where there is one; each is named on standard error."""
    count = 0
    for path in files():
        for line, what in found_in(path.read_bytes()):
            print(f"{path.relative_to(ROOT)}:{line}: {what}", file=sys.stderr)
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
