"""Bearer tokens of a real issuer on loopback: whom they make, and every way to forge one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from joserfc import jwk

from tests.support.connect import path_of
from tests.support.service import TIMEOUT, Caller, World, gln_of, refused, running_world
from tests.support.token_issuer import AUDIENCE, Issuer, token_issuer
from tracechain.adapters.jwks import HttpFetch, IssuerSignatures, Pace, keys_of
from tracechain.domain.errors import TracechainError, Unauthenticated, Unavailable
from tracechain.domain.party import Role
from tracechain.domain.token import MAX_TOKEN, Token
from tracechain.settings import OidcIssuer
from tracechain.v1 import admin_pb2, capture_pb2, supervision_pb2

ALGORITHMS = ("ES256", "RS256", "Ed25519")
QUICK = Pace(fresh=0.2, stale=1000, floor=0.0)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with token_issuer() as running:
        running.make_key("rsa", "RSA", 2048)
        running.make_key("ed", "OKP", "Ed25519")
        yield running


def trusted(issuer: Issuer, **fields: Any) -> OidcIssuer:
    """The issuer as the settings have it."""
    given = {
        "issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys", "audience": AUDIENCE,
        "algorithms": ALGORITHMS,
        "roles": {"handler": Role.HANDLER, "issuer": Role.ISSUER, "监管": Role.INSPECTOR},
    }  # fmt: skip
    return OidcIssuer(**{**given, **fields})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def known(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A service that takes the issuer's tokens."""
    async with running_world(tmp_path_factory.mktemp("tokens"), oidc=(trusted(issuer),)) as world:
        yield world


def bearer(world: World, token: str) -> Caller:
    return Caller(world.channel, "", None, token)


async def reason(world: World, token: str) -> str:
    """Why a token is refused, the same by gRPC and by HTTP; empty where it is not."""
    request = admin_pb2.ListPartiesRequest()
    by_grpc = ""
    try:
        await bearer(world, token).admin.ListParties(request)
    except grpc.aio.AioRpcError as error:
        by_grpc = (await refused(_raised(error))).reason
    async with httpx.AsyncClient(base_url=world.http, trust_env=False) as client:
        answer = await client.post(
            path_of("AdminService.ListParties"), json={},
            headers={"authorization": f"Bearer {token}"},
        )  # fmt: skip
    said = answer.json()
    by_http = said["details"][0]["debug"]["reason"] if answer.status_code != 200 else ""
    assert by_grpc == by_http
    return by_grpc


async def _raised(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("kid", "algorithm"), [("first", "ES256"), ("rsa", "RS256"), ("ed", "Ed25519")]
)
async def test_a_token_is_its_party_and_role(
    known: World, issuer: Issuer, kid: str, algorithm: str
) -> None:
    token = issuer.token(issuer.claims(known.shop.gln), kid, algorithm)
    caller = bearer(known, token)
    listed = await caller.admin.ListParties(admin_pb2.ListPartiesRequest())
    assert [party.gln for party in listed.parties] == [known.shop.gln]
    assert await reason(known, token) == ""
    # Another tenant's party does not exist, and another role's methods are closed.
    foreign = admin_pb2.GetPartyRequest(name=f"parties/{known.issuer.gln}")
    assert (await refused(caller.admin.GetParty(foreign))).code is grpc.StatusCode.NOT_FOUND
    error = await refused(caller.admin.ListCredentials(admin_pb2.ListCredentialsRequest()))
    assert error.reason == "ROLE_NOT_ALLOWED"
    # API keys go on beside.
    assert await known.shop.admin.ListParties(admin_pb2.ListPartiesRequest())


async def test_an_inspector_has_the_region_that_the_token_names(
    known: World, issuer: Issuer
) -> None:
    claims = issuer.claims(known.liaoning.gln, "监管", tracechain_region="210000")
    lot = await known.lot()
    theirs = supervision_pb2.ListRecallsRequest(parent=lot.name)
    await bearer(known, issuer.token(claims)).supervision.ListRecalls(theirs)
    claims["tracechain_region"] = "220000"
    error = await refused(bearer(known, issuer.token(claims)).supervision.ListRecalls(theirs))
    assert error.code is grpc.StatusCode.NOT_FOUND
    claims["tracechain_region"] = "21000x"
    assert await reason(known, issuer.token(claims)) == "INVALID_TOKEN"


