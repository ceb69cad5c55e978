"""What the platform vouches for: X.509 certificates (RFC 5280) of issuers' keys, under its root.

A certificate says that this public key is the key of this id of this issuer (GLN), and no more. It
does not end (section 4.1.2.5: 99991231235959Z), since codes are as old as the goods they are on;
that a key was revoked is said by the service, not by a certificate. If this module lies, a
stranger's key passes for an issuer's.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID

from tracechain.domain.errors import DataCorrupted
from tracechain.domain.keys import IssuerKey

_NEVER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class PlatformRoot:
    """A root: its certificate in DER. `name` finds its wrapped secret."""

    name: str
    certificate: bytes
    create_time: int


def new_root(platform: str, now: int) -> tuple[bytes, bytes]:
    """A root for the platform of this host as (certificate DER, private key PKCS #8 DER)."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, platform),
            x509.NameAttribute(NameOID.COMMON_NAME, "tracechain platform root"),
        ]
    )
    made = (
        _builder(name, name, private.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(root=True), critical=True)
        .sign(private, hashes.SHA256())
    )
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.DER), der


def certify(root: PlatformRoot, secret: bytes, key: IssuerKey) -> bytes:
    """The certificate of an issuer's key, in DER. `secret` is the root's private key (PKCS #8).

    Raises DataCorrupted KEY_UNREADABLE for a secret that is not this root's.
    """
    issuer = x509.load_der_x509_certificate(root.certificate)
    private = load_der_private_key(secret, None)
    if (
        not isinstance(private, ec.EllipticCurvePrivateKey)
        or private.public_key() != issuer.public_key()
    ):
        raise DataCorrupted("KEY_UNREADABLE", "the root's secret is not its certificate's")
    public = load_der_public_key(key.public_key)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.SERIAL_NUMBER, key.issuer_gln),
            x509.NameAttribute(NameOID.COMMON_NAME, f"parties/{key.issuer_gln}/keys/{key.key_id}"),
        ]
    )
    # Who it belongs to as GS1 names it: AI 417 is the party's GLN.
    party = x509.UniformResourceIdentifier(f"https://id.gs1.org/417/{key.issuer_gln}")
    made = (
        _builder(subject, issuer.subject, public, key.create_time)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(root=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([party]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(private.public_key()),
            critical=False,
        )
        .sign(private, hashes.SHA256())
    )
    return made.public_bytes(Encoding.DER)


def is_under(root: PlatformRoot, key: IssuerKey) -> bool:
    """Whether a key has a certificate of this root, and for this public key."""
    if not key.certificate:
        return False
    found = x509.load_der_x509_certificate(key.certificate)
    try:
        found.verify_directly_issued_by(x509.load_der_x509_certificate(root.certificate))
    except Exception:  # of another root, or altered: to a caller the same
        return False
    return found.public_key() == load_der_public_key(key.public_key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: object, now: int
) -> x509.CertificateBuilder:
    begins = datetime.datetime.fromtimestamp(now // 1_000_000, datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(_NEVER)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public),  # type: ignore[arg-type]
            critical=False,
        )
    )


def _usage(*, root: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=root,
        crl_sign=root,
        encipher_only=False,
        decipher_only=False,
    )
