"""How a client connects: no API key in clear text beyond this machine, unless told so."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tracechain_client import AsyncClient, Client, RetryPolicy, Unavailable
from tracechain_client._channel import connection, is_loopback

HERE = [
    "localhost:50051", "LocalHost", "127.0.0.1:50051", "127.9.9.9", "[::1]:50051", "::1",
    "dns:localhost:50051", "dns:///localhost:50051", "dns:///127.0.0.1:1", "dns:[::1]:1",
    "dns://10.0.0.1/127.0.0.1:1", "ipv4:127.0.0.1:1", "ipv4:127.0.0.1:1,127.0.0.2:1",
    "ipv6:[::1]:1", "unix:run/socket", "unix:///run/socket", "unix-abstract:name",
]  # fmt: skip
ELSEWHERE = [
    "trace.example:443", "10.0.0.1:50051", "0.0.0.0:50051", "[::]:1", "[2001:db8::1]:1", "",
    "localhost.example:1", "notlocalhost:1", "127.0.0.1.example:1", "localhost@evil.example:1",
    "dns:///trace.example:443", "dns://10.0.0.1/localhost:1", "ipv4:127.0.0.1:1,10.0.0.1:1",
    "ipv4:localhost:1", "xds:///localhost:1", "unix", "unix.example:1", "[::ffff:10.0.0.1]:1",
    "127.1:1", "2130706433:1", "dns:50051", "UNIX:run/socket",
]  # fmt: skip


@pytest.mark.parametrize("target", HERE)
def test_this_machine(target: str) -> None:
    assert is_loopback(target)
    made = connection(target, "k", None, (), False)
    assert made.credentials is None
    assert ("grpc.enable_http_proxy", 0) in made.options


@pytest.mark.parametrize("target", ELSEWHERE)
def test_another_machine(target: str) -> None:
    assert not is_loopback(target)
    assert connection(target, "k", None, (), False).credentials is not None, "TLS by default"
    with pytest.raises(ValueError, match="clear text"):
        connection(target, "k", "insecure", (), False)
    assert connection(target, "k", "insecure", (), True).credentials is None
    assert connection(target, None, "insecure", (), False).credentials is None


@pytest.mark.parametrize("client", [Client, AsyncClient])
async def test_a_client_refuses_to_give_its_key_away(client: Any) -> None:
    with pytest.raises(ValueError, match="clear text") as raised:
        client("trace.example:80", api_key="s3cret", credentials="insecure")
    assert "s3cret" not in str(raised.value)
    with pytest.raises(ValueError, match="credentials is"):
        client("trace.example:80", credentials="none")


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "ключ", "a\x00", " a"])
def test_a_key_that_is_none_is_refused_without_telling_it(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as raised:
        Client("localhost:1", api_key=key)
    assert not key or key not in str(raised.value)


def test_the_key_is_not_shown() -> None:
    with Client("localhost:1", api_key="s3cret") as client:
        assert repr(client) == "Client('localhost:1')"
        assert "s3cret" not in repr(vars(client))


async def test_a_proxy_from_the_environment_is_not_asked(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    once = RetryPolicy(attempts=1)
    async with AsyncClient(service.target, api_key="k", retry=once) as client:
        assert (await client.verify("c")).serial == "c"


def self_signed() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tracechain test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


async def test_tls_with_roots_of_ones_own(service: Any, add_services: Any) -> None:
    private, certificate = self_signed()
    server = grpc.aio.server()
    add_services(service, server)
    port = server.add_secure_port(
        "127.0.0.1:0", grpc.ssl_server_credentials([(private, certificate)])
    )
    await server.start()
    try:
        roots = grpc.ssl_channel_credentials(certificate)
        target = f"127.0.0.1:{port}"
        async with AsyncClient(target, api_key="k", credentials=roots) as client:
            assert (await client.verify("c")).serial == "c"
        assert service.seen[0].metadata["authorization"] == "Bearer k"
        strangers = grpc.ssl_channel_credentials(self_signed()[1])
        once = RetryPolicy(attempts=1)
        async with AsyncClient(target, credentials=strangers, retry=once) as client:
            with pytest.raises(Unavailable):
                await client.verify("c")
    finally:
        await server.stop(None)
