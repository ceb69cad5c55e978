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
class IssuedCode:
    """One code. `pin` is empty where it was not asked for."""

    uri: str
    index: int
    serial: str
    pin: str


def make_codes(key: CodeKey, run: CodeRun) -> list[IssuedCode]:
    """The codes of a run under a key, in the order of their indices."""
    pairs = key.issue(run.gtin, run.batch_number, run.first, run.count, run.profile)
    return [
        IssuedCode(
            format_code(run.resolver, run.gtin, serial, token),
            index,
            serial,
            key.pin(run.gtin, serial) if run.pins else "",
        )
        for index, (serial, token) in enumerate(pairs, run.first)
    ]
