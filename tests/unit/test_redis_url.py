"""Which Redis a URL names, and what is said where it names none."""

from __future__ import annotations

import pytest

from tracechain.adapters.redis_servers import Cluster, OneServer, Watched
from tracechain.adapters.redis_url import RedisAddress, connect, parse
from tracechain.domain.errors import InvalidArgument

TWO = (("a", 1), ("b", 2))
GOOD = {
    "redis+sentinel://a:1,b:2/main": RedisAddress("sentinel", hosts=TWO, service="main"),
    "redis+sentinel://a/main/3": RedisAddress(
        "sentinel", hosts=(("a", 26379),), service="main", db=3
    ),
    "rediss+sentinel://me:p%40ss@[::1]:7,b:2/main": RedisAddress(
        "sentinel", hosts=(("::1", 7), ("b", 2)), service="main", user="me", password="p@ss",
        tls=True,
    ),
    "redis+cluster://a:1,b:2": RedisAddress("cluster", hosts=TWO),
    "redis+cluster://a/": RedisAddress("cluster", hosts=(("a", 6379),)),
    "rediss+cluster://:secret@a:1,b:2": RedisAddress(
        "cluster", hosts=TWO, password="secret", tls=True
    ),
    "rediss+cluster://me:pa%3Ass@10.0.0.1:1": RedisAddress(
        "cluster", hosts=(("10.0.0.1", 1),), user="me", password="pa:ss", tls=True
    ),
}  # fmt: skip
ONE = [
    "redis://localhost",
    "redis://me:pass@host:6380/2",
    "rediss://host:6380/2?ssl_cert_reqs=none",
    "unix:///run/redis.sock?db=1",
]
BAD = [
    "",
    "localhost:6379",
    "http://a:1",
    "redis+other://a:1",
    "rediss+unix:///x",
    "redis://a:1,b:2/0",
    "redis://a:notaport",
    "unix://",
    "redis+sentinel://a:1,b:2",
    "redis+sentinel://a:1/",
    "redis+sentinel:///main",
    "redis+sentinel://a:1/main/x",
    "redis+sentinel://a:1/main/0/more",
    "redis+sentinel://a:0/main",
    "redis+sentinel://a:1,/main",
    "redis+cluster://",
    "redis+cluster://a:65536",
    "redis+cluster://a:1/0",
    "redis+cluster://a:1 b:2",
    "redis+cluster://::1:7",
]


@pytest.mark.parametrize("url", GOOD)
def test_a_url_names_a_group(url: str) -> None:
    assert parse(url) == GOOD[url]


@pytest.mark.parametrize("url", ONE)
def test_a_url_names_one_server_as_the_driver_reads_it(url: str) -> None:
    assert parse(url) == RedisAddress("one", url)


@pytest.mark.parametrize("url", BAD)
def test_what_names_no_redis_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(url)
    assert caught.value.reason == "REDIS_URL_INVALID"
    assert "://" in caught.value.message


@pytest.mark.parametrize("url", ["redis+cluster://me:s3cret@a:1/0", "redis://:s3cret@a:x"])
def test_a_refusal_keeps_the_password_to_itself(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(url)
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://127.0.0.1:1", OneServer),
        ("rediss+sentinel://u:p@127.0.0.1:1/main", Watched),
        ("rediss+cluster://u:p@127.0.0.1:1", Cluster),
    ],
)
async def test_clients_are_made_without_a_connection(url: str, kind: type) -> None:
    servers = connect(url)
    assert type(servers) is kind
    await servers.aclose()
