"""Waiting until a moment, to within some ten microseconds.

An event loop's own timers are good to a millisecond, which would be in every latency that is
counted from a planned time. Linux only (timerfd); Python has it itself from 3.13 on.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Spec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


class Timer:
    """A timer of the running loop, open between `with` and its end."""

    def __enter__(self) -> Timer:
        self._file = _LIBC.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "no timer")
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] | None = None
        self._loop.add_reader(self._file, self._wake)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._file)
        os.close(self._file)

    async def until(self, moment: float) -> None:
        """Returns at `moment` of time.monotonic(), or at once where that has passed; others get
        their turn in either case."""
        if moment <= time.monotonic():
            await asyncio.sleep(0)
            return
        self._woken = self._loop.create_future()
        second = int(moment)
        spec = _Spec(0, 0, second, int((moment - second) * 1e9) + 1)
        _LIBC.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(spec), None)
        await self._woken

    def _wake(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:
            return
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