SHOP = gln_of(5)
Change = dict[str, Any]
# A constant: processes that share the tests compare their names.
_LATER = 4_000_000_000


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"},
        {"aud": ["another", "more"]},
        {"aud": None},
        {"aud": {"tracechain": 1}},
        {"iss": "https://issuer.example"},
        {"iss": None},
        {"iss": 7},
        {"sub": None},
        {"sub": ""},
        {"exp": None},
        {"exp": "2030-01-01"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": -1},
        {"nbf": _LATER},
        {"iat": _LATER},
        {"iat": "now"},
        {"tracechain_party": None},
        {"tracechain_party": gln_of(4711)},
        {"tracechain_party": SHOP[:-1] + "x"},
        {"tracechain_party": [SHOP]},
        {"tracechain_role": None},
        {"tracechain_role": "operator"},
        {"tracechain_role": "inspector"},
        # A shop is no issuer, whoever says so.
        {"tracechain_role": "issuer"},
        {"tracechain_region": "210000"},
    ],
    ids=str,
)
async def test_a_claim_that_is_wrong_opens_nothing(
    known: World, issuer: Issuer, changed: Change
) -> None:
    assert await reason(known, issuer.token(issuer.claims(SHOP, **changed))) == "INVALID_TOKEN"


async def test_a_token_ends_with_its_time_and_the_skew(known: World, issuer: Issuer) -> None:
    now = time.time()
    assert await reason(known, issuer.token(issuer.claims(SHOP, exp=now - 30))) == ""
    assert await reason(known, issuer.token(issuer.claims(SHOP, exp=now - 61))) == "TOKEN_EXPIRED"
    assert await reason(known, issuer.token(issuer.claims(SHOP, nbf=now + 30))) == ""
    # One that is believed is not believed beyond its end.
    short = issuer.token(issuer.claims(SHOP, exp=now - 58))
    first = await reason(known, short)
    await asyncio.sleep(max(0.0, now + 2.1 - time.time()))
    assert (first, await reason(known, short)) in [("", "TOKEN_EXPIRED"), ("TOKEN_EXPIRED",) * 2]


