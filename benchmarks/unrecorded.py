"""Twins of methods whose calls leave no record, and are the same in all else."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tracechain import bootstrap
from tracechain.adapters.keys import HmacDigester, ServiceSecret
from tracechain.app.auditing import Auditing
from tracechain.domain.audit import AuditRecord
from tracechain.rpc.admission import Admission
from tracechain.rpc.gate import Gate

# What stands before the path of such a method.
UNRECORDED = "/benchmarks"


def forgetful(app: bootstrap.App) -> Auditing:
    """Makes each record, and forgets it."""

    def forget(record: AuditRecord) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    # Any secret costs the same, and these marks are kept nowhere.
    digester = HmacDigester(ServiceSecret(os.urandom(32)))
    return Auditing(forget, app.store, digester, bootstrap.clock, os.urandom)


def unrecorded(app: bootstrap.App) -> dict[str, Any]:
    """All methods of a running service, by path."""
    admission = Admission(app.settings.max_calls, app.settings.max_streams)
    gate = Gate(app.gate._authenticator, admission, app.gate._limits, forgetful(app))
    return {
        f"{UNRECORDED}/{servicer.service.full_name}/{method.name}": gate.method(
            method, getattr(servicer, method.name), servicer
        )
        for servicer in app.servicers
        for method in servicer.service.methods
    }
