"""The embedded store: one SQLite file in WAL mode, durable at each commit."""

from tracechain.adapters.sqlite.store import SqliteStore, open_store

__all__ = ["SqliteStore", "open_store"]
