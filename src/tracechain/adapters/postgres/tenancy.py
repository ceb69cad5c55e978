"""For whom a session acts, in the words that the policies of the tables read (migration 0007).

Promise: a connection acts for the service from its start, by a setting that it is opened with, so
what belongs to no tenant costs nothing more. What is done for a principal runs in a transaction
that says so before its first statement; the setting ends with the transaction, whatever becomes of
it. Where neither is said, as in a session of somebody else's, the policies show nothing.
"""

from __future__ import annotations

import re

from tracechain.adapters.postgres.statements import statement
from tracechain.domain.party import Principal, Role
from tracechain.domain.region import Region

# What a connection is opened with.
SERVICE_SETTINGS = {
    "tracechain.tenant": "service",
    # A cluster's coordinator tells its workers what is set for a transaction (SET LOCAL).
    "citus.propagate_set_commands": "local",
}
# Filled with what `tenant_of` gives. Not set_config: Citus hands on the command alone.
_ACT_FOR = statement("ACT_FOR", "SET LOCAL tracechain.tenant TO '{tenant}'")
_TENANT = re.compile(r"(?:operator|auditor|(?:issuer|handler):\d{13}|inspector:\d{2,6})", re.ASCII)

# A superuser, and a role that has BYPASSRLS, are bound by no policy; the log at the start and
# `store check` say so by this name.
ROW_SECURITY_BYPASSED = "ROW_SECURITY_BYPASSED"
BYPASSES = statement(
    "BYPASSES",
    "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user",
    maintenance=True,
)


class OutOfScope(Exception):
    """A row that the principal's scope does not hold was to be written: a use case has forgotten to
    ask whose it is. A fault of ours, so nothing that a caller is told."""


def tenant_of(principal: Principal) -> str:
    """The setting that stands for a principal. Raises ValueError for one that can be none: it goes
    into a statement's text."""
    match principal.role:
        case Role.ISSUER | Role.HANDLER:
            tenant = f"{principal.role}:{principal.party_gln}"
        case Role.INSPECTOR:
            tenant = f"{principal.role}:{Region(principal.region).prefix}"
        case _:
            tenant = str(principal.role)
    if not _TENANT.fullmatch(tenant):
        raise ValueError(f"no tenant: {tenant!r}")
    return tenant


def acting_for(principal: Principal) -> str:
    """The statement that makes a transaction act for a principal. Raises ValueError."""
    return _ACT_FOR.sql.format(tenant=tenant_of(principal))
