"""TLS of its own: who the server is, who the client is, and certificates that change meanwhile."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.certificates import Certified, certified
from tests.support.connect import path_of
from tests.support.service import TIMEOUT, Caller, gln_of, refused, settings_for, uscc_of
from tracechain.adapters.tls import TlsFiles
from tracechain.bootstrap import App, Ports, build, serve
from tracechain.domain.certificate import public_key_of
from tracechain.domain.errors import Unavailable
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.text import LocalizedText
from tracechain.rpc import server as rpc_server
from tracechain.v1 import admin_pb2, annotations_pb2, capture_pb2, party_pb2
from tracechain.web import server as http_server

OPERATOR, SHOP = gln_of(1), gln_of(5)
OWN = admin_pb2.GetPartyRequest(name=f"parties/{SHOP}")


@dataclass
class Secured:
    """A service behind TLS, its authorities, its operator's API key."""

    app: App
    ports: Ports
    folder: Path
    authority: Certified
    clients: Certified
    api_key: str

    def channel(self, port: int, client: Certified | None = None) -> grpc.aio.Channel:
        """A connection of its own."""
        shown = (client.key_pem, client.pem) if client else (None, None)
        return grpc.aio.secure_channel(
            f"localhost:{port}",
            grpc.ssl_channel_credentials(self.authority.pem, *shown),
            [("grpc.use_local_subchannel_pool", 1)],
        )

    def http(self, client: Certified | None = None) -> httpx.AsyncClient:
        """The same by HTTPS."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        if client is not None:
            context.load_cert_chain(*client.write(self.folder, f"client{id(client)}"))
        return httpx.AsyncClient(
            base_url=f"https://localhost:{self.ports.http_port}", verify=context, trust_env=False
        )

    async def server_shown(self) -> list[bytes]:
        """The certificate (DER) that each port shows at present."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        context.set_alpn_protocols(["h2", "http/1.1"])
        found = []
        for port in (self.ports.port, self.ports.http_port):
            _, writer = await asyncio.open_connection("localhost", port, ssl=context)
            found.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            writer.close()
        return found

    async def register(self, client: Certified) -> party_pb2.Credential:
        """Takes a client's certificate for the shop's."""
        async with self.channel(self.ports.port) as channel:
            operator = Caller(channel, OPERATOR, Role.OPERATOR, self.api_key)
            made: party_pb2.Credential = await operator.admin.RegisterCertificate(
                admin_pb2.RegisterCertificateRequest(
                    parent=f"parties/{SHOP}",
                    credential=party_pb2.Credential(
                        role=annotations_pb2.ROLE_HANDLER, scopes=["AdminService"]
                    ),
                    certificate=client.pem,
                )
            )
            return made

    async def revoke(self, name: str) -> None:
        """Revokes a credential."""
        async with self.channel(self.ports.port) as channel:
            await Caller(channel, OPERATOR, Role.OPERATOR, self.api_key).admin.RevokeCredential(
                admin_pb2.RevokeCredentialRequest(name=name)
            )


def party(number: int, kind: PartyKind) -> Party:
    return Party(gln_of(number), uscc_of(number), "210000", kind, LocalizedText("某", "Some"))


@pytest_asyncio.fixture(loop_scope="session")
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    async with secured_at(tmp_path) as running:
        yield running


@asynccontextmanager
async def secured_at(tmp_path: Path) -> AsyncIterator[Secured]:
    """A service in a folder, with its certificates there."""
    authority, clients = certified("authority"), certified("clients' authority")
    certificate, key = certified("server", authority).write(tmp_path)
    ca = tmp_path / "clients.pem"
    ca.write_bytes(clients.pem)
    app = await build(
        settings_for(
            tmp_path, tls_cert=certificate, tls_key=key, tls_client_ca=ca,
            mtls_listen="127.0.0.1:0",
        )
    )  # fmt: skip
    await app.parties.register(party(1, PartyKind.REGULATOR))
    await app.parties.register(party(5, PartyKind.RETAILER))
    _, api_key = await app.credentials.create(OPERATOR, Role.OPERATOR, "", "first", "first")
    ports = await serve(app)
    try:
        yield Secured(app, ports, tmp_path, authority, clients, api_key)
    finally:
        await ports.stop(0.5)
        await app.close()


async def test_an_api_key_works_over_tls_and_plain_text_gets_no_answer(secured: Secured) -> None:
    async with secured.channel(secured.ports.port) as channel:
        caller = Caller(channel, OPERATOR, Role.OPERATOR, secured.api_key)
        assert (await caller.admin.GetParty(OWN)).gln == SHOP
    async with secured.http() as client:
        answer = await client.post(
            path_of("AdminService.GetParty"),
            json={"name": f"parties/{SHOP}"},
            headers={"authorization": f"Bearer {secured.api_key}"},
        )
        assert answer.json()["gln"] == SHOP
        assert answer.headers["strict-transport-security"].startswith("max-age=")
    async with grpc.aio.insecure_channel(f"localhost:{secured.ports.port}") as channel:
        caller = Caller(channel, OPERATOR, Role.OPERATOR, secured.api_key)
        assert (await refused(caller.admin.GetParty(OWN))).code is grpc.StatusCode.UNAVAILABLE
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://localhost:{secured.ports.http_port}/healthz")


