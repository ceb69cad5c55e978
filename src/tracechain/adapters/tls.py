"""The files of TLS: the server's certificate and key, and who signs client certificates.

Promise: a handshake begins with what the files hold now, so that a renewed certificate needs no
restart. Files are looked at by each handshake, which costs three `stat`; what cannot be used (half
written, a key of another certificate, gone) leaves what was good in force and says so once.
"""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tracechain.app.ports import TlsMaterial
from tracechain.domain.errors import Unavailable

_LOG = structlog.get_logger(__name__)
_Stamp = tuple[tuple[int, int, int], ...]


class TlsFiles:
    """What the files hold, read anew when they change. Called from the event loop and from the
    threads in which gRPC shakes hands."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Raises Unavailable TLS_INVALID for files that no server can use."""
        self._files = [certificate, key, *([client_ca] if client_ca else [])]
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._material, self._context = self._read()

    def material(self) -> TlsMaterial:
        """See ServerIdentity."""
        self._refresh()
        return self._material

    def context(self) -> ssl.SSLContext:
        """For servers of the standard library's TLS: each connection has the files' present
        content. With client authorities a client may show a certificate, and need not."""
        context = _Following(ssl.PROTOCOL_TLS_SERVER)
        context.source = self
        return context

    def current(self) -> ssl.SSLContext:
        """The context of the files' present content."""
        self._refresh()
        return self._context

    def _refresh(self) -> None:
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            with self._lock:
                if stamp == self._stamp:
                    return
                # Also where it fails: the same files are not read again until one changes.
                self._stamp = stamp
                self._material, self._context = self._read()
        except Unavailable as error:
            _LOG.warning("tls_files_not_taken", why=error.message)
        else:
            _LOG.info("tls_files_taken", files=[str(file) for file in self._files])

    def _look(self) -> _Stamp:
        try:
            found = [file.stat() for file in self._files]
        except OSError as error:
            raise _invalid(f"{error.filename}: {error.strerror}") from None
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)

    def _read(self) -> tuple[TlsMaterial, ssl.SSLContext]:
        certificate, key, *authorities = self._files
        try:
            if key.stat().st_mode & 0o007:
                raise _invalid(f"{key}: everybody on this machine may read it; chmod 600 it")
            material = TlsMaterial(
                key.read_bytes(),
                certificate.read_bytes(),
                authorities[0].read_bytes() if authorities else b"",
            )
            _check_pair(material)
            return material, _context_of(certificate, key, material.client_ca)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            # ssl.SSLError is an OSError.
            raise _invalid(f"{', '.join(map(str, self._files))}: {error}") from None


class _Following(ssl.SSLContext):
    """Stands for whatever context is in force when a connection begins."""

    source: TlsFiles

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """See ssl.SSLContext."""
        return self.source.current().wrap_bio(*arguments, **named)


def _check_pair(material: TlsMaterial) -> None:
    """Raises ValueError or TypeError for a key that is encrypted or of another certificate: the
    standard library would ask for a passphrase at the terminal."""
    key = load_pem_private_key(material.key, None)
    certificate = x509.load_pem_x509_certificate(material.certificates)
    if key.public_key() != certificate.public_key():
        raise ValueError("the key is not that of the certificate")
    if material.client_ca:
        x509.load_pem_x509_certificates(material.client_ca)


def _context_of(certificate: Path, key: Path, client_ca: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(cadata=client_ca.decode("ascii"))
        context.verify_mode = ssl.CERT_OPTIONAL
        # A resumed session would carry a certificate past the authorities of today.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _invalid(why: str) -> Unavailable:
    return Unavailable("TLS_INVALID", why)
