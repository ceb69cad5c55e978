"""Certificates of issuers' keys, read as anybody would read them: by X.509's own rules."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from tracechain.domain.certificates import PlatformRoot, certify, is_under, new_root
from tracechain.domain.code import Algorithm
from tracechain.domain.errors import DataCorrupted
from tracechain.domain.keys import IssuerKey, generate

NOW = 1_790_000_000_123_456


def root(name: str = "root") -> tuple[PlatformRoot, bytes]:
    certificate, secret = new_root("id.tracechain.example", NOW)
    return PlatformRoot(name, certificate, NOW), secret


def key(algorithm: Algorithm = Algorithm.ES256) -> IssuerKey:
    public, _ = generate(algorithm)
    return IssuerKey(7, "6901234000115", algorithm, public, b"", "r", NOW)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_certificate_names_the_key_and_its_issuer_and_is_under_the_root(
    algorithm: Algorithm,
) -> None:
    (top, secret), known = root(), key(algorithm)
    made = x509.load_der_x509_certificate(certify(top, secret, known))
    above = x509.load_der_x509_certificate(top.certificate)
    made.verify_directly_issued_by(above)
    above.verify_directly_issued_by(above)
    assert made.public_key() == load_der_public_key(known.public_key)
    (name,) = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "parties/6901234000115/keys/7"
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "https://id.gs1.org/417/6901234000115"
    ]
    begins = datetime.datetime.fromtimestamp(NOW // 1_000_000, datetime.UTC)
    assert (made.not_valid_before_utc, made.not_valid_after_utc.year) == (begins, 9999)


def test_only_the_root_may_sign_certificates() -> None:
    top, secret = root()
    made = x509.load_der_x509_certificate(certify(top, secret, key()))
    for certificate, is_root in ((x509.load_der_x509_certificate(top.certificate), True),
                                 (made, False)):  # fmt: skip
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (basic.critical, basic.value.ca) == (True, is_root)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.key_cert_sign is is_root
        assert usage.value.digital_signature is not is_root
    above = x509.load_der_x509_certificate(top.certificate)
    own = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    pointed = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert pointed.key_identifier == own


def test_a_certificate_of_another_root_or_of_another_key_is_none() -> None:
    (top, secret), (other, _), known = root(), root("other"), key()
    certified = replace(known, certificate=certify(top, secret, known))
    assert is_under(top, certified)
    assert not is_under(other, certified)
    assert not is_under(top, known)
    assert not is_under(top, replace(key(), certificate=certified.certificate))
    with pytest.raises(InvalidSignature):
        x509.load_der_x509_certificate(certified.certificate).verify_directly_issued_by(
            x509.load_der_x509_certificate(other.certificate)
        )


def test_a_root_does_not_sign_with_the_secret_of_another() -> None:
    (top, _), (_, secret) = root(), root("other")
    with pytest.raises(DataCorrupted) as caught:
        certify(top, secret, key())
    assert caught.value.reason == "KEY_UNREADABLE"
