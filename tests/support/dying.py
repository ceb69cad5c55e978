"""A process that signs, or cosigns, and is killed on the way.

One process has imported it all and forks a child for each order; the child does the one thing that
is ordered and meets its end where the order says: by SIGKILL at a step, or by an error of the disk,
before the step was done or after. What it answered, if it lived to answer, comes back.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.histories import ORIGIN
from tests.unit.log.trees import ed25519_key
from tracechain.adapters import log_heads
from tracechain.adapters.log_heads import FileHeads
from tracechain.adapters.log_signer_child import answer_of
from tracechain.app.log.ports import Answer
from tracechain.app.log.signing import Signing
from tracechain.app.log.witnessing import Witnessing
from tracechain.domain.log.cosignature import Cosigner
from tracechain.domain.log.note import NoteSigner
from tracechain.telemetry import configure_logs

LOG = NoteSigner(ORIGIN, ed25519_key(1))
WITNESS = Cosigner("w.example/1", ed25519_key(2))
TIME = 1_790_000_000_000_000


@dataclass(frozen=True)
class End:
    """How a child ends: at which call of which function, before it or after; by SIGKILL, or by an
    error of the disk that it has to cope with. `half` writes half of the file first."""

    step: str
    number: int
    after: bool
    kill: bool

    def __str__(self) -> str:
        when = "after" if self.after else "before"
        return f"{'kill' if self.kill else 'error'} {when} {self.step} {self.number}"


# All that writing a note does, in order.
STEPS = [("open", 1), ("half", 1), ("fsync", 1), ("replace", 1), ("fsync", 2)]
ENDS = [
    End(step, number, after, kill)
    for step, number in STEPS
    for after in (False, True)
    for kill in (True, False)
]


def signing(folder: Path) -> Signing:
    """The signer of a folder, by a key that tests know."""
    return Signing([LOG], FileHeads(folder), lambda: TIME)


def witnessing(folder: Path) -> Witnessing:
    """The witness of a folder, likewise."""
    return Witnessing([WITNESS], {ORIGIN: [LOG.key]}, FileHeads(folder), lambda: TIME)


@dataclass
class Mortuary:
    """The process that children are forked from."""

    process: subprocess.Popen[str]

    def do(self, what: str, folder: Path, body: bytes, end: End | None = None) -> Answer | None:
        """The answer of a child that signs (`sign`) or cosigns (`cosign`); None where it died."""
        order: dict[str, Any] = {
            "what": what, "folder": str(folder), "body": base64.b64encode(body).decode(),
            "end": [end.step, end.number, end.after, end.kill] if end else None,
        }  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        if said is None:
            return None
        return Answer(said[0], base64.b64decode(said[1]))


@contextmanager
def mortuary() -> Iterator[Mortuary]:
    """A mortuary; gone at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.dying"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    try:
        yield Mortuary(process)
    finally:
        process.communicate(timeout=20)


def _doomed(end: End, real: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which at its `number`th call is the end."""
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != end.number:
            return real(*arguments, **named)
        result = real(*arguments, **named) if end.after else None
        if end.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        del result
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    return call


def _prepare(end: End) -> None:
    """Only what is done within a hold counts, so that each step is one of replacing the note."""
    real_write = log_heads.write_durably

    def write(path: Path, content: bytes, mode: int) -> None:
        if end.step == "half":
            # The file is opened and written in part; what is written is seen by others.
            real = os.fdopen

            def half(handle: int, *_: Any) -> Any:
                os.write(handle, content[: len(content) // 2])
                return _doomed(end, real)(handle, "wb")

            os.fdopen = half  # type: ignore[assignment]
        else:
            setattr(os, end.step, _doomed(end, getattr(os, end.step)))
        real_write(path, content, mode)

    log_heads.write_durably = write


def _main() -> None:
    # Standard output is for answers.
    configure_logs("critical", "json")
    for line in sys.stdin:
        order = json.loads(line)
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            if order["end"]:
                _prepare(End(*order["end"]))
            folder, body = Path(order["folder"]), base64.b64decode(order["body"])
            sign, cosign = signing(folder).sign, witnessing(folder).add_checkpoint
            answer = answer_of(partial(sign if order["what"] == "sign" else cosign, body))
            said = json.dumps([answer.status, base64.b64encode(answer.body).decode()])
            os.write(theirs, said.encode())
            os._exit(0)
        os.close(theirs)
        os.waitpid(pid, 0)
        with os.fdopen(ours) as answered:
            print(answered.read() or "null", flush=True)


if __name__ == "__main__":
    _main()