async def test_a_registered_certificate_is_its_party_on_every_transport(secured: Secured) -> None:
    client = certified("line 3", secured.clients)
    made = await secured.register(client)

    async def by_grpc(**asked: Any) -> Any:
        async with secured.channel(secured.ports.mtls_port, client) as channel:
            caller = Caller(channel, SHOP, None, asked.get("api_key", ""))
            return await caller.admin.GetParty(OWN)

    async def by_http() -> Any:
        async with secured.http(client) as http:
            answer = await http.post(
                path_of("AdminService.GetParty"), json={"name": f"parties/{SHOP}"}
            )
            return answer.json()

    assert (await by_grpc()).gln == (await by_http())["gln"] == SHOP
    # Renewed over the same key: nothing to register.
    client = certified("next year", secured.clients, private_key=client.private_key)
    assert (await by_grpc()).gln == (await by_http())["gln"] == SHOP
    # What is sent besides counts, also where it is wrong.
    assert (await refused(by_grpc(api_key="tck_x"))).reason == "INVALID_CREDENTIAL"
    async with secured.channel(secured.ports.mtls_port, client) as channel:
        caller = Caller(channel, SHOP, None, "")
        assert (await caller.admin.GetParty(OWN)).gln == SHOP
        await secured.revoke(made.name)
        # No new handshake is needed for it to be noticed.
        assert (await refused(caller.admin.GetParty(OWN))).reason == "UNKNOWN_CERTIFICATE"
    assert (await refused(by_grpc())).reason == "UNKNOWN_CERTIFICATE"
    assert (await by_http())["details"][0]["debug"]["reason"] == "UNKNOWN_CERTIFICATE"


async def test_scopes_of_a_certificate_count(secured: Secured) -> None:
    client = certified("line 4", secured.clients)
    await secured.register(client)
    async with secured.channel(secured.ports.mtls_port, client) as channel:
        caller = Caller(channel, SHOP, None, "")
        error = await refused(caller.events.CaptureEvents(capture_pb2.CaptureEventsRequest()))
        assert (error.code, error.reason) == (
            grpc.StatusCode.PERMISSION_DENIED, "SCOPE_NOT_ALLOWED",
        )  # fmt: skip


async def test_a_certificate_that_nobody_registered_opens_nothing(secured: Secured) -> None:
    """Its authority is ours, and its name is that of a party: what counts is the register."""
    client = certified(f"urn:tracechain:party:{SHOP}", secured.clients)
    async with secured.channel(secured.ports.mtls_port, client) as channel:
        error = await refused(Caller(channel, SHOP, None, "").admin.GetParty(OWN))
        assert (error.code, error.reason) == (
            grpc.StatusCode.UNAUTHENTICATED, "UNKNOWN_CERTIFICATE",
        )  # fmt: skip


@pytest.mark.parametrize("who", ["nobody", "a stranger", "expired"])
async def test_who_is_not_let_into_the_handshake(secured: Secured, who: str) -> None:
    """Even where the public key is registered."""
    shown = {
        "nobody": None,
        "a stranger": certified("line 5", certified("another authority")),
        "expired": certified("line 5", secured.clients, days=-1),
    }[who]
    if shown is not None:
        await secured.register(shown)
    async with secured.channel(secured.ports.mtls_port, shown) as channel:
        error = await refused(Caller(channel, SHOP, None, "").admin.GetParty(OWN))
        assert error.code is grpc.StatusCode.UNAVAILABLE
    async with secured.http(shown) as http:
        if shown is None:
            # There a certificate is not asked for: the pages are everybody's.
            assert (await http.get("/healthz", headers={"host": "localhost"})).status_code == 200
            answer = await http.post(path_of("AdminService.GetParty"), json={"name": "x"})
            assert answer.json()["details"][0]["debug"]["reason"] == "MISSING_CREDENTIAL"
        else:
            with pytest.raises(httpx.TransportError):
                await http.get("/healthz")


async def test_on_the_open_port_a_certificate_is_not_asked_for(secured: Secured) -> None:
    client = certified("line 6", secured.clients)
    await secured.register(client)
    async with secured.channel(secured.ports.port, client) as channel:
        error = await refused(Caller(channel, SHOP, None, "").admin.GetParty(OWN))
        assert error.reason == "MISSING_CREDENTIAL"


async def test_a_header_is_no_certificate(secured: Secured) -> None:
    client = certified("line 7", secured.clients)
    await secured.register(client)
    text = client.pem.decode().replace("\n", " ").strip()
    async with secured.http() as http:
        for name in ("x509-pem-cert", "x-client-cert", "client-cert", "x-forwarded-client-cert"):
            answer = await http.post(
                path_of("AdminService.GetParty"), json={"name": "x"}, headers={name: text}
            )
            assert answer.json()["details"][0]["debug"]["reason"] == "MISSING_CREDENTIAL"


