"""Codes from a file that `tracechain issue` wrote, every line of it checked before it is used.

A label that is printed from a wrong line is a product that is called counterfeit at its first
scan, or one of two that carry the same code. So each signature is checked against the published
keys, what a line says twice (the code, and its serial) must agree, and indices only grow: no line
is there twice. The proof of a compact code only the service can check: those pass.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tracechain.cli.failure import Stop
from tracechain.domain.code import PIN_LENGTH, MalformedCode, Profile, VerifyingKey, parse_code
from tracechain.domain.label import Label

_PIN = re.compile(rf"[0-9A-HJKMNP-TV-Z]{{{PIN_LENGTH}}}")
# A line that is longer is none that we wrote.
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class CodeFile:
    """What a whole file holds: all codes are of one GTIN, one profile and one resolver."""

    path: Path
    count: int
    gtin: str
    first: str
    last: str

    def labels(self, offset: int, count: int, *, pins: bool) -> Iterator[Label]:
        """`count` labels from `offset` on; the file is read as they are taken."""
        for number, (_, row) in enumerate(_rows(self.path)):
            if number >= offset + count:
                return
            if number >= offset:
                yield Label(row["uri"], row["serial"], row["pin"] if pins else "")


def read_code_file(path: Path, keys: Mapping[int, VerifyingKey], *, pins: bool) -> CodeFile:
    """Reads and checks a file. Raises Stop: NO_CODES, NOT_A_CODE_FILE, NO_PINS, CODE_NOT_OURS,
    CODES_MIXED, CODE_REPEATED; and OSError."""
    count, index = 0, -1
    gtin = first = last = resolver = ""
    for line, row in _rows(path):
        uri, serial, pin = row.get("uri", ""), row.get("serial", ""), row.get("pin", "")
        where = f"{path}, line {line}"
        before, index = index, _number(row.get("index", ""), where)
        if index <= before:
            raise Stop(
                "CODE_REPEATED",
                f"{where}: index {index} comes after {before}",
                "Each code is for one label: leave lines out, but repeat and move none.",
            )
        if pins and not pin:
            raise Stop(
                "NO_PINS", f"{where}: there is no PIN", "Issue with --pins, or print without."
            )
        if pins and not _PIN.fullmatch(pin):
            raise Stop("NOT_A_CODE_FILE", f"{where}: this is no PIN")
        if not first:
            resolver = uri.removeprefix("https://").partition("/")[0]
        try:
            code = parse_code(uri, resolver)
        except MalformedCode as error:
            raise Stop("CODE_NOT_OURS", f"{where}: {error.violations[0].description}") from None
        if serial != code.serial:
            raise Stop("CODE_NOT_OURS", f"{where}: the serial is not that of the code")
        key = keys.get(code.key_id)
        if key is None or (code.profile is Profile.SIGNED and not key.verify(code)):
            raise Stop("CODE_NOT_OURS", f"{where}: no issuer of this service signed the code")
        first, last, gtin = first or uri, uri, gtin or code.gtin
        if code.gtin != gtin or len(uri) != len(first):
            raise Stop(
                "CODES_MIXED",
                f"{where}: another product or profile than in the lines before",
                "Print the codes of one order at a time.",
            )
        count += 1
    if not count:
        raise Stop("NO_CODES", f"{path} holds no codes", "Name a file of `tracechain issue`.")
    return CodeFile(path, count, gtin, first, last)


def _number(text: str, where: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise Stop("NOT_A_CODE_FILE", f"{where}: there is no index of the code")


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Number and fields of each line. Raises Stop NOT_A_CODE_FILE."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            start = file.read(1)
            file.seek(0)
            yield from _json_rows(file) if start == "{" else _csv_rows(file)
        except (UnicodeDecodeError, ValueError, csv.Error):
            raise Stop(
                "NOT_A_CODE_FILE",
                f"{path} is neither CSV nor JSON lines of codes",
                "Name a file of `tracechain issue`.",
            ) from None


def _csv_rows(file: IO[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.DictReader(_bounded(file), strict=True)
    if reader.fieldnames and not {"index", "serial", "uri"} <= set(reader.fieldnames):
        raise ValueError
    for row in reader:
        # What is missing is None, what is too much is a list: neither is text.
        if not all(isinstance(value, str) for value in row.values()):
            raise ValueError
        yield reader.line_num, row


def _json_rows(file: IO[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    for number, line in enumerate(_bounded(file), 1):
        row: Any = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError
        yield number, {k: str(value) for k, value in row.items() if isinstance(value, str | int)}


def _bounded(file: IO[str]) -> Iterator[str]:
    while line := file.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise ValueError
        yield line
