"""The store of a server deployment: one PostgreSQL database for any number of nodes."""

from tracechain.adapters.postgres.store import PostgresStore, open_store

__all__ = ["PostgresStore", "open_store"]
