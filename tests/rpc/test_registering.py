"""Parties, credentials, products and batches: registering twice, listing, refusing."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.certificates import certified
from tests.support.service import Caller, World, gln_of, gtin_of, make_key, refused, uscc_of
from tracechain.bootstrap import App, build
from tracechain.domain.party import Role
from tracechain.settings import Settings
from tracechain.v1 import admin_pb2, annotations_pb2, capture_pb2, issuance_pb2, party_pb2


def party(number: int, **fields: object) -> party_pb2.Party:
    given = {
        "gln": gln_of(number),
        "uscc": uscc_of(number),
        "region": "210102",
        "kind": party_pb2.PARTY_KIND_CARRIER,
        "display_name": party_pb2.LocalizedText(zh="运输公司", en="Carrier"),
    }
    return party_pb2.Party(**{**given, **fields})  # type: ignore[arg-type]


def batch(**fields: object) -> issuance_pb2.Batch:
    given = {"lot": "A1", "production_date": "2026-01-05", "authorized_quantity": 10}
    return issuance_pb2.Batch(**{**given, **fields})  # type: ignore[arg-type]


async def test_a_party_is_registered_once_and_found(world: World) -> None:
    request = admin_pb2.CreatePartyRequest(party=party(1001), request_id="a")
    made = await world.operator.admin.CreateParty(request)
    again = await world.operator.admin.CreateParty(request)
    got = await world.operator.admin.GetParty(admin_pb2.GetPartyRequest(name=made.name))
    assert made == again == got
    assert made.name == f"parties/{gln_of(1001)}"
    assert made.create_time.seconds > 0
    other = party(1001, region="210103")
    error = await refused(
        world.operator.admin.CreateParty(admin_pb2.CreatePartyRequest(party=other))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "PARTY_EXISTS")


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        ({"gln": "6901234000017"}, "party.gln", "INVALID_GLN_CHECK_DIGIT"),
        ({"gln": "69"}, "party.gln", "INVALID_GLN"),
        ({"uscc": "X"}, "party.uscc", "INVALID_USCC"),
        ({"uscc": uscc_of(7)[:-1] + "3"}, "party.uscc", "INVALID_USCC_CHECK_CHARACTER"),
        ({"region": "990000"}, "party.region", "INVALID_REGION"),
        ({"region": "210001"}, "party.region", "INVALID_REGION"),
        ({"kind": 99}, "party.kind", "INVALID_ENUM_VALUE"),
        ({"kind": 0}, "party.kind", "MISSING_FIELD"),
        ({"display_name": None}, "party.display_name", "MISSING_FIELD"),
        (
            {"display_name": party_pb2.LocalizedText(en="only English")},
            "party.display_name.zh",
            "MISSING_FIELD",
        ),
        (
            {"display_name": party_pb2.LocalizedText(zh="长" * 201)},
            "party.display_name.zh",
            "TEXT_TOO_LONG",
        ),
        (
            {"display_name": party_pb2.LocalizedText(zh="铃\x07")},
            "party.display_name.zh",
            "INVALID_TEXT",
        ),
    ],
)
async def test_a_wrong_party_names_its_field(
    world: World, wrong: dict[str, object], field: str, reason: str
) -> None:
    request = admin_pb2.CreatePartyRequest(party=party(1002, **wrong))
    error = await refused(world.operator.admin.CreateParty(request))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations[0] == (field, reason)
    assert (error.reason, error.domain) == (reason, "tracechain")


async def test_all_missing_fields_are_named_at_once(world: World) -> None:
    error = await refused(
        world.operator.admin.CreateParty(admin_pb2.CreatePartyRequest(party=party_pb2.Party()))
    )
    assert {field for field, _ in error.violations} == {
        "party.gln", "party.uscc", "party.region", "party.kind", "party.display_name",
    }  # fmt: skip


async def test_parties_are_listed_in_pages(world: World) -> None:
    glns = {gln_of(number) for number in range(1010, 1017)}
    for number in range(1010, 1017):
        await world.operator.admin.CreateParty(admin_pb2.CreatePartyRequest(party=party(number)))
    found: list[str] = []
    token = ""
    while True:
        page = await world.operator.admin.ListParties(
            admin_pb2.ListPartiesRequest(page_size=3, page_token=token)
        )
        assert len(page.parties) <= 3
        found += [item.gln for item in page.parties]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted(set(found))
    assert glns <= set(found)


async def test_a_page_token_is_good_for_its_own_list_only(world: World) -> None:
    page = await world.operator.admin.ListParties(admin_pb2.ListPartiesRequest(page_size=1))
    error = await refused(
        world.operator.issuance.ListProducts(
            issuance_pb2.ListProductsRequest(page_token=page.next_page_token)
        )
    )
    assert error.violations == (("page_token", "INVALID_PAGE_TOKEN"),)
    error = await refused(
        world.operator.admin.ListParties(admin_pb2.ListPartiesRequest(page_size=-1))
    )
    assert error.violations == (("page_size", "INVALID_PAGE_SIZE"),)


async def test_an_api_key_is_shown_once_works_and_is_revoked(world: World) -> None:
    gln = world.distributor.gln
    key = await make_key(world.operator, gln, Role.HANDLER, label="line 3")
    caller = Caller(world.channel, gln, Role.HANDLER, key)
    own = admin_pb2.GetPartyRequest(name=f"parties/{gln}")
    assert (await caller.admin.GetParty(own)).gln == gln

    listed = await world.operator.admin.ListCredentials(
        admin_pb2.ListCredentialsRequest(parent=f"parties/{gln}")
    )
    (credential,) = [c for c in listed.credentials if c.label == "line 3"]
    assert credential.role == annotations_pb2.ROLE_HANDLER
    assert key.encode() not in listed.SerializeToString()
    assert key.rpartition("_")[2].encode() not in listed.SerializeToString()

    again = admin_pb2.CreateCredentialRequest(
        parent=f"parties/{gln}",
        credential=party_pb2.Credential(role=annotations_pb2.ROLE_HANDLER, label="line 3"),
        request_id="handler-line 3",
    )
    error = await refused(world.operator.admin.CreateCredential(again))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_USED")

    revoke = admin_pb2.RevokeCredentialRequest(name=credential.name)
    revoked = await world.operator.admin.RevokeCredential(revoke)
    assert revoked.revoke_time.seconds > 0
    assert await world.operator.admin.RevokeCredential(revoke) == revoked
    error = await refused(caller.admin.GetParty(own))
    assert (error.code, error.reason) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "INVALID_CREDENTIAL",
    )


def credential_request(gln: str, **fields: object) -> admin_pb2.CreateCredentialRequest:
    """Asks for an API key of a handler."""
    given = {"role": annotations_pb2.ROLE_HANDLER, **fields}
    return admin_pb2.CreateCredentialRequest(
        parent=f"parties/{gln}",
        credential=party_pb2.Credential(**given),  # type: ignore[arg-type]
        request_id=uuid.uuid4().hex,
    )


@pytest.mark.parametrize(
    ("scopes", "may", "may_not"),
    [
        (["read"], ["GetParty", "GetEvent"], ["CaptureEvents"]),
        (["AdminService"], ["GetParty"], ["GetEvent", "CaptureEvents"]),
        (["EventService.GetEvent", "EventService.CaptureEvents"], ["GetEvent", "CaptureEvents"],
         ["GetParty"]),
        ([], ["GetParty", "GetEvent", "CaptureEvents"], []),
    ],
)  # fmt: skip
async def test_scopes_narrow_what_a_key_may(
    world: World, scopes: list[str], may: list[str], may_not: list[str]
) -> None:
    gln = world.distributor.gln
    made = await world.operator.admin.CreateCredential(credential_request(gln, scopes=scopes))
    assert list(made.credential.scopes) == sorted(scopes)
    assert made.credential.kind == party_pb2.CREDENTIAL_KIND_API_KEY
    caller = Caller(world.channel, gln, Role.HANDLER, made.api_key)
    calls = {
        "GetParty": lambda: caller.admin.GetParty(admin_pb2.GetPartyRequest()),
        "GetEvent": lambda: caller.events.GetEvent(capture_pb2.GetEventRequest()),
        "CaptureEvents": lambda: caller.events.CaptureEvents(capture_pb2.CaptureEventsRequest()),
    }
    for name in may:
        # An empty request: it came past the gate and was read.
        assert (await refused(calls[name]())).code is grpc.StatusCode.INVALID_ARGUMENT, name
    for name in may_not:
        error = await refused(calls[name]())
        assert (error.code, error.reason) == (
            grpc.StatusCode.PERMISSION_DENIED, "SCOPE_NOT_ALLOWED",
        ), name  # fmt: skip


@pytest.mark.parametrize(
    ("scopes", "field", "reason"),
    [
        (["read", "Read"], "credential.scopes[1]", "INVALID_SCOPE"),
        ([""], "credential.scopes[0]", "INVALID_SCOPE"),
        (["EventService.Nothing"], "credential.scopes[0]", "INVALID_SCOPE"),
        # There is such a method, and a handler may not call it.
        (["AdminService.CreateParty"], "credential.scopes[0]", "INVALID_SCOPE"),
        (["IssuanceService.IssueCodes"], "credential.scopes[0]", "INVALID_SCOPE"),
        (["read"] * 33, "credential.scopes", "LIST_TOO_LONG"),
    ],
)
async def test_a_scope_that_opens_nothing_is_refused(
    world: World, scopes: list[str], field: str, reason: str
) -> None:
    request = credential_request(world.shop.gln, scopes=scopes)
    error = await refused(world.operator.admin.CreateCredential(request))
    assert error.violations == ((field, reason),)


async def test_a_key_is_rotated_and_both_are_good_meanwhile(world: World) -> None:
    gln = world.distributor.gln
    first = await world.operator.admin.CreateCredential(credential_request(gln, label="rotated"))
    rotate = admin_pb2.RotateCredentialRequest(
        name=first.credential.name, overlap_seconds=3600, request_id="rotation"
    )
    second = await world.operator.admin.RotateCredential(rotate)
    assert second.credential.label == "rotated"
    assert second.api_key != first.api_key
    own = admin_pb2.GetPartyRequest(name=f"parties/{gln}")
    for key in (first.api_key, second.api_key):
        assert (await Caller(world.channel, gln, None, key).admin.GetParty(own)).gln == gln
    rotate.request_id, rotate.overlap_seconds = "again", 0
    await world.operator.admin.RotateCredential(rotate)
    error = await refused(Caller(world.channel, gln, None, first.api_key).admin.GetParty(own))
    assert (error.code, error.reason) == (
        grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_EXPIRED",
    )  # fmt: skip
    listed = await world.operator.admin.ListCredentials(
        admin_pb2.ListCredentialsRequest(parent=f"parties/{gln}")
    )
    (old,) = [c for c in listed.credentials if c.name == first.credential.name]
    assert old.expire_time.seconds > 0
    assert not old.HasField("revoke_time")
    past = credential_request(gln, expire_time=old.expire_time)
    error = await refused(world.operator.admin.CreateCredential(past))
    assert error.violations == (("credential.expire_time", "INVALID_LIFETIME"),)


async def test_a_stop_writes_when_keys_were_last_used(make_world: Callable[..., Any]) -> None:
    async with make_world() as world:
        await world.shop.admin.ListParties(admin_pb2.ListPartiesRequest())
        gln, settings = world.shop.gln, world.app.settings
    async with second(settings) as app:
        (credential,) = await app.store.list_credentials(gln)
    assert credential.last_use_time is not None
    assert credential.last_use_time >= credential.create_time


@asynccontextmanager
async def second(settings: Settings) -> AsyncIterator[App]:
    """What starts after the service on its store."""
    app = await build(settings)
    try:
        yield app
    finally:
        await app.close()


async def test_only_a_certificate_is_registered_as_one(world: World) -> None:
    client = certified("line 7")

    def request(certificate: bytes) -> admin_pb2.RegisterCertificateRequest:
        return admin_pb2.RegisterCertificateRequest(
            parent=f"parties/{world.shop.gln}",
            credential=party_pb2.Credential(role=annotations_pb2.ROLE_HANDLER),
            certificate=certificate,
        )

    for wrong in (b"x", client.key_pem, client.pem[:200], client.pem + b" " * 16384):
        error = await refused(world.operator.admin.RegisterCertificate(request(wrong)))
        assert error.violations == (("certificate", "INVALID_CERTIFICATE"),)
    made = await world.operator.admin.RegisterCertificate(request(client.pem))
    assert made.kind == party_pb2.CREDENTIAL_KIND_CERTIFICATE
    der = client.certificate.public_bytes(Encoding.DER)
    renewed = certified("renewed", private_key=client.private_key)
    for same in (der, renewed.pem):
        assert await world.operator.admin.RegisterCertificate(request(same)) == made
    other = request(client.pem)
    other.parent = f"parties/{world.distributor.gln}"
    error = await refused(world.operator.admin.RegisterCertificate(other))
    assert (error.code, error.reason) == (
        grpc.StatusCode.ALREADY_EXISTS, "CERTIFICATE_REGISTERED",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("role", "region", "reason"),
    [
        (annotations_pb2.ROLE_OPERATOR, "", "INVALID_ROLE"),
        (annotations_pb2.ROLE_INSPECTOR, "210000", "INVALID_ROLE"),
        (annotations_pb2.ROLE_HANDLER, "210000", "INVALID_REGION"),
        (0, "", "INVALID_ENUM_VALUE"),
        (77, "", "INVALID_ENUM_VALUE"),
    ],
)
async def test_a_party_gets_no_role_that_its_kind_cannot_have(
    world: World, role: int, region: str, reason: str
) -> None:
    request = admin_pb2.CreateCredentialRequest(
        parent=f"parties/{world.shop.gln}",
        credential=party_pb2.Credential(role=role, region=region),  # type: ignore[arg-type]
        request_id=f"bad {role}",
    )
    error = await refused(world.operator.admin.CreateCredential(request))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_an_inspector_needs_a_region(world: World) -> None:
    request = admin_pb2.CreateCredentialRequest(
        parent=f"parties/{world.liaoning.gln}",
        credential=party_pb2.Credential(role=annotations_pb2.ROLE_INSPECTOR),
        request_id="no region",
    )
    error = await refused(world.operator.admin.CreateCredential(request))
    assert error.violations == (("credential.region", "INVALID_REGION"),)


async def test_only_issuers_have_signing_keys(world: World) -> None:
    request = admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{world.shop.gln}", request_id="key")
    error = await refused(world.operator.admin.CreateIssuerKey(request))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "NOT_AN_ISSUER")


async def test_a_key_is_made_once_for_a_request_id(world: World) -> None:
    parent = f"parties/{world.other.gln}"
    request = admin_pb2.CreateIssuerKeyRequest(
        parent=parent, request_id="same", algorithm=party_pb2.ALGORITHM_ED25519
    )
    first = await world.other.admin.CreateIssuerKey(request)
    assert await world.other.admin.CreateIssuerKey(request) == first
    assert first.algorithm == party_pb2.ALGORITHM_ED25519
    request.algorithm = party_pb2.ALGORITHM_ES256
    error = await refused(world.other.admin.CreateIssuerKey(request))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_USED")
    listed = await world.other.admin.ListIssuerKeys(admin_pb2.ListIssuerKeysRequest(parent=parent))
    assert [key.key_id for key in listed.keys] == sorted(key.key_id for key in listed.keys)
    assert first in listed.keys


async def test_a_product_is_registered_once(world: World) -> None:
    product = issuance_pb2.Product(
        gtin=gtin_of(90001)[1:],
        display_name=party_pb2.LocalizedText(zh="老龙口", en="Laolongkou"),
        licenses=[issuance_pb2.License(kind="food-production", number="SC10121010200018")],
        standards=["GB/T 10781.1-2021"],
    )
    request = issuance_pb2.CreateProductRequest(product=product)
    made = await world.issuer.issuance.CreateProduct(request)
    assert made.gtin == gtin_of(90001)
    assert made.issuer_gln == world.issuer.gln
    assert await world.issuer.issuance.CreateProduct(request) == made
    got = await world.issuer.issuance.GetProduct(issuance_pb2.GetProductRequest(name=made.name))
    assert got == made
    for caller in (world.issuer, world.other):
        request.product.standards[:] = ["GB/T 1"]
        error = await refused(caller.issuance.CreateProduct(request))
        assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "PRODUCT_EXISTS")


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        ({"lot": "has blank"}, "batch.lot", "INVALID_LOT"),
        ({"lot": "x" * 21}, "batch.lot", "INVALID_LOT"),
        ({"production_date": "2026-1-5"}, "batch.production_date", "INVALID_DATE"),
        ({"production_date": "2026-02-30"}, "batch.production_date", "INVALID_DATE"),
        ({"expiration_date": "2026-01-04"}, "batch.expiration_date", "INVALID_DATE"),
        ({"plant_gln": "123"}, "batch.plant_gln", "INVALID_GLN"),
        ({"authorized_quantity": -1}, "batch.authorized_quantity", "INVALID_QUANTITY"),
        ({"authorized_quantity": 2**32}, "batch.authorized_quantity", "INVALID_QUANTITY"),
        ({"authorized_quantity": 0}, "batch.authorized_quantity", "MISSING_FIELD"),
    ],
)
async def test_a_wrong_batch_names_its_field(
    world: World, wrong: dict[str, object], field: str, reason: str
) -> None:
    lot = await world.lot()
    request = issuance_pb2.CreateBatchRequest(parent=f"products/{lot.gtin}", batch=batch(**wrong))
    error = await refused(world.issuer.issuance.CreateBatch(request))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations[0] == (field, reason)


async def test_a_batch_is_registered_once_and_its_lot_may_hold_any_character(world: World) -> None:
    lot = await world.lot()
    strange = 'A/b%2F"&+_?'
    request = issuance_pb2.CreateBatchRequest(
        parent=f"products/{lot.gtin}", batch=batch(lot=strange)
    )
    made = await world.issuer.issuance.CreateBatch(request)
    assert made.lot == strange
    assert await world.issuer.issuance.CreateBatch(request) == made
    got = await world.issuer.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=made.name))
    assert got == made
    request.batch.production_date = "2026-01-06"
    error = await refused(world.issuer.issuance.CreateBatch(request))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "BATCH_EXISTS")


async def test_a_batch_is_not_registered_again_for_more(world: World) -> None:
    lot = await world.lot(quantity=10)

    async def again(quantity: int) -> issuance_pb2.Batch:
        answer: issuance_pb2.Batch = await world.issuer.issuance.CreateBatch(
            issuance_pb2.CreateBatchRequest(
                parent=f"products/{lot.gtin}",
                batch=issuance_pb2.Batch(
                    lot=lot.lot, production_date="2026-01-05", authorized_quantity=quantity
                ),
            )
        )
        return answer

    assert (await again(10)).authorized_quantity == 10
    error = await refused(again(11))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "BATCH_EXISTS")
    await world.issuer.issuance.RaiseBatchQuantity(
        issuance_pb2.RaiseBatchQuantityRequest(
            name=lot.name, authorized_quantity=20, reason="more bottles", request_id="r"
        )
    )
    # The request that made it is still good, and lowers nothing.
    assert (await again(10)).authorized_quantity == 20


async def test_batches_are_listed_in_pages_in_the_order_of_registration(world: World) -> None:
    lot = await world.lot()
    names = [lot.lot] + [(await world.lot(gtin=lot.gtin, lot=f"Z{9 - i}")).lot for i in range(5)]
    found: list[str] = []
    request = issuance_pb2.ListBatchesRequest(parent=f"products/{lot.gtin}", page_size=2)
    while True:
        page = await world.issuer.issuance.ListBatches(request)
        found += [item.lot for item in page.batches]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert found == names


async def test_products_are_listed_by_those_who_see_them(world: World) -> None:
    mine, theirs = await world.lot(world.issuer), await world.lot(world.other)

    async def listed(caller: Caller) -> set[str]:
        found: set[str] = set()
        request = issuance_pb2.ListProductsRequest(page_size=2)
        while True:
            page = await caller.issuance.ListProducts(request)
            found |= {item.gtin for item in page.products}
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    sees = {
        name: (mine.gtin in found, theirs.gtin in found)
        for name in ("issuer", "other", "liaoning", "jilin", "operator")
        for found in [await listed(getattr(world, name))]
    }
    assert sees == {
        "issuer": (True, False),
        "other": (False, True),
        "liaoning": (True, False),
        "jilin": (False, True),
        "operator": (True, True),
    }


@pytest.mark.parametrize(
    "name", ["", "products", "products/1/x/2", "products/06901234000016/batches/", "//", "a/b/c/d"]
)
async def test_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    error = await refused(world.issuer.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=name)))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations[0][0] == "name"
