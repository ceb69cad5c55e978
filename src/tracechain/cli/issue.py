"""`tracechain issue`: codes of a batch into a CSV or JSON-lines file, resumable to the line."""

from __future__ import annotations

import csv
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import grpc
import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Stop
from tracechain.cli.goods import BATCH_HELP, batch_name
from tracechain.cli.output import done, note, print_json, progress
from tracechain.domain.product import check_quantity
from tracechain.v1 import issuance_pb2

_ATTEMPTS = 5


class Format(StrEnum):
    """How codes are written."""

    CSV = "csv"
    JSONL = "jsonl"


class ProfileName(StrEnum):
    """The two profiles of a code."""

    SIGNED = "signed"
    COMPACT = "compact"


def issue(
    batch: Annotated[str, typer.Argument(help=BATCH_HELP)],
    quantity: Annotated[int, typer.Argument(help="How many codes.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; standard output without it."),
    ] = None,
    format: Annotated[Format, typer.Option(help="CSV with a header, or JSON lines.")] = Format.CSV,
    profile: Annotated[
        ProfileName,
        typer.Option(
            help="signed: checked anywhere, offline too. compact: short, for small labels."
        ),
    ] = ProfileName.SIGNED,
    pins: Annotated[
        bool, typer.Option("--pins", help="Also the PIN that goes under the scratch layer.")
    ] = False,
    order: Annotated[
        str,
        typer.Option(
            help="Id of the order. The same order gives the same codes; needed to resume."
        ),
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the file of this order ends.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Issue codes of a batch (issuer).

    A run that was cut off is resumed with the same --order and --resume: the file goes on after
    its last whole line, and every code is the one that it would have been.
    """
    if resume and (output is None or not order):
        raise Stop("NOTHING_TO_RESUME", "--resume needs --output and the --order of the first run")
    if output is not None and not resume and output.exists():
        raise Stop(
            "FILE_EXISTS",
            f"{output} exists; codes are never written over",
            "Name another file, or go on with it: --resume --order ID.",
        )
    check_quantity(quantity, "quantity")
    order = order or uuid.uuid4().hex
    request = issuance_pb2.IssueCodesRequest(
        parent=batch_name(batch),
        request_id=order,
        quantity=quantity,
        profile=issuance_pb2.CodeProfile.Value(f"CODE_PROFILE_{profile.name}"),
        include_pins=pins,
    )
    with Connection(server, api_key) as to:
        if output is None:
            _write(to, request, sys.stdout.buffer, Format.JSONL if as_json else format, header=True)
            return
        _to_file(to, request, output, format, resume=resume)
    if as_json:
        print_json(
            {"batch": request.parent, "order": order, "quantity": quantity, "file": str(output)}
        )
    else:
        done(f"{quantity:,} codes of ", (request.parent, "bold"), f" in {output}")
        note(f"  order {order}")


def _to_file(
    to: Connection,
    request: issuance_pb2.IssueCodesRequest,
    path: Path,
    format: Format,
    *,
    resume: bool,
) -> None:
    # PINs are secrets until their labels are sold: nobody else reads the file.
    mode = os.O_RDWR | os.O_CREAT | (0 if resume else os.O_EXCL)
    with os.fdopen(os.open(path, mode, 0o600), "r+b") as file:
        request.offset = _whole_lines(file, format)
        empty = request.offset == 0
        try:
            _write(to, request, file, format, header=file.tell() == 0)
        except grpc.RpcError:
            file.flush()
            if empty and request.offset == 0:
                path.unlink()
            else:
                note(
                    f"{request.offset:,} codes are in {path}; the same command with "
                    f"--order {request.request_id} --resume goes on"
                )
            raise
        os.fsync(file.fileno())


def _write(
    to: Connection,
    request: issuance_pb2.IssueCodesRequest,
    file: BinaryIO | Any,
    format: Format,
    *,
    header: bool,
) -> None:
    columns = ["index", "serial", "uri", *(["pin"] if request.include_pins else [])]
    with progress() as bar:
        task = bar.add_task("issuing", total=request.quantity, completed=request.offset)
        for part in _stream(to, request):
            lines = _Lines()
            if header and format is Format.CSV:
                lines.write(",".join(columns) + "\n")
                header = False
            if format is Format.CSV:
                csv.writer(lines, lineterminator="\n").writerows(
                    [getattr(code, name) for name in columns] for code in part.codes
                )
            else:
                for code in part.codes:
                    row = {name: getattr(code, name) for name in columns}
                    lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.write("".join(lines.parts).encode())
            bar.advance(task, len(part.codes))
    file.flush()


class _Lines:
    """Collects text for one write."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, text: str) -> None:
        self.parts.append(text)


def _stream(
    to: Connection, request: issuance_pb2.IssueCodesRequest
) -> Iterator[issuance_pb2.IssueCodesResponse]:
    """The order's codes from its offset on; a cut connection is taken up again."""
    attempt = 0
    while request.offset < request.quantity:
        try:
            for part in to.issuance.IssueCodes(request, timeout=None):
                yield part
                request.offset = part.offset + len(part.codes)
                attempt = 0
            return
        except grpc.RpcError as error:
            attempt += 1
            if error.code() is not grpc.StatusCode.UNAVAILABLE or attempt == _ATTEMPTS:
                raise
            time.sleep(min(2.0**attempt / 4, 4.0))


def _whole_lines(file: BinaryIO, format: Format) -> int:
    """How many codes a file holds; cuts off a line that was not finished."""
    count = end = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        count += 1
        end += len(line)
    file.truncate(end)
    file.seek(end)
    return max(count - (format is Format.CSV), 0)
