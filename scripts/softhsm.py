"""Finds SoftHSM for the tests of PKCS #11, or brings it; prints the path of its library.

In this order: what TRACECHAIN_SOFTHSM names, where distributions put it, the system's package where
this user may install it. Where it cannot be had, the last line says what to do, and the tests that
need it fail with that line.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from chromium import install_packages, say

VARIABLE = "TRACECHAIN_SOFTHSM"
PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
WHAT_TO_DO = (
    "no SoftHSM here and none could be installed: install your system's package `softhsm2` (or "
    f"`softhsm`), or name its library: {VARIABLE}=/path/to/libsofthsm2.so ./dev test"
)


def find(environment: Mapping[str, str] = os.environ) -> str | None:
    """The library that is here with its tool to make tokens, or None."""
    if shutil.which("softhsm2-util", path=environment.get("PATH")) is None:
        return None
    named = environment.get(VARIABLE)
    places = [named] if named else PLACES
    return next((place for place in places if Path(place).is_file()), None)


def main() -> int:
    path = find()
    if path is None and VARIABLE not in os.environ and install_packages(packages=["softhsm2"]):
        path = find()
    if path is None:
        say(WHAT_TO_DO)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