async def test_a_renewed_certificate_is_shown_without_a_restart_and_calls_go_on(
    secured: Secured,
) -> None:
    before = await secured.server_shown()
    assert before[0] == before[1]
    async with secured.channel(secured.ports.port) as channel, secured.http() as http:
        caller = Caller(channel, OPERATOR, Role.OPERATOR, secured.api_key)
        await caller.admin.GetParty(OWN)
        await http.get("/healthz")
        renewed = certified("server", secured.authority)
        # As renewal does it, one file after the other.
        certificate, key = secured.folder / "server.pem", secured.folder / "server.key"
        certificate.write_bytes(renewed.pem)
        with capture_logs() as logs:
            assert await secured.server_shown() == before
        assert [entry["event"] for entry in logs] == ["tls_files_not_taken"]
        key.write_bytes(renewed.key_pem)
        der = ssl.PEM_cert_to_DER_cert(renewed.pem.decode())
        assert await secured.server_shown() == [der, der]
        # Connections from before do not end.
        await caller.admin.GetParty(OWN)
        assert (await http.get("/healthz")).status_code == 200
    os.unlink(key)
    assert await secured.server_shown() == [der, der]


async def test_an_authority_that_is_taken_away_lets_nobody_in_any_more(secured: Secured) -> None:
    client = certified("line 8", secured.clients)
    await secured.register(client)

    async def code() -> grpc.StatusCode | None:
        async with secured.channel(secured.ports.mtls_port, client) as channel:
            try:
                await Caller(channel, SHOP, None, "").admin.GetParty(OWN)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return None

    assert await code() is None
    (secured.folder / "clients.pem").write_bytes(certified("the next authority").pem)
    assert await code() is grpc.StatusCode.UNAVAILABLE
    async with secured.http(client) as http:
        with pytest.raises(httpx.TransportError):
            await http.get("/healthz")


async def test_who_begins_no_handshake_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_server, "_HANDSHAKE_MS", 300)
    monkeypatch.setattr(http_server, "_HEAD_SECONDS", 0.3)
    async with secured_at(tmp_path) as running:
        ports = running.ports
        opened = [
            await asyncio.open_connection("127.0.0.1", port)
            for port in (ports.port, ports.mtls_port, ports.http_port)
        ]
        async with asyncio.timeout(TIMEOUT):
            assert [await reader.read() for reader, _ in opened] == [b""] * 3
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("no certificate", "No such file"),
        ("another key", "not that of the certificate"),
        ("an exposed key", "everybody"),
        ("no PEM", "server.pem"),
        ("no authority", "clients.pem"),
    ],
)
def test_files_that_no_server_can_use_are_refused(tmp_path: Path, broken: str, said: str) -> None:
    certificate, key = certified("server").write(tmp_path)
    ca = tmp_path / "clients.pem"
    ca.write_bytes(certificate.read_bytes())
    assert TlsFiles(certificate, key, ca).material().client_ca
    match broken:
        case "no certificate":
            certificate.unlink()
        case "another key":
            key.write_bytes(certified("other").key_pem)
        case "an exposed key":
            key.chmod(0o644)
        case "no PEM":
            certificate.write_bytes(b"certificate")
        case "no authority":
            ca.write_bytes(b"authority")
    with pytest.raises(Unavailable, match=said) as failed:
        TlsFiles(certificate, key, ca)
    assert failed.value.reason == "TLS_INVALID"


@pytest.mark.parametrize("given", ["tls_cert", "tls_key", "tls_client_ca", "mtls_listen"])
async def test_half_of_tls_does_not_start(tmp_path: Path, given: str) -> None:
    certificate, key = certified("server").write(tmp_path)
    values = {
        "tls_cert": certificate, "tls_key": key, "tls_client_ca": certificate,
        "mtls_listen": "127.0.0.1:0",
    }  # fmt: skip
    fields = {given: values[given]}
    if given == "mtls_listen":
        fields |= {"tls_cert": certificate, "tls_key": key}
    app = await build(settings_for(tmp_path, **fields))
    try:
        with pytest.raises(Unavailable) as failed:
            await serve(app)
        assert failed.value.reason == "TLS_INVALID"
    finally:
        await app.close()


async def test_beyond_loopback_tls_is_enough_and_plain_text_is_not(tmp_path: Path) -> None:
    app = await build(settings_for(tmp_path, listen="0.0.0.0:0", http_listen="0.0.0.0:0"))
    try:
        with pytest.raises(Unavailable) as failed:
            await serve(app)
        assert failed.value.reason == "PLAINTEXT_REFUSED"
        certificate, key = certified("server").write(tmp_path)
        app.settings = app.settings.model_copy(update={"tls_cert": certificate, "tls_key": key})
        await (await serve(app)).stop(0)
    finally:
        await app.close()


def test_a_certificate_of_any_algorithm_is_read_by_its_public_key() -> None:
    client = certified("client")
    again = replace(client, certificate=certified("b", private_key=client.private_key).certificate)
    assert public_key_of(client.pem) == public_key_of(again.pem)
    assert public_key_of(client.pem) != public_key_of(certified("client").pem)
