"""A token of SoftHSM for the session: a PKCS #11 library like a vendor's, without the hardware."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

VARIABLE, CONFIG = "TRACECHAIN_SOFTHSM", "SOFTHSM2_CONF"
PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")
TOKEN, PIN = "tracechain test", "8642"


@dataclass(frozen=True)
class Token:
    """A token whose PIN lies in a file."""

    module: str
    folder: Path

    def uri(self, label: str, **changes: str) -> str:
        """Where a key of this label is. A change to nothing leaves an attribute out."""
        pin = changes.pop("pin", f"pin-source={self.folder}/pin")
        token = quote(changes.pop("token", TOKEN))
        module = changes.pop("module", self.module)
        return f"pkcs11:token={token};object={quote(label)}?module-path={module}&{pin}"


def make_token(folder: Path) -> Token:
    """Makes a token in a folder. Fails where there is no SoftHSM: what is tested with it is a
    promise of the service. From here on this process and its children see this token alone."""
    module = os.environ.get(VARIABLE) or next((p for p in PLACES if Path(p).is_file()), "")
    if not module:
        pytest.fail(
            "there is no SoftHSM here: ./dev test installs it where it may; else install your "
            f"system's package softhsm2, or name its library by {VARIABLE}"
        )
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ[CONFIG] = str(config)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", PIN,
         "--so-pin", PIN + "00"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    pin = folder / "pin"
    pin.touch(mode=0o600)
    pin.write_text(PIN + "\n")
    return Token(module, folder)
