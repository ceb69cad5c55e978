"""Which addresses stay on this machine: plain text is served and API keys are sent to no others."""

from __future__ import annotations

import ipaddress


def is_loopback(listen: str) -> bool:
    """True where `host:port` cannot be reached from another machine."""
    host = listen.rpartition(":")[0].strip("[]")
    if host in ("localhost", "unix"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return listen.startswith("unix:")
