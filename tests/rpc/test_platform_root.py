"""What the platform vouches for, over a socket: anybody gets the chain of each key, to check it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.support.service import Caller, World, make_key, refused, second_node
from tracechain.domain.party import Role
from tracechain.v1 import admin_pb2, party_pb2, verification_pb2

Make = Callable[..., AbstractAsyncContextManager[Any]]


async def published(world: World) -> verification_pb2.ListVerificationKeysResponse:
    answer: verification_pb2.ListVerificationKeysResponse = (
        await world.nobody.verification.ListVerificationKeys(
            verification_pb2.ListVerificationKeysRequest()
        )
    )
    return answer


def checked(answer: verification_pb2.ListVerificationKeysResponse) -> bytes:
    """Every key has a certificate of the root that signs now; that root."""
    root = x509.load_der_x509_certificate(answer.roots[-1].certificate)
    root.verify_directly_issued_by(root)
    assert answer.keys
    for key in answer.keys:
        certificate = x509.load_der_x509_certificate(key.certificate)
        certificate.verify_directly_issued_by(root)
        assert certificate.public_key() == load_der_public_key(key.public_key)
        assert key.name in certificate.subject.rfc4514_string()
    return answer.roots[-1].certificate


async def test_the_chain_of_every_key_is_published(world: World) -> None:
    answer = await published(world)
    assert len(answer.roots) == 1
    checked(answer)


async def test_all_nodes_have_the_same_root(make_world: Make) -> None:
    async with make_world() as world, second_node(world) as other:
        assert checked(await published(world)) == checked(await published(other))
        made = await other.issuer.admin.CreateIssuerKey(
            admin_pb2.CreateIssuerKeyRequest(
                parent=f"parties/{other.issuer.gln}", request_id="there",
                algorithm=party_pb2.ALGORITHM_ED25519,
            )
        )  # fmt: skip
        await world.app.keyring.refresh()
        answer = await published(world)
        assert made.key_id in {key.key_id for key in answer.keys}
        checked(answer)


async def test_a_new_root_takes_two_operators_and_vouches_for_every_key(make_world: Make) -> None:
    async with make_world(four_eyes="root") as world:
        before = checked(await published(world))
        rotate = admin_pb2.RotatePlatformRootRequest(request_id="r1")
        error = await refused(world.operator.admin.RotatePlatformRoot(rotate))
        assert (error.code, error.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "APPROVAL_REQUIRED",
        )
        approve = admin_pb2.ApproveRequest(name=error.metadata["approval"])
        # It is no issuer's matter.
        assert (await refused(world.issuer.admin.Approve(approve))).reason == "APPROVAL_NOT_FOUND"
        key = await make_key(world.operator, world.operator.gln, Role.OPERATOR, label="second")
        second = Caller(world.channel, world.operator.gln, Role.OPERATOR, key)
        async with second_node(world, key_poll_ms=20) as other:
            assert (await second.admin.Approve(approve)).state == admin_pb2.APPROVAL_STATE_DONE
            made = await world.operator.admin.RotatePlatformRoot(rotate)
            await world.app.keyring.refresh()
            answer = await published(world)
            assert [root.certificate for root in answer.roots] == [before, made.certificate]
            assert checked(answer) == made.certificate
            await other.app.roots.refresh()
            await other.app.keyring.refresh()
            assert checked(await published(other)) == made.certificate


async def test_keys_from_before_there_was_a_root_get_their_certificates_at_a_start(
    make_world: Make,
) -> None:
    async with make_world(store_url="") as world:
        with closing(sqlite3.connect(world.app.settings.store_path)) as connection, connection:
            connection.execute("UPDATE issuer_key SET certificate = x''")
        async with second_node(world) as other:
            checked(await published(other))
