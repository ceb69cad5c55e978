"""Ports of loopback that stay free until the one they were found for takes them.

A port that the kernel picked goes to whoever asks next once it is let go: another test's server,
or a mere connection. These lie below what the kernel picks from, and are drawn by chance: a server
that is down for a moment finds its own again.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"
# Linux picks from 32768 on. The bus of a node of a Redis Cluster is 10000 above its port.
BUS = 10_000
_FIRST, _LAST = 10_000, 22_700
# Its own: Hypothesis gives the common one the same seed in all processes.
_CHANCE = random.SystemRandom()


def free_port() -> int:
    """A port that nobody has, nor the one of its bus."""
    while True:
        port = _CHANCE.randint(_FIRST, _LAST)
        with ExitStack() as probes:
            try:
                for number in (port, port + BUS):
                    probes.enter_context(socket.socket()).bind((HOST, number))
            except OSError:
                continue
            return port