async def test_a_token_that_was_checked_is_not_checked_with_each_call(
    known: World, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, verify = 0, IssuerSignatures.verify

    async def counted(signatures: IssuerSignatures, token: Token) -> None:
        nonlocal checked
        checked += 1
        await verify(signatures, token)

    monkeypatch.setattr(IssuerSignatures, "verify", counted)
    token = issuer.token(issuer.claims(SHOP, sub="many calls"))
    for _ in range(3):
        # Each is a call by gRPC and one by HTTP.
        assert await reason(known, token) == ""
    assert checked == 1
    head, _, signature = token.rpartition(".")
    forged = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    assert await reason(known, forged) == "INVALID_TOKEN"
    assert checked == 3


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def unsigned(issuer: Issuer, algorithm: str) -> str:
    header = {"alg": algorithm, "kid": "first", "typ": "JWT"}
    parts = [b64(json.dumps(part).encode()) for part in (header, issuer.claims(SHOP))]
    return ".".join(parts)


def with_none(issuer: Issuer) -> str:
    return unsigned(issuer, "none") + "."


def with_none_and_a_signature(issuer: Issuer) -> str:
    return unsigned(issuer, "none") + ".AAAA"


def with_the_public_key_as_a_secret(issuer: Issuer) -> str:
    """Algorithm confusion: the verifier's public key taken for an HMAC key."""
    said = unsigned(issuer, "HS256")
    secret = issuer.keys["first"].as_pem(private=False)
    return f"{said}.{b64(hmac.digest(secret, said.encode(), hashlib.sha256))}"


def by_anothers_key(issuer: Issuer) -> str:
    return issuer.token(issuer.claims(SHOP), key=jwk.generate_key("EC", "P-256"))


def with_a_key_in_its_header(issuer: Issuer) -> str:
    """`jwk`, `jku` and `x5u` say where to look; nobody looks."""
    own = jwk.generate_key("EC", "P-256")
    return issuer.token(
        issuer.claims(SHOP), key=own, jwk=own.as_dict(private=False),
        jku=f"{issuer.url}/evil", x5u=f"{issuer.url}/evil",
    )  # fmt: skip


def with_an_algorithm_of_another_key(issuer: Issuer) -> str:
    token = issuer.token(issuer.claims(SHOP), "rsa", "RS256")
    header = b64(json.dumps({"alg": "ES256", "kid": "rsa"}).encode())
    return ".".join([header, *token.split(".")[1:]])


def with_an_algorithm_that_is_not_pinned(issuer: Issuer) -> str:
    return issuer.token(issuer.claims(SHOP), "rsa", "PS256")


def with_another_payload(issuer: Issuer) -> str:
    head, _, signature = issuer.token(issuer.claims(SHOP)).split(".")
    return f"{head}.{b64(json.dumps(issuer.claims(gln_of(2), 'issuer')).encode())}.{signature}"


def without_a_signature(issuer: Issuer) -> str:
    return issuer.token(issuer.claims(SHOP)).rpartition(".")[0] + "."


def with_a_critical_extension(issuer: Issuer) -> str:
    header = {"alg": "ES256", "kid": "first", "crit": ["exp"], "exp": 1}
    return f"{b64(json.dumps(header).encode())}.{b64(b'{}')}.AAAA"


def of_another_type(issuer: Issuer) -> str:
    return issuer.token(issuer.claims(SHOP), typ="logout+jwt")


def of_an_unknown_key(issuer: Issuer) -> str:
    return issuer.token(issuer.claims(SHOP), key=issuer.keys["first"], kid="../../first")


def with_a_number_for_a_key(issuer: Issuer) -> str:
    header = b64(json.dumps({"alg": "ES256", "kid": 1}).encode())
    return f"{header}.{b64(json.dumps(issuer.claims(SHOP)).encode())}.AAAA"


def without_a_key_id(issuer: Issuer) -> str:
    """Of three keys nobody knows which; of the one elliptic one it could only be that."""
    return issuer.token(issuer.claims(SHOP), key=jwk.generate_key("EC", "P-256"), kid=None)


def huge(issuer: Issuer) -> str:
    return issuer.token(issuer.claims(SHOP, more="x" * MAX_TOKEN))[: 15 * 1024]


def nested(issuer: Issuer) -> str:
    return f"{b64(b'[' * 5000)}.{b64(b'{}')}.AAAA"


def of_spaces(issuer: Issuer) -> str:
    return issuer.token(issuer.claims(SHOP)).replace(".", " .", 1)


def with_padding(issuer: Issuer) -> str:
    return issuer.token(issuer.claims(SHOP)) + "="


@pytest.mark.parametrize(
    "forge",
    [
        with_none, with_none_and_a_signature, with_the_public_key_as_a_secret, by_anothers_key,
        with_a_key_in_its_header, with_an_algorithm_of_another_key, of_another_type,
        with_an_algorithm_that_is_not_pinned, with_another_payload, without_a_signature,
        with_a_critical_extension, of_an_unknown_key, with_a_number_for_a_key, without_a_key_id,
        huge, nested, of_spaces, with_padding,
    ],
    ids=lambda forge: forge.__name__,
)  # fmt: skip
async def test_a_token_that_is_forged_opens_nothing(
    known: World, issuer: Issuer, forge: Callable[[Issuer], str]
) -> None:
    token = forge(issuer)
    assert await reason(known, issuer.token(issuer.claims(SHOP))) == ""
    assert await reason(known, token) == "INVALID_TOKEN"


async def test_invented_key_ids_do_not_make_us_ask_the_issuer(known: World, issuer: Issuer) -> None:
    await reason(known, issuer.token(issuer.claims(SHOP), kid="first"))
    asked = issuer.asked
    for number in range(20):
        token = issuer.token(issuer.claims(SHOP), key=issuer.keys["first"], kid=f"k{number}")
        assert await reason(known, token) == "INVALID_TOKEN"
    assert issuer.asked - asked <= 1


async def test_an_issuer_speaks_for_the_parties_that_it_may(
    issuer: Issuer, make_world: Callable[..., Any]
) -> None:
    async with make_world(oidc=(trusted(issuer, parties=(SHOP,)),)) as world:
        assert await reason(world, issuer.token(issuer.claims(SHOP))) == ""
        claims = issuer.claims(world.issuer.gln, "issuer")
        assert await reason(world, issuer.token(claims)) == "INVALID_TOKEN"


async def test_where_no_issuer_is_configured_a_token_is_no_credential(
    world: World, issuer: Issuer
) -> None:
    assert await reason(world, issuer.token(issuer.claims(SHOP))) == "INVALID_CREDENTIAL"


# --- the issuer's keys


class Bench:
    """Signatures checked with an issuer's keys, on a clock that the tests turn."""

    def __init__(self, issuer: Issuer, pace: Pace = QUICK) -> None:
        self.issuer, self.now = issuer, 0.0
        self.fetch = HttpFetch()
        self.signatures = IssuerSignatures(
            f"{issuer.url}/keys", ALGORITHMS, self.fetch, pace, lambda: self.now
        )

    async def says(self, kid: str = "first") -> str:
        """Whether a token under a key is taken: empty, or the reason."""
        token = self.issuer.token(self.issuer.claims(SHOP), kid)
        try:
            await self.signatures.verify(Token.parse(token))
        except TracechainError as error:
            return error.reason
        return ""


@pytest.fixture
def own() -> Iterator[Issuer]:
    with token_issuer() as running:
        yield running


async def test_a_key_that_is_new_is_fetched_once_for_all_who_wait(own: Issuer) -> None:
    bench = Bench(own, Pace(floor=10))
    assert await asyncio.gather(*(bench.says() for _ in range(20))) == [""] * 20
    assert own.asked == 1
    own.make_key("second")
    # Within the floor nobody asks again.
    assert await bench.says("second") == "INVALID_TOKEN"
    bench.now = 10
    assert await asyncio.gather(*(bench.says("second") for _ in range(20))) == [""] * 20
    assert own.asked == 2
    await bench.fetch.close()


async def test_a_key_that_its_issuer_withdraws_is_refused_once_that_is_seen(own: Issuer) -> None:
    bench = Bench(own)
    own.make_key("second")
    assert await bench.says("first") == ""
    del own.published[0]
    # Known keys are used at once, and renewed beside.
    bench.now = 1
    assert await bench.says("first") == ""
    async with asyncio.timeout(TIMEOUT):
        while await bench.says("first") == "":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await bench.says("second") == ""
    await bench.fetch.close()


@pytest.mark.parametrize(
    "instead",
    [
        (500, {}, b""),
        (302, {"location": "http://127.0.0.1:9/keys"}, b""),
        (200, {}, b"no JSON"),
        (200, {}, b"[]"),
        (200, {}, b'{"keys": 7}'),
        (200, {}, b"[" * 100_000),
        (200, {}, b'{"keys": [' + b" " * 300_000 + b"]}"),
        (200, {}, json.dumps({"keys": [{}] * 65}).encode()),
    ],
    ids=range(8),
)
async def test_while_the_issuer_is_away_its_keys_go_on_for_a_day(
    own: Issuer, instead: tuple[int, dict[str, str], bytes]
) -> None:
    bench = Bench(own, Pace(fresh=1, stale=100, floor=0.5))
    own.instead = instead
    assert await bench.says() == "TOKEN_ISSUER_UNAVAILABLE"
    own.instead, bench.now = None, 1
    assert await bench.says() == ""
    own.instead, bench.now = instead, 50
    assert await bench.says() == ""
    bench.now = 200
    assert await bench.says() == "TOKEN_ISSUER_UNAVAILABLE"
    own.instead, bench.now = None, 300
    assert await bench.says() == ""
    await bench.fetch.close()


async def test_an_issuer_that_nobody_reaches_is_said_to_be_away(
    own: Issuer, make_world: Callable[..., Any]
) -> None:
    closed = replace(own, url=own.url)
    uri = "http://127.0.0.1:9/keys"
    async with make_world(oidc=(trusted(closed, jwks_uri=uri),)) as world:
        token = own.token(own.claims(SHOP))
        error = await refused(bearer(world, token).events.CaptureEvents(
            capture_pb2.CaptureEventsRequest()
        ))  # fmt: skip
        assert (error.code, error.reason) == (
            grpc.StatusCode.UNAVAILABLE, "TOKEN_ISSUER_UNAVAILABLE",
        )  # fmt: skip
        assert error.retry_after
        # Others are served.
        assert await world.shop.admin.ListParties(admin_pb2.ListPartiesRequest())


@pytest.mark.filterwarnings("ignore:Key size")
def test_keys_that_nothing_may_be_signed_with_are_left_out() -> None:
    good = jwk.generate_key("EC", "P-256", {"kid": "good"})
    public = good.as_dict(private=False)
    small = jwk.generate_key("RSA", 1024, {"kid": "small"}).as_dict(private=False)
    listed = [
        public,
        {**good.as_dict(private=True), "kid": "private"},
        {**public, "kid": "enc", "use": "enc"},
        {**public, "kid": "wrap", "key_ops": ["wrapKey"]},
        {**public, "kid": "hs", "alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "off the curve"},
        small,
        {"kty": "EC"},
        "text",
        None,
    ]
    found = keys_of(json.dumps({"keys": listed}).encode(), frozenset(ALGORITHMS))
    assert [kid for kid, _ in found] == ["good"]


@pytest.mark.parametrize(
    "uri", ["http://keys.example/jwks", "ftp://127.0.0.1/keys", "https://", "file:///etc/passwd"]
)
def test_keys_are_fetched_by_https_alone(issuer: Issuer, uri: str) -> None:
    with pytest.raises(ValueError, match="https"):
        trusted(issuer, jwks_uri=uri)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RSA1_5", ""])
def test_an_algorithm_that_is_none_for_tokens_is_not_configured(
    issuer: Issuer, algorithm: str
) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        trusted(issuer, algorithms=(algorithm,))
    with pytest.raises(ValueError, match="algorithms"):
        trusted(issuer, algorithms=())


def test_what_is_no_token_is_refused_before_it_is_read() -> None:
    for text in ("", "a.b", "a.b.c.d", "a..c", "é.b.c", "e30.e30.e30\n", "W10.e30.AA", "." * 9):
        with pytest.raises(Unauthenticated) as failed:
            Token.parse(text)
        assert failed.value.reason == "INVALID_TOKEN"
    assert "secret" not in repr(Token("secret", {}, {}))
    assert issubclass(Unavailable, TracechainError)
