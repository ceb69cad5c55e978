"""The signer as a process of the service's own: `python -m tracechain.adapters.log_signer_child`.

First comes where its folder is, the origin to make keys for where there are none, and what opens
the vault; then requests, `keys` or a body to sign, answered in order as a status, a newline and
the body. It knows neither the store nor the network. A signer that cannot be opened answers every
request with the reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from tracechain.adapters.child_process import requests
from tracechain.adapters.keys import Vault, vault_from
from tracechain.adapters.log_signer_folder import key_types, make_folder, open_folder
from tracechain.app.log.ports import Answer
from tracechain.app.log.signing import Signing
from tracechain.domain.errors import TracechainError, Unavailable
from tracechain.telemetry import configure_logs

KEYS = b"keys"
UNABLE = 503


def greeting(
    folder: Path, origin: str, vault: Vault | None, level: str, form: Literal["json", "console"]
) -> bytes:
    """What such a process is greeted with, secret where there is a vault; `level` and `form` are
    those of its log."""
    opens = vault.greeting().decode() if vault else ""
    return json.dumps([str(folder.absolute()), origin, opens, level, form]).encode()


def _clock() -> int:
    return time.time_ns() // 1000


def _open(greeted: bytes) -> Signing:
    folder, origin, opens, _, _ = json.loads(greeted)
    vault = vault_from(opens.encode()) if opens else None
    if not Path(folder).exists():
        try:
            make_folder(Path(folder), origin, key_types(cosignature=False), vault, _clock)
        except OSError as error:
            raise Unavailable("LOG_STATE_UNAVAILABLE", f"{folder}: {error.strerror}") from None
    return open_folder(Path(folder), vault, _clock)


def answer_of(call: Callable[[], Answer]) -> Answer:
    """What a call answers; where it raises, that it cannot be answered, and why."""
    try:
        return call()
    except TracechainError as error:
        return Answer(UNABLE, f"{error.reason}: {error.message}\n".encode())


def main() -> None:
    """Works until its input ends."""
    asked = requests()
    greeted, _ = next(asked)
    configure_logs(*json.loads(greeted)[3:])
    signing: list[Signing] = []

    def work(request: bytes) -> Answer:
        if not signing:
            signing.append(_open(greeted))
        return Answer(200, signing[0].vkeys()) if request == KEYS else signing[0].sign(request)

    for request, answer in asked:
        status, body = answer_of(partial(work, request))
        answer(b"%d\n" % status + body)


if __name__ == "__main__":
    main()
