"""`tracechain evidence`: bundles from the service, and verified without it."""

from __future__ import annotations

import datetime
import os
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Stop
from tracechain.cli.goods import BATCH_HELP, batch_name
from tracechain.cli.output import console, done, note, print_json, progress, table
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.evidence import wording
from tracechain.domain.evidence.archive import MAX_ARCHIVE_BYTES
from tracechain.domain.evidence.timeline import Entry
from tracechain.domain.evidence.verification import Verified, verify_bundle
from tracechain.domain.log.fact import FactKind
from tracechain.domain.log.policy import Policy
from tracechain.domain.text import LocalizedText
from tracechain.v1 import provenance_pb2 as pb

app = typer.Typer(help="Evidence: export what the log proves, verify it anywhere.")


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, a zip archive.")],
    code: Annotated[str, typer.Option(help="A printed code.")] = "",
    unit: Annotated[str, typer.Option(help="The EPC of a unit.")] = "",
    batch: Annotated[str, typer.Option(help=BATCH_HELP)] = "",
    container: Annotated[str, typer.Option(help="SSCC or EPC of a case or pallet.")] = "",
    case: Annotated[
        str,
        typer.Option(
            help="A recall (products/GTIN/batches/LOT/recalls/ID) or a consumer's report "
            "(divisions/REGION/reports/ID), with its goods."
        ),
    ] = "",
    request_id: Annotated[str, typer.Option(help="Kept with the record of the call.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Export evidence about goods; the log keeps on record that it was handed out, and to whom."""
    subject = {
        "unit": code or unit,
        "batch": batch_name(batch) if batch else "",
        "container": container,
        "case": case,
    }
    named = {kind: text for kind, text in subject.items() if text}
    if len(named) != 1 or (code and unit):
        raise Stop(
            "WHICH_GOODS", "name one thing",
            "Give one of --code, --unit, --batch, --container and --case.",
        )  # fmt: skip
    if out.exists():
        raise Stop("FILE_EXISTS", f"{out} exists; nothing is written over", "Name another.")
    with Connection(server, api_key) as to, progress() as bar:
        wanted = pb.ExportEvidenceRequest(**named, request_id=request_id or uuid.uuid4().hex)
        answers = to.provenance.ExportEvidence(wanted, timeout=None)
        first = next(answers)
        task = bar.add_task("receiving", total=first.size_bytes)
        data = bytearray()
        for answer in answers:
            data += answer.data
            bar.advance(task, len(answer.data))
    if len(data) != first.size_bytes:
        raise Stop("FILE_CUT_OFF", "less came than was announced", "Export it again.")
    _write(out, bytes(data))
    if as_json:
        print_json({"file": str(out), "evidence_id": first.evidence_id, "size": len(data)})
    else:
        done(f"evidence {first.evidence_id} in ", (str(out), "bold"), f", {len(data):,} bytes")
        note("  verify it anywhere: tracechain evidence verify FILE --policy POLICY")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The bundle.")],
    policy: Annotated[
        Path,
        typer.Option(help="Whom you trust: a tlog-policy file that you did not get with it."),
    ],
    tsa_roots: Annotated[
        Path | None,
        typer.Option(help="Certificates (PEM) of time stamping authorities that you trust."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a bundle: needs no network and no service. The status is 1 where it is refused."""
    whom = Policy.parse(policy.read_bytes())
    if file.stat().st_size > 2 * MAX_ARCHIVE_BYTES:
        raise Stop("MALFORMED_BUNDLE", f"{file} is larger than any bundle")
    try:
        found = verify_bundle(file.read_bytes(), whom)
        stamped = _stamped(found, tsa_roots)
    except InvalidArgument as error:
        _refuse(error, as_json=as_json)
        raise typer.Exit(1) from None
    if as_json:
        print_json(_plain(found, stamped))
    else:
        _show(found, stamped)


def _write(path: Path, data: bytes) -> None:
    """Beside its place first; only its owner reads it: it may tell who supplies whom."""
    beside = path.with_name(path.name + ".part")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    beside.rename(path)


def _stamped(found: Verified, roots: Path | None) -> datetime.datetime | None:
    if found.stamp is None or roots is None:
        return None
    # Imported here: most bundles have no stamp.
    from tracechain.adapters.evidence.stamps import read_roots, stamped_time

    return stamped_time(found.stamp, found.checkpoint_note, read_roots(roots.read_bytes()))


def _refuse(error: InvalidArgument, *, as_json: bool) -> None:
    (violation,) = error.violations
    words = wording.REASONS.get(error.reason, LocalizedText())
    if as_json:
        print_json(
            {
                "verified": False,
                "reason": error.reason,
                "member": violation.field,
                "message": {"zh": words.zh, "en": words.en},
                "description": violation.description,
            }
        )
        return
    console.print(Text.assemble(("✗ ", "bold red"), _both(wording.REFUSED)), soft_wrap=True)
    console.print(Text(f"  {_both(words)}"), soft_wrap=True)
    console.print(Text(f"  {violation.field}: {violation.description}"), soft_wrap=True)
    console.print(Text(f"  reason: {error.reason}", style="dim"), soft_wrap=True)


def _show(found: Verified, stamped: datetime.datetime | None) -> None:
    manifest, checkpoint = found.manifest, found.accepted.checkpoint
    console.print(Text.assemble(("✓ ", "bold green"), _both(wording.ACCEPTED)), soft_wrap=True)
    title = f"{manifest.subject.title.zh}  {manifest.subject.title.en}".strip()
    console.print(Text(f"  {manifest.subject.kind.value}  {manifest.subject.name}  {title}"))
    note(f"  evidence {manifest.evidence_id} for {manifest.receiver}, {_when(manifest.time)}")
    note(f"  {checkpoint.origin}, {checkpoint.size:,} leaves; this export is leaf "
         f"{found.export_index:,}")  # fmt: skip
    for name, time in found.accepted.witnessed.items():
        note(f"  cosigned by {name}, {_when(time * 1_000_000)}")
    if found.stamp is not None:
        note(f"  time stamp: {stamped.isoformat() if stamped else _unchecked()}")
    counted = [
        f"{words.zh}\n{words.en}"
        for words in (wording.ENTRIES, wording.SEALED, wording.WITHOUT_TEXT, wording.LATE)
    ]
    table(
        ("链\nchain", *counted),
        [
            (one.head.name, *map(str, (one.leaves, one.sealed, one.without_text, one.late)))
            for one in found.chains
        ],
        right=counted,
    )
    for name in manifest.unlogged:
        note(f"  {name}: nothing in the log 日志中无记录")
    for entry in found.story:
        console.print(_line(entry), soft_wrap=True)
    for heading, texts in (
        ("已证明 proved", wording.PROVED),
        ("未证明 not proved", wording.NOT_PROVED),
    ):
        console.print(heading, style="bold")
        for text in texts:
            console.print(Text(f"  • {text.zh}\n    {text.en}"), soft_wrap=True)


def _line(entry: Entry) -> Text:
    kind = wording.KINDS[entry.kind]
    what = entry.step or f"{kind.zh} {kind.en}"
    if entry.kind is FactKind.EVENT and not entry.step:
        what += f" {wording.NO_BODY.zh} {wording.NO_BODY.en}"
    line = Text.assemble(("  ● ", "green"), f"{_when(entry.time)}  ", (what, "bold"))
    for more in (entry.by, entry.place, entry.about if entry.kind is not FactKind.EVENT else ""):
        if more:
            line.append(f"  {more}", style="dim")
    if entry.is_declared_wrong:
        line.append("  声明有误 declared erroneous", style="red")
    return line


def _plain(found: Verified, stamped: datetime.datetime | None) -> dict[str, Any]:
    manifest, checkpoint = found.manifest, found.accepted.checkpoint
    return {
        "verified": True,
        "evidence_id": manifest.evidence_id,
        "subject": {"kind": manifest.subject.kind.value, "name": manifest.subject.name},
        "receiver": manifest.receiver,
        "time": _when(manifest.time),
        "origin": checkpoint.origin,
        "tree_size": checkpoint.size,
        "export_index": found.export_index,
        "witnesses": {n: _when(t * 1_000_000) for n, t in found.accepted.witnessed.items()},
        "time_stamp": stamped.isoformat() if stamped else None,
        "chains": [
            {
                "name": one.head.name,
                "leaves": one.leaves,
                "sealed": one.sealed,
                "without_text": one.without_text,
                "late": one.late,
            }
            for one in found.chains
        ],
        "unlogged": list(manifest.unlogged),
        "story": [
            {
                "index": entry.index,
                "kind": entry.kind.value,
                "time": _when(entry.time),
                "event_time": None if entry.event_time is None else _when(entry.event_time),
                "by": entry.by,
                "step": entry.step,
                "place": entry.place,
                "about": entry.about,
                "declared_wrong": entry.is_declared_wrong,
            }
            for entry in found.story
        ],
        "proved": [{"zh": text.zh, "en": text.en} for text in wording.PROVED],
        "not_proved": [{"zh": text.zh, "en": text.en} for text in wording.NOT_PROVED],
    }


def _unchecked() -> str:
    return "not checked, give --tsa-roots 未核验"


def _both(text: LocalizedText) -> str:
    return f"{text.zh} {text.en}"


def _when(micros: int) -> str:
    """A time for a record: the same wherever it is read."""
    moment = datetime.datetime.fromtimestamp(micros // 1_000_000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
