"""What a call that needs a credential leaves behind (审计记录), and how records are asked for.

Promise: a record holds nothing secret and no address. Records are added and, once they are old
enough, dropped; nothing changes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracechain.domain.batch_key import derived

RECORD_ID_BYTES = 8
# Outcomes beside the reasons of errors.
OK = "OK"
STARTED = "STARTED"
CANCELLED = "CANCELLED"

# Records lie under these keys: on several machines where there are several, and few enough that a
# search asks each of them. What is written together lies together.
AUDIT_KEYS = tuple(derived(f"urn:tracechain:audit:{number}") for number in range(16))


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record. `time` (microseconds since 1970 UTC) and `record_id` (8 random bytes) name it.

    `party_gln`, `role` and `credential_id` are empty where no credential was good. `origin` is a
    mark of a network, never an address. Values are short texts by the path of their field.
    `calls` is how many calls it stands for.
    """

    time: int
    record_id: bytes
    party_gln: str
    role: str
    credential_id: str
    method: str
    objects: Mapping[str, str]
    request_id: str
    origin: bytes
    outcome: str
    old_values: Mapping[str, str]
    new_values: Mapping[str, str]
    calls: int = 1

    @property
    def place(self) -> tuple[int, bytes]:
        """Where it is in the order of all records."""
        return self.time, self.record_id


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Records from `start` on and before `end`, behind the place `after`; empty texts mean any."""

    start: int
    end: int
    party_gln: str = ""
    method: str = ""
    outcome: str = ""
    after: tuple[int, bytes] = (-1, b"")


def changed_values(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The values that differ, as they were and as they are; a value that is missing is empty."""
    paths = [p for p in {**before, **after} if before.get(p, "") != after.get(p, "")]
    return {p: before.get(p, "") for p in paths}, {p: after.get(p, "") for p in paths}


def key_of(record: AuditRecord) -> int:
    """The key that a record, and what is written with it, lies under."""
    return AUDIT_KEYS[record.record_id[0] % len(AUDIT_KEYS)]
