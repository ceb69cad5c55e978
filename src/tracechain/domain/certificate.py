"""X.509 certificates, as far as a caller is known by one: by its public key (RFC 5280, 4.1.2.7).

Whether it is valid is for the TLS handshake to say, which checks the chain, the times and that the
caller has the private half. Its names are not read: what a party may is what was registered here.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tracechain.domain.errors import InvalidArgument

_MAX_BYTES = 16 * 1024


def public_key_of(certificate: bytes, field: str = "certificate") -> bytes:
    """The public key (SubjectPublicKeyInfo, DER) of a certificate, PEM or DER; of several in one
    PEM the first. Raises InvalidArgument INVALID_CERTIFICATE."""
    try:
        if len(certificate) > _MAX_BYTES:
            raise ValueError
        load = (
            x509.load_pem_x509_certificate
            if b"-----BEGIN" in certificate
            else x509.load_der_x509_certificate
        )
        key = load(certificate).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidArgument.of(
            field, "INVALID_CERTIFICATE", "not an X.509 certificate of at most 16 KiB"
        ) from None
