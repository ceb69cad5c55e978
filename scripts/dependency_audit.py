"""Asks for known vulnerabilities of everything that requirements.lock names: `./dev audit`.

pip-audit does the asking, of OSV or else of PyPI. A service that cannot be reached must not pass
for one that knows of nothing, and a mirror of PyPI answers every question about advisories with
"no such package": so each service is first asked about a release that is known to be vulnerable,
and only one that says so is believed.

Exit status: 0, audited, nothing known. 1, a vulnerability, or a package that could not be audited.
3, not audited, because no advisory service can be reached from here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# CVE-2024-3651, PYSEC-2024-60: for ever vulnerable, and never installed.
CANARY = "idna==3.6\n"
NOT_AUDITED = 3
_SECONDS = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Audits a lock; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, prog="./dev audit")
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements.lock")
    parser.add_argument("--osv-url", help="ask this service of the OSV protocol and no other")
    given = parser.parse_args(arguments)
    services = [["--vulnerability-service", "osv"], ["--vulnerability-service", "pypi"]]
    if given.osv_url:
        services = [[*services[0], "--osv-url", given.osv_url]]
    for service in services:
        if _knows_the_canary(service):
            return _told(_asked(service, given.lock, "--require-hashes"))
    print("not audited: no advisory service reachable")
    return NOT_AUDITED


def _knows_the_canary(service: Sequence[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary.txt"
        canary.write_text(CANARY)
        found = _asked(service, canary, "--no-deps")
    return found is not None and any(one.get("vulns") for one in found)


def _asked(service: Sequence[str], lock: Path, how: str) -> list[dict[str, Any]] | None:
    """What a service says of each package; None where it could not be asked."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(lock), how, "--disable-pip",
        "--format", "json", "--progress-spinner", "off", "--timeout", str(_SECONDS), *service,
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        # It says why in a traceback, with addresses that are nobody's business.
        return None
    return found


def _told(found: list[dict[str, Any]] | None) -> int:
    if not found:
        print("not audited: the advisory service went away, or the lock names nothing")
        return NOT_AUDITED
    bad = 0
    for one in found:
        if reason := one.get("skip_reason"):
            print(f"not audited: {one['name']}: {reason}")
            bad += 1
        for known in one.get("vulns", ()):
            mended = ", ".join(known.get("fix_versions", ())) or "no release yet"
            print(f"{one['name']} {one['version']}: {known['id']}; mended in {mended}")
            bad += 1
    if not bad:
        print(f"audited: {len(found)} packages, no known vulnerability")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
