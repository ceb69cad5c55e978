"""Codes of a run of indices: pure arithmetic, the same in any process at any time."""

from __future__ import annotations

from dataclasses import dataclass

from tracechain.domain.code import CodeKey, Profile, format_code


@dataclass(frozen=True, slots=True)
class CodeRun:
    """`count` codes of a batch from index `first` on, as they are to be printed."""

    resolver: str
    gtin: str
    batch_number: int
    first: int
    count: int
    profile: Profile
    pins: bool


@dataclass(frozen=True, slots=True)
class IssuedCodes:
    """The codes of a run, column by column: they travel between processes by the thousand.

    Index `first` is at place 0. `pins` is empty where none were asked for.
    """

    first: int
    uris: list[str]
    serials: list[str]
    pins: list[str]


def make_codes(key: CodeKey, run: CodeRun) -> IssuedCodes:
    """The codes of a run under a key, in the order of their indices."""
    pairs = key.issue(run.gtin, run.batch_number, run.first, run.count, run.profile)
    serials = [serial for serial, _ in pairs]
    return IssuedCodes(
        run.first,
        [format_code(run.resolver, run.gtin, serial, token) for serial, token in pairs],
        serials,
        [key.pin(run.gtin, serial) for serial in serials] if run.pins else [],
    )
