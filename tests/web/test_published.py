"""Published facts: keys by which a stranger checks a code, revocations, recalls; and caching."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.support.browsing import phone, text_of
from tests.support.service import TIMEOUT, World
from tracechain.v1 import admin_pb2, party_pb2, supervision_pb2

DOCUMENTS = ("/.well-known/jwks.json", "/.well-known/revocations.json", "/recalls.json",
             "/.well-known/recalls.json")  # fmt: skip


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public_key(jwk: dict[str, Any]) -> Any:
    """A key from its JWK by the standards' words alone (RFC 7518, RFC 8037)."""
    if jwk["kty"] == "EC":
        x, y = (int.from_bytes(decoded(jwk[name])) for name in "xy")
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    return ed25519.Ed25519PublicKey.from_public_bytes(decoded(jwk["x"]))


async def keys(world: World) -> dict[str, dict[str, Any]]:
    answer = await phone(world).get("/.well-known/jwks.json")
    assert answer.headers["content-type"] == "application/jwk-set+json"
    return {jwk["kid"]: jwk for jwk in answer.json()["keys"]}


@pytest.mark.parametrize("algorithm", ["ES256", "ED25519"])
async def test_a_stranger_checks_a_code_by_the_published_key(world: World, algorithm: str) -> None:
    await world.other.admin.CreateIssuerKey(
        admin_pb2.CreateIssuerKeyRequest(
            parent=f"parties/{world.other.gln}",
            request_id=f"published {algorithm}",
            algorithm=party_pb2.Algorithm.Value(f"ALGORITHM_{algorithm}"),
        )
    )
    lot = await world.lot(world.other)
    (code,) = await lot.issue(1)
    token = decoded(code.uri.partition("?91=")[2])
    jwk = (await keys(world))[str(int.from_bytes(token[1:3]))]
    assert jwk["iss"] == world.other.gln
    assert "revoked" not in jwk
    payload = f"tracechain/code/v1\0{lot.gtin}\0{code.serial}".encode()
    key, signature = public_key(jwk), token[3:]
    if algorithm == "ES256":
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        key.verify(encode_dss_signature(r, s), payload, ec.ECDSA(hashes.SHA256()))
    else:
        key.verify(signature, payload)


async def test_a_revoked_key_is_in_both_lists(world: World) -> None:
    parent = f"parties/{world.other.gln}"
    made = await world.other.admin.CreateIssuerKey(
        admin_pb2.CreateIssuerKeyRequest(parent=parent, request_id="to be revoked")
    )
    before = await phone(world).get("/.well-known/jwks.json")
    await world.operator.admin.RevokeIssuerKey(
        admin_pb2.RevokeIssuerKeyRequest(name=made.name, reason="a secret reason")
    )
    known = (await keys(world))[str(made.key_id)]
    listed = (await phone(world).get("/.well-known/revocations.json")).json()["keys"]
    (entry,) = [one for one in listed if one["kid"] == str(made.key_id)]
    assert known["revoked"]["revoked_at"] == entry["revoked_at"] > 1_700_000_000
    after = await phone(world).get("/.well-known/jwks.json")
    assert after.headers["etag"] != before.headers["etag"]
    assert "secret" not in after.text


async def feed_once(world: World, holds: Callable[[Any], object]) -> Any:
    """The feed of recalls, which is made anew now and then, once something holds of it."""
    async with asyncio.timeout(TIMEOUT):
        while not holds(feed := (await phone(world).get("/recalls.json")).json()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return feed


async def test_recalls_are_a_feed_and_a_page(world: World) -> None:
    lot = await world.lot()
    recall = await lot.recall(notice="请停止饮用本批次")
    feed = await feed_once(world, lambda found: lot.gtin in str(found["items"][:1]))
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    item = feed["items"][0]
    assert item["content_text"] == "请停止饮用本批次"
    assert item["url"] == f"https://id.tracechain.example/01/{lot.gtin}/10/{lot.lot}"
    assert item["_tracechain"]["lifted"] is None
    page = await phone(world).get("/recalls")
    assert "请停止饮用本批次" in text_of(page)
    await world.issuer.supervision.LiftRecall(
        supervision_pb2.LiftRecallRequest(name=recall.name, reason="checked")
    )
    await feed_once(world, lambda found: found["items"][0]["_tracechain"]["lifted"])
    assert "已解除" in text_of(await phone(world).get("/recalls"))


async def test_the_feed_has_pages(world: World) -> None:
    for _ in range(3):
        lot = await world.lot()
        for number in range(18):
            last = await lot.recall(request_id=f"r{number}")
    feed = await feed_once(world, lambda found: last.name.split("/")[-1] in str(found["items"][:1]))
    assert len(feed["items"]) == 50
    more = (
        await phone(world).get(feed["next_url"].removeprefix("https://id.tracechain.example"))
    ).json()
    assert more["items"]
    seen = [item["id"] for item in feed["items"] + more["items"]]
    assert len(seen) == len(set(seen)) >= 54
    for page in ("0", "-1", "x", "99999999", "²"):
        answer = await phone(world).get(f"/recalls.json?page={page}", accept="application/json")
        assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_PAGE_TOKEN")
    assert (await phone(world).get("/recalls.json?page=9000")).json()["items"] == []


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_published_facts_are_kept_and_asked_for_again(world: World, path: str) -> None:
    first = await phone(world).get(path)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert first.headers["cache-control"].startswith("public, max-age=")
    assert first.headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in first.headers
    for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = await phone(world).get(path, **{"if-none-match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert (await phone(world).get(path, **{"if-none-match": '"x"'})).status_code == 200
    assert json.loads(first.content)
