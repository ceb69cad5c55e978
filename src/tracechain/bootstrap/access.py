"""Who may call, how often, and under which names: the parts that the settings alone decide."""

from __future__ import annotations

from tracechain.adapters.tls import TlsFiles
from tracechain.app.limits import Rates
from tracechain.domain.address import is_loopback
from tracechain.domain.approval import Act
from tracechain.domain.errors import Unavailable
from tracechain.domain.rate import Rate
from tracechain.settings import Settings


def four_eyes(settings: Settings) -> list[Act]:
    """The acts that need an approval. Raises Unavailable SETTING_INVALID for what is no act."""
    names = [name.strip() for name in settings.four_eyes.split(",")]
    try:
        return [Act(name) for name in names if name]
    except ValueError:
        known = ", ".join(Act)
        raise Unavailable("SETTING_INVALID", f"four_eyes takes {known}, with commas") from None


def rates(settings: Settings) -> Rates:
    """The limits that the settings name: what is 0 is none."""

    def rate(count: float, seconds: float, burst: float) -> Rate | None:
        return Rate(count / seconds, max(1, int(burst))) if count else None

    s = settings
    return Rates(
        client=rate(s.client_codes_per_second, 1, 10 * s.client_codes_per_second),
        looks=rate(s.client_looks_per_minute, 60, s.client_looks_per_minute),
        party=rate(s.party_calls_per_second, 1, 10 * s.party_calls_per_second),
        logins=rate(s.client_logins_per_minute, 60, s.client_logins_per_minute),
        tries=rate(s.client_tries_per_hour, 3600, s.client_tries_per_hour / 3),
        tries_at_code=rate(s.code_tries_per_hour, 3600, s.code_tries_per_hour / 3),
    )


def http_hosts(settings: Settings) -> list[str]:
    """The names that pages are served under: of codes, of this port, and what is set besides."""
    own = settings.http_listen.rpartition(":")[0]
    given = [name.strip() for name in settings.http_hosts.split(",")]
    local = ["localhost", "127.0.0.1", "[::1]"] if is_loopback(settings.http_listen) else []
    resolver = settings.resolver.partition(":")[0]
    return [name for name in (resolver, own, *local, *given) if name]


def tls_files(settings: Settings) -> TlsFiles | None:
    """The files of TLS that the settings name. Raises Unavailable TLS_INVALID."""
    s = settings
    if s.tls_cert is None and s.tls_key is None and not (s.tls_client_ca or s.mtls_listen):
        return None
    if s.tls_cert is None or s.tls_key is None:
        raise Unavailable("TLS_INVALID", "TLS needs both tls_cert and tls_key")
    if s.mtls_listen and s.tls_client_ca is None:
        raise Unavailable("TLS_INVALID", "mtls_listen needs tls_client_ca: who signs the clients")
    return TlsFiles(s.tls_cert, s.tls_key, s.tls_client_ca)
