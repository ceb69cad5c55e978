"""The composition root: everything is made here, from one configuration, and closed here.

What commands, tests and measures use of it; `log` has what the log's own processes are made of.
"""

from tracechain.bootstrap.app import App, build
from tracechain.bootstrap.ports import Ports, serve
from tracechain.bootstrap.stores import (
    check_log,
    clock,
    distribute_store,
    open_archive,
    rewrap,
    server_of,
    store_for,
    vault_for,
)

__all__ = [
    "App",
    "Ports",
    "build",
    "check_log",
    "clock",
    "distribute_store",
    "open_archive",
    "rewrap",
    "serve",
    "server_of",
    "store_for",
    "vault_for",
]
