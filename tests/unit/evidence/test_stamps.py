"""RFC 3161 time stamps by an authority of our own, and what is refused as one."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.time_stamps import Authority, running_authority
from tracechain.adapters.evidence.stamps import HttpTimeStamps, read_roots, stamped_time
from tracechain.domain.errors import InvalidArgument, Unavailable

NOTE = b"log.example\n3\nAAAA\n"


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    with running_authority(tmp_path) as running:
        yield running


@pytest.fixture
def stamps(authority: Authority) -> HttpTimeStamps:
    return HttpTimeStamps(authority.url, authority.roots.read_bytes())


async def test_a_stamp_tells_its_time(authority: Authority, stamps: HttpTimeStamps) -> None:
    stamp = await stamps.stamp(NOTE)
    roots = read_roots(authority.roots.read_bytes())
    age = datetime.datetime.now(datetime.UTC) - stamped_time(stamp, NOTE, roots)
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=1)


async def test_what_is_no_stamp_over_this_is_refused(
    authority: Authority, stamps: HttpTimeStamps, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stamp = await stamps.stamp(NOTE)
    roots = read_roots(authority.roots.read_bytes())
    with running_authority(tmp_path_factory.mktemp("other")) as other:
        strangers = read_roots(other.roots.read_bytes())
    # A byte of the message, of the time and of the signature.
    altered = [bytes([*stamp[:at], stamp[at] ^ 1, *stamp[at + 1 :]]) for at in (90, 130, -5)]
    for given, data, whom in (
        (stamp, NOTE + b"x", roots),
        (stamp, NOTE, strangers),
        (b"", NOTE, roots),
        (b"no stamp", NOTE, roots),
        *((one, NOTE, roots) for one in altered),
    ):
        with pytest.raises(InvalidArgument) as refused:
            stamped_time(given, data, whom)
        assert refused.value.reason == "FALSE_TIME_STAMP"


async def test_an_authority_that_fails_is_said_to(
    authority: Authority, stamps: HttpTimeStamps
) -> None:
    earlier = await stamps.stamp(NOTE)
    # Of the same note, but with the nonce of another request: an old time shown as a new one.
    for status, instead in ((200, earlier), (200, b"x" * 100_000), (200, b""), (500, b"")):
        authority.status, authority.instead = status, instead
        with pytest.raises(Unavailable) as refused:
            await stamps.stamp(NOTE)
        assert refused.value.reason == "TSA_UNAVAILABLE"


def test_roots_that_are_none() -> None:
    with pytest.raises(Unavailable) as refused:
        HttpTimeStamps("http://127.0.0.1:1/", b"no certificates")
    assert refused.value.reason == "SETTING_INVALID"
