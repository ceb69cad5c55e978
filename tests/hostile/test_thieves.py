"""What a thief gets: of the store's files, of a key-encryption key, of the logs."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.support.service import World, running_world, settings_for
from tracechain.adapters.keys import Vault
from tracechain.bootstrap import build
from tracechain.domain.errors import DataCorrupted
from tracechain.v1 import verification_pb2 as pb

MakeWorld = Callable[..., AbstractAsyncContextManager[World]]
DEVICE = "device-of-a-person-4711"


async def lived(world: World) -> dict[str, bytes]:
    """A service that did everything once, and what must not be found in its store."""
    (code,) = await (await world.lot()).issue(1, include_pins=True)
    await world.verify(code.uri, device=DEVICE, region="210102")
    context = pb.ScanContext(device_id=DEVICE)
    for pin in ("AAAAAAAA", code.pin):
        await world.nobody.verification.ClaimUnit(
            pb.ClaimUnitRequest(code=code.uri, pin=pin, context=context)
        )
    kek = base64.b64decode((world.app.settings.data_dir / "kek").read_bytes())
    api_secret = world.issuer.api_key.rpartition("_")[2]
    return {
        "a PIN": code.pin.encode(),
        "a device": DEVICE.encode(),
        "an API key": api_secret.encode(),
        "the key-encryption key": kek,
        "an address": b"127.0.0.1",
    }


def stolen(folder: Path) -> bytes:
    """All that the store's files hold."""
    return b"".join(file.read_bytes() for file in folder.glob("store*"))


async def test_a_stolen_store_holds_no_secret(
    make_world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped: list[bytes] = []
    wrap = Vault.wrap

    def seen(vault: Vault, plain: bytes, context: bytes) -> bytes:
        wrapped.append(plain)
        return wrap(vault, plain, context)

    monkeypatch.setattr(Vault, "wrap", seen)
    async with make_world() as world:
        secrets = await lived(world)
        assert wrapped
        secrets |= {f"secret {n} of an issuer": plain for n, plain in enumerate(wrapped)}
        await world.stop()
    content = stolen(tmp_path)
    # What is no secret is there to be read.
    assert b"210102" in content
    for what, secret in secrets.items():
        assert secret not in content, what
        assert base64.b64encode(secret) not in content, what


async def test_a_stolen_store_issues_nothing_without_its_key(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    async with running_world(home) as world:
        await lived(world)
        await world.stop()
    shutil.copytree(home, elsewhere, ignore=shutil.ignore_patterns("kek"))
    # It does not even start.
    with pytest.raises(DataCorrupted) as error:
        await build(settings_for(elsewhere))
    assert error.value.reason == "KEY_UNREADABLE"


async def test_nothing_that_is_secret_is_logged(
    make_world: MakeWorld, capfd: pytest.CaptureFixture[str]
) -> None:
    async with make_world() as world:
        (code,) = await (await world.lot()).issue(1, include_pins=True)
        pin = code.pin
        await world.nobody.verification.ClaimUnit(
            pb.ClaimUnitRequest(code=code.uri, pin=pin, context=pb.ScanContext(device_id=DEVICE))
        )
        said = capfd.readouterr()
        for secret in (pin, DEVICE, world.issuer.api_key):
            assert secret not in said.out + said.err
