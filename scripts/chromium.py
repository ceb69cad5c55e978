"""Finds a Chromium for the browser tests, or brings one; prints its path.

In this order: what TRACECHAIN_CHROMIUM names, the system's own, the system's package where this
user may install it (Debian and its kin, as root or by a sudo that asks for no password), the one
that Playwright fetches. Each is asked for its version: a name on PATH can be a stub that does not
run. Where none works, the last line says what to do, and the browser tests fail with that line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

VARIABLE = "TRACECHAIN_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WHAT_TO_DO = (
    "no Chromium runs here and none could be installed: install your system's package `chromium` "
    f"(or Google Chrome), or name an executable: {VARIABLE}=/path/to/chromium ./dev test"
)
# A small font with Chinese characters. Without one the pages hold, the screenshots show boxes.
PACKAGES = ("chromium", "fonts-wqy-microhei")
_ASKED_SECONDS = 60
_INSTALL_SECONDS = 600

Run = Callable[[Sequence[str], float], bool]


class NoChromium(Exception):
    """There is none; the message says what to do."""


def works(path: str) -> bool:
    """Whether this executable is a browser that starts."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_ASKED_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "Chrom" in answer.stdout


def find(environment: Mapping[str, str] = os.environ) -> str | None:
    """The Chromium that is here, or None. Raises NoChromium where the variable names none."""
    if named := environment.get(VARIABLE):
        if works(named):
            return named
        raise NoChromium(f"{VARIABLE}={named} is no Chromium that starts")
    for name in NAMES:
        path = shutil.which(name, path=environment.get("PATH"))
        if path and works(path):
            return path
    own = playwrights_own()
    return own if own and works(own) else None


def playwrights_own() -> str | None:
    """Where Playwright keeps the Chromium that it fetched, if it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def run(command: Sequence[str], seconds: float) -> bool:
    """Whether a command ended well in this time; its output goes where ours goes."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        ended = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def install_packages(
    run: Run = run,
    environment: Mapping[str, str] = os.environ,
    packages: Sequence[str] = PACKAGES,
) -> bool:
    """Whether the system's package manager could be asked and did it; of several packages the
    first is what is needed."""
    apt = shutil.which("apt-get", path=environment.get("PATH"))
    if apt is None:
        return False
    # sudo resets the environment, so that what apt must not ask is said on its command line.
    prefix = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if os.geteuid() != 0:
        sudo = shutil.which("sudo", path=environment.get("PATH"))
        if sudo is None or not run([sudo, "-n", "true"], _ASKED_SECONDS):
            return False
        prefix = [sudo, "-n", *prefix]
    say(f"installing {' and '.join(packages)} by apt-get")
    apt_get = [*prefix, apt, "-qq", "-o", "Dpkg::Use-Pty=0"]
    # On a fresh machine the lists of packages are empty, or too old for what they name.
    run([*apt_get, "update"], _INSTALL_SECONDS)
    install = [*apt_get, "install", "--yes", "--no-install-recommends"]
    if run([*install, *packages], _INSTALL_SECONDS):
        return True
    return run([*install, packages[0]], _INSTALL_SECONDS)


def fetch_playwrights(run: Run = run) -> bool:
    """Whether Playwright could fetch its own, which is built for it."""
    say("asking Playwright for its own Chromium")
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    return run(command, _INSTALL_SECONDS)


def find_or_install() -> str:
    """A Chromium that runs. Raises NoChromium."""
    for bring in (None, install_packages, fetch_playwrights):
        if bring is not None and not bring():
            continue
        if path := find():
            return path
    raise NoChromium(WHAT_TO_DO)


def say(text: str) -> None:
    print(f"dev: {text}", file=sys.stderr)


def main() -> int:
    try:
        print(find_or_install())
    except NoChromium as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
