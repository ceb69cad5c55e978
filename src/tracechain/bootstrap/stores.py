"""The store that the settings name, what opens its secrets, and work on it as a whole.

What speaks to PostgreSQL is imported where one is named: see `shared`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from tracechain.adapters.kek import Kek, kek_from_file, kek_from_text
from tracechain.adapters.keys import Vault
from tracechain.adapters.records import recall_from_json
from tracechain.adapters.sqlite import open_store
from tracechain.adapters.sqlite.archive import SqliteArchive
from tracechain.adapters.store_process import open_in_process
from tracechain.app.archive import Archive, StoreRefused
from tracechain.app.archiving import Told
from tracechain.app.log import checking
from tracechain.app.log.checking import LogReport
from tracechain.app.ports import Store
from tracechain.app.secrets import Rewrapped, Rewrapping
from tracechain.domain.log.note import Note
from tracechain.domain.log.policy import Policy
from tracechain.domain.scan import ScanRules
from tracechain.settings import Settings


def clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def named_vault(settings: Settings) -> Vault | None:
    """The vault of the key-encryption keys that the settings name; None where they name none, and
    one is kept beside what it wraps. Raises Unavailable."""
    if text := settings.kek.get_secret_value():
        return Vault(kek_from_text(text), _previous(settings))
    if settings.kek_file is not None:
        return Vault(kek_from_file(settings.kek_file, create=False), _previous(settings))
    return None


def vault_for(settings: Settings) -> Vault:
    """The vault of the store's secrets. Raises Unavailable."""
    own = settings.data_dir / "kek"
    return named_vault(settings) or Vault(kek_from_file(own, create=True), _previous(settings))


def _previous(settings: Settings) -> list[Kek]:
    text = settings.kek_previous.get_secret_value()
    return [kek_from_text(text)] if text else []


async def store_for(settings: Settings, rules: ScanRules) -> Store:
    """The store that the settings name. Raises Unavailable and DataCorrupted."""
    open_it: Callable[[], Awaitable[Store]] = partial(
        open_store, settings.store_path, rules, logs=settings.log
    )
    if url := settings.store_url.get_secret_value():
        from tracechain.adapters.postgres import open_store as open_postgres

        open_it = partial(
            open_postgres,
            url,
            rules,
            connections=settings.store_connections,
            logs=settings.log,
        )
    return await (open_in_process(open_it) if settings.store_process else open_it())


async def rewrap(settings: Settings, *, dry: bool) -> Rewrapped:
    """See tracechain.app.secrets.Rewrapping; on the store that the settings name."""
    vault = vault_for(settings)
    store = await store_for(settings, ScanRules())
    try:
        return await Rewrapping(store, vault, clock).run(dry=dry)
    finally:
        await store.close()


def open_archive(settings: Settings) -> Archive:
    """The store that the settings name, as a whole; it is opened with each of its calls."""
    url = settings.store_url.get_secret_value()
    if not url:
        return SqliteArchive(settings.store_path)
    from tracechain.adapters.postgres.archive import PostgresArchive

    return PostgresArchive(url)


async def check_log(
    settings: Settings, told: Told, policy: Policy | None, kept: Sequence[Note]
) -> LogReport:
    """See tracechain.app.log.checking; of the store that the settings name."""
    archive = open_archive(settings)
    return await checking.check_log(archive, told, recall_from_json, policy, kept)


async def distribute_store(settings: Settings, shards: int) -> tuple[list[str], list[str]]:
    """See tracechain.adapters.postgres.citus. Raises StoreRefused STORE_EMBEDDED as well."""
    from tracechain.adapters.postgres.citus import distribute

    return await distribute(server_of(settings), shards)


def server_of(settings: Settings) -> str:
    """The URL of PostgreSQL. Raises StoreRefused STORE_EMBEDDED where there is none."""
    url = settings.store_url.get_secret_value()
    if not url:
        raise StoreRefused("STORE_EMBEDDED", "the embedded store lies on one machine, in one file")
    return url
