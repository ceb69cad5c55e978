"""The Redis that the tests use is a real one, does what it is told, and does not outlive them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis

from tests.support.ports import HOST
from tests.support.redis_server import RedisServer


@pytest.fixture
def own_server(redis_server: RedisServer) -> Iterator[RedisServer]:
    """A second server, to be stopped and killed at will."""
    assert redis_server.running
    with RedisServer() as server:
        yield server


def client(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=5, decode_responses=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_keeps_what_it_is_given(redis_server: RedisServer) -> None:
    with client(redis_server) as connection:
        assert connection.set("{7}:unit", "active", ex=60)
        assert connection.get("{7}:unit") == "active"
        connection.delete("{7}:unit")


def test_it_runs_scripts(redis_server: RedisServer) -> None:
    with client(redis_server) as connection:
        assert (
            connection.eval("return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, "{7}:n", "3") == 3
        )
        connection.delete("{7}:n")


def test_it_listens_on_loopback_only_and_writes_nothing(redis_server: RedisServer) -> None:
    with client(redis_server) as connection:
        assert connection.config_get("bind") == {"bind": HOST}
        assert connection.config_get("save") == {"save": ""}
        assert connection.config_get("appendonly") == {"appendonly": "no"}


def test_two_servers_share_nothing(redis_server: RedisServer, own_server: RedisServer) -> None:
    assert own_server.port != redis_server.port
    with client(own_server) as mine, client(redis_server) as other:
        mine.set("only-here", "1")
        assert other.get("only-here") is None


def test_a_restart_has_the_same_port_another_process_and_no_data(own_server: RedisServer) -> None:
    port, pid = own_server.port, own_server.pid
    with client(own_server) as connection:
        connection.set("kept", "no")
    own_server.restart()
    assert own_server.port == port
    assert own_server.pid != pid
    with client(own_server) as connection:
        assert connection.get("kept") is None


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_once_ended_it_is_gone_and_can_start_again(own_server: RedisServer, end: str) -> None:
    pid = own_server.pid
    assert pid is not None
    getattr(own_server, end)()
    assert not own_server.running
    assert not alive(pid)
    with client(own_server) as connection, pytest.raises(redis.ConnectionError):
        connection.ping()
    own_server.start()
    with client(own_server) as connection:
        assert connection.ping()


def test_a_server_that_nobody_holds_is_ended(redis_server: RedisServer) -> None:
    assert redis_server.running
    server = RedisServer().start()
    pid = server.pid
    assert pid is not None
    del server
    assert not alive(pid)
