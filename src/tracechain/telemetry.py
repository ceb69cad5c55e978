"""Structured logs: one JSON object a line for machines, or readable lines for people.

Nothing that is logged holds a code, a PIN, a key or a position; who adds a log line keeps it so.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Literal

import structlog


def configure_logs(level: str, form: Literal["json", "console"], **always: object) -> None:
    """Sets the process up to log to standard error. `always` is in every line."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor]
    if form == "json":
        # Without locals: they hold credentials and codes.
        errors = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        last = [
            structlog.processors.ExceptionRenderer(errors),
            structlog.processors.JSONRenderer(),
        ]
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Lines(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**always)
    # What libraries say (grpc, asyncio) goes the same way, without their own forms.
    logging.basicConfig(
        level=max(number, logging.WARNING), format="%(name)s: %(message)s", stream=sys.stderr
    )


class _Lines(structlog.WriteLogger):
    """Writes each line with its end in one piece, since several processes share the stream; and
    loses lines where nobody takes them: a full disk under the log must not fail the call that had
    something to say."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            # Past Python's buffer: a line that was not taken would stay there, to be tried again
            # at the end of the process and to fail that.
            os.write(self._file.fileno(), f"{message}\n".encode(errors="backslashreplace"))

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg
