"""Which Redis a URL names: one server, one behind Sentinel, or a Cluster.

`parse` is pure and refuses what it does not understand whole: a typing error must not end in
another Redis than the one that was meant. `connect` makes the clients; it opens no connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tracechain.adapters.redis_servers import Cluster, OneServer, Servers, Watched
from tracechain.domain.errors import InvalidArgument

_FORMS = {
    "redis": "redis://[user:password@]host:port/db",
    "unix": "unix:///path/to/socket?db=0",
    "redis+sentinel": "redis+sentinel://[user:password@]host:port,host:port/service/db",
    "redis+cluster": "redis+cluster://[user:password@]host:port,host:port",
}
_PORTS = {"redis+sentinel": 26379, "redis+cluster": 6379}
_URL = re.compile(
    r"(?P<scheme>[a-z+]+)://(?:(?P<login>[^@/?#]*)@)?(?P<hosts>[^@/?#]*)(?P<path>/.*)?"
)
_HOST = re.compile(
    r"(\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
# How long, in seconds, a server may take to be connected to where nobody waits for it. Whoever
# waits does so for the cache's own time-out.
_CONNECT = 1.0
# Far more than are used, where redis-py's own bound of 100 would count as a server that fails.
_CONNECTIONS = 1024


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """What a URL says. `kind` is "one", "sentinel" or "cluster"; one server is named by `url`."""

    kind: str
    url: str = ""
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    db: int = 0
    user: str = ""
    password: str = ""
    tls: bool = False


def parse(url: str) -> RedisAddress:
    """What a URL names. Raises InvalidArgument REDIS_URL_INVALID, with an example."""
    match = _URL.fullmatch(url)
    if match is None:
        raise _wrong("is no URL", "redis")
    scheme = match["scheme"]
    tls = scheme.startswith("rediss")
    form = scheme.replace("rediss", "redis", 1) if tls else scheme
    if form not in _FORMS:
        raise _wrong(f"has the scheme {scheme}, which is none of ours", "redis")
    if form in ("redis", "unix"):
        return _one(url, form)
    login, path = match["login"], match["path"] or ""
    user, _, password = (login or "").rpartition(":")
    hosts = tuple(_host(text, form) for text in match["hosts"].split(","))
    service, db = "", 0
    if form == "redis+sentinel":
        service, db = _service(path)
    elif path not in ("", "/"):
        raise _wrong("says more after its hosts, and a Cluster has no databases", form)
    return RedisAddress(
        form.removeprefix("redis+"), "", hosts, service, db, unquote(user), unquote(password), tls
    )


def _one(url: str, form: str) -> RedisAddress:
    try:
        # The driver's own reading, which also takes options after a question mark.
        made = Redis.from_url(url)
    except (ValueError, TypeError) as error:
        raise _wrong(f"cannot be read: {error}", form) from None
    named = made.connection_pool.connection_kwargs
    if form == "unix" and not named.get("path"):
        raise _wrong("names no socket", form)
    if form == "redis" and (not named.get("host") or "," in str(named["host"])):
        raise _wrong("must name one host", form)
    return RedisAddress("one", url)


def _service(path: str) -> tuple[str, int]:
    parts = path.strip("/").split("/")
    if not parts[0] or len(parts) > 2 or "?" in path:
        raise _wrong("must name a service, and nothing after its database", "redis+sentinel")
    if len(parts) == 2 and not parts[1].isdecimal():
        raise _wrong(f"has {parts[1]!r} for the number of a database", "redis+sentinel")
    return unquote(parts[0]), int(parts[1]) if len(parts) == 2 else 0


def _host(text: str, form: str) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    port = int(match["port"] or _PORTS[form]) if match else 0
    if match is None or not 0 < port < 65536:
        raise _wrong(f"has {text!r} for a host", form)
    return match["six"] or match["name"], port


def _wrong(what: str, form: str) -> InvalidArgument:
    # Never the URL itself: it can hold a password, and this is logged.
    return InvalidArgument.of("redis_url", "REDIS_URL_INVALID", f"{what}; like {_FORMS[form]}")


def connect(url: str) -> Servers:
    """The servers that a URL names, not connected yet. Raises InvalidArgument."""
    at = parse(url)
    # At once and once more: after a restart of Redis the pooled connections are dead, and an
    # invalidation that is lost with one leaves other nodes with old facts.
    once_more = Retry(NoBackoff(), 2)
    if at.kind == "one":
        return OneServer(Redis.from_url(url, retry=once_more, max_connections=_CONNECTIONS))
    known: dict[str, Any] = {"password": at.password or None, "username": at.user or None}
    known |= {"socket_connect_timeout": _CONNECT, "socket_timeout": _CONNECT}
    known["max_connections"] = _CONNECTIONS
    if at.tls:
        known["ssl"] = True
    if at.kind == "sentinel":
        # The credentials are those of the servers; the watchers are asked without.
        watchers = {k: v for k, v in known.items() if k.startswith(("socket_", "ssl"))}
        make: Any = Sentinel
        sentinel: Sentinel = make(at.hosts, sentinel_kwargs=watchers, **known)
        client = sentinel.master_for(at.service, db=at.db, retry=once_more)
        return Watched(client, sentinel)
    make_map: Callable[[], RedisCluster] = lambda: RedisCluster(  # noqa: E731
        startup_nodes=[ClusterNode(host, port) for host, port in at.hosts],
        require_full_coverage=False,
        retry=Retry(NoBackoff(), 0),
        **known,
    )
    return Cluster(
        make_map, lambda host, port: Redis(host=host, port=port, retry=once_more, **known)
    )
