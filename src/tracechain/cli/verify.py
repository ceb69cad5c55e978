"""`tracechain verify` and `tracechain claim`: what a consumer's phone does."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer
from rich.panel import Panel
from rich.text import Text

from tracechain.cli.connection import DEFAULT_SERVER, AsJson, Connection, Server
from tracechain.cli.output import console, plain, print_json, short, when
from tracechain.v1 import verification_pb2 as pb

_LOOKS = {
    pb.OUTCOME_GENUINE: ("✓", "green", "真品 GENUINE"),
    pb.OUTCOME_CAUTION: ("!", "yellow", "注意 CAUTION"),
    pb.OUTCOME_COUNTERFEIT: ("✗", "red", "假冒 COUNTERFEIT"),
    pb.OUTCOME_UNKNOWN: ("?", "magenta", "未知 UNKNOWN"),
}
# The service takes as many in one call.
_MAX_BATCH = 1000

Device = Annotated[str, typer.Option(help="Mark of the scanning device; kept salted only.")]
Region = Annotated[str, typer.Option(help="Where the scan is: GB/T 2260, six digits.")]


def verify(
    codes: Annotated[list[str], typer.Argument(help="Codes as they were scanned.")],
    device: Device = "",
    region: Region = "",
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Verify codes; each scan is recorded. Public: needs no API key.

    The status is 0 whatever the verdict says: that a code is false is an answer, too.
    """
    context = pb.ScanContext(device_id=device, region=region)
    verdicts: list[pb.Verdict] = []
    with Connection(server) as to:
        for start in range(0, len(codes), _MAX_BATCH):
            requests = [
                # The connection repeats what was cut off; a repeated scan counts once.
                pb.VerifyCodeRequest(code=code, context=context, request_id=uuid.uuid4().hex)
                for code in codes[start : start + _MAX_BATCH]
            ]
            answer = to.verification.BatchVerifyCodes(pb.BatchVerifyCodesRequest(requests=requests))
            verdicts += answer.verdicts
    if as_json:
        print_json([{"code": c, **plain(v)} for c, v in zip(codes, verdicts, strict=True)])
        return
    for verdict in verdicts:
        show_verdict(verdict)


def claim(
    code: Annotated[str, typer.Argument(help="The code as it was scanned.")],
    pin: Annotated[str, typer.Argument(help="The PIN under the scratch layer.")],
    device: Device = "tracechain-cli",
    region: Region = "",
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Claim a unit with its PIN: the first correct claim wins. Public."""
    with Connection(server) as to:
        answer = to.verification.ClaimUnit(
            pb.ClaimUnitRequest(
                code=code, pin=pin, context=pb.ScanContext(device_id=device, region=region)
            )
        )
    if as_json:
        print_json(answer)
    else:
        show_claim(answer)


def show_verdict(verdict: pb.Verdict) -> None:
    """A verdict as a person wants to see it: the word first, then why, then the facts."""
    mark, colour, word = _LOOKS.get(verdict.outcome, ("?", "magenta", "?"))
    lines = Text()
    lines.append(verdict.message.zh + "\n", style="bold")
    lines.append(verdict.message.en)
    for label, value in _facts(verdict):
        lines.append(f"\n{label:>12}  ", style="dim")
        lines.append(value)
    console.print(
        Panel(
            lines,
            title=f"[{colour}]{mark} {word}[/]",
            title_align="left",
            border_style=colour,
            width=min(console.width, 92),
        )
    )


def show_claim(answer: pb.ClaimUnitResponse) -> None:
    """A claim's answer in a line."""
    good = answer.status in (pb.CLAIM_STATUS_CLAIMED, pb.CLAIM_STATUS_CLAIMED_BY_YOU)
    text = Text.assemble(
        ("✓ " if good else "✗ ", "green" if good else "red"),
        (short(pb.ClaimStatus.Name(answer.status), "CLAIM_STATUS_"), "bold"),
    )
    if answer.HasField("claim_time"):
        text.append(f"  {when(answer.claim_time)}")
    if answer.status == pb.CLAIM_STATUS_WRONG_PIN:
        text.append(f"  {answer.tries_left} tries left")
    console.print(text)


def _facts(verdict: pb.Verdict) -> list[tuple[str, str]]:
    facts = [
        ("reasons", ", ".join(pb.VerdictReason.Name(r).removeprefix("VERDICT_REASON_")
                              for r in verdict.reasons)),
    ]  # fmt: skip
    if verdict.product.zh or verdict.product.en:
        facts.append(("product", _both(verdict.product.zh, verdict.product.en)))
    if verdict.issuer.zh or verdict.issuer.en:
        facts.append(("made by", _both(verdict.issuer.zh, verdict.issuer.en)))
    if verdict.lot:
        dates = verdict.production_date
        if verdict.expiration_date:
            dates += f" → {verdict.expiration_date}"
        facts.append(("batch", f"{verdict.lot}  {dates}"))
    if verdict.gtin:
        facts.append(("unit", f"{verdict.gtin} / {verdict.serial}"))
    if verdict.state:
        facts.append(("state", short(pb.UnitState.Name(verdict.state), "UNIT_STATE_")))
    if verdict.previous_scans:
        facts.append(
            ("scanned", f"{verdict.previous_scans} × before, first "
                        f"{when(verdict.first_scan_time)}")
        )  # fmt: skip
    if verdict.HasField("claim_time"):
        facts.append(("claimed", when(verdict.claim_time)))
    if verdict.notice.zh or verdict.notice.en:
        facts.append(("notice", _both(verdict.notice.zh, verdict.notice.en)))
    return facts


def _both(zh: str, en: str) -> str:
    return f"{zh}  {en}" if zh and en else zh or en
