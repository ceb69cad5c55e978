"""The demo's journey: a liquor from a distillery in Shenyang by way of Dalian to a shop in Anshan.

Companies, numbers and products are made up; their check characters are right.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tracechain.cli.assess import show_impact
from tracechain.cli.connection import Connection
from tracechain.cli.failure import Stop
from tracechain.cli.output import console, done, plain
from tracechain.cli.trace import fetch, show_trace
from tracechain.cli.verify import show_claim, show_verdict
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.text import LocalizedText
from tracechain.v1 import (
    admin_pb2,
    annotations_pb2,
    capture_pb2,
    event_pb2,
    issuance_pb2,
    party_pb2,
    provenance_pb2,
    supervision_pb2,
    verification_pb2,
)

if TYPE_CHECKING:
    from tracechain.bootstrap import App

_OPERATOR = Party(
    "6901234110111", "11210000MB1A2B3C4B", "210000", PartyKind.REGULATOR,
    LocalizedText("辽宁省质量追溯平台(示例)", "Liaoning Traceability Platform (example)"),
)  # fmt: skip
_PARTIES = {
    "distillery": Party(
        "6901234120127", "91210105MA0TC1D2E4", "210105", PartyKind.ISSUER,
        LocalizedText("辽河老窖酒业(示例)", "Liaohe Distillery (example)"),
    ),
    "distributor": Party(
        "6901234130133", "91210202MA0TC3F4G0", "210202", PartyKind.DISTRIBUTOR,
        LocalizedText("渤海湾商贸(示例)", "Bohai Bay Trading (example)"),
    ),
    "shop": Party(
        "6901234140149", "91210302MA0TC5H6J7", "210302", PartyKind.RETAILER,
        LocalizedText("千山超市(示例)", "Qianshan Market (example)"),
    ),
}  # fmt: skip
_GTIN, _LOT = "06901234500110", "LH-0714A"
_PALLET = "https://id.gs1.org/00/069012345000000011"
_CASE = "https://id.gs1.org/00/069012345000000028"
_BOTTLES, _COMMISSIONED, _IN_CASE = 60, 54, 6
_CHINA = datetime.timezone(datetime.timedelta(hours=8))


async def register_operator(app: App) -> str:
    """The operator's API key: the one thing that is done in the house, not over the wire."""
    await app.parties.register(_OPERATOR)
    _, key = await app.credentials.create(_OPERATOR.gln, Role.OPERATOR, "", "demo", "demo")
    return key


@dataclass
class Staff:
    """What one needs to go on by oneself."""

    issuer_key: str = ""
    gtin: str = _GTIN
    lot: str = _LOT
    fresh_code: str = ""
    sold_code: str = ""
    # What to open on a phone: a word for it, and the code.
    pages: tuple[tuple[str, str], ...] = ()


@dataclass
class Journey:
    """The journey over a running service. `quiet` prints nothing."""

    server: str
    operator_key: str
    quiet: bool
    keys: dict[str, str] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> tuple[list[dict[str, Any]], Staff]:
        """Goes through it all; the answers, and what one needs to go on.

        Raises Stop DEMO_WENT_WRONG at the first answer that is not what it has to be.
        """
        if self.quiet:
            console.quiet = True
        self._title("1", "Parties, a product and a batch are registered")
        self._register()
        self._title("2", "Sixty codes are issued; six of their labels will never be used")
        codes = self._issue()
        self._title("3", "From the distillery by way of Dalian to a shop in Anshan")
        self._move(codes)
        self._title("4", "Scans")
        self._scan(codes)
        self._title("5", "Where has this bottle been?")
        self._trace(codes[0].uri)
        self._title("6", "A recall of the first twelve bottles, and who is to be visited")
        self._recall(codes)
        done("every answer was what it had to be")
        return self.answers, Staff(
            self.keys["distillery"],
            fresh_code=codes[30].uri,
            sold_code=codes[0].uri,
            pages=(
                ("genuine", codes[31].uri),
                ("forged", _forged(codes)),
                ("recalled", codes[3].uri),
            ),
        )

    def _register(self) -> None:
        with Connection(self.server, self.operator_key) as to:
            for name, party in _PARTIES.items():
                to.admin.CreateParty(
                    admin_pb2.CreatePartyRequest(
                        party=party_pb2.Party(
                            gln=party.gln,
                            uscc=party.uscc,
                            region=party.region,
                            kind=party_pb2.PartyKind.Value(f"PARTY_KIND_{party.kind.name}"),
                            display_name=_text(party.display_name.zh, party.display_name.en),
                        )
                    )
                )
                role = "ISSUER" if party.kind is PartyKind.ISSUER else "HANDLER"
                made = to.admin.CreateCredential(
                    admin_pb2.CreateCredentialRequest(
                        parent=f"parties/{party.gln}",
                        credential=party_pb2.Credential(
                            role=annotations_pb2.Role.Value(f"ROLE_{role}"), label="demo"
                        ),
                        request_id=f"demo-{name}",
                    )
                )
                self.keys[name] = made.api_key
                done(f"{party.display_name.zh}  {party.gln}  {party.uscc}")
        with self._as("distillery") as to:
            to.admin.CreateIssuerKey(
                admin_pb2.CreateIssuerKeyRequest(
                    parent=f"parties/{_PARTIES['distillery'].gln}", request_id="demo"
                )
            )
            to.issuance.CreateProduct(
                issuance_pb2.CreateProductRequest(
                    product=issuance_pb2.Product(
                        gtin=_GTIN,
                        display_name=_text(
                            "辽河老窖 浓香型白酒 52度 500毫升", "Liaohe Baijiu 52%, 500 ml"
                        ),
                        licenses=[issuance_pb2.License(kind="SC", number="SC11521010500123")],
                        standards=["GB/T 10781.1"],
                    )
                )
            )
            made_on = (datetime.datetime.now(_CHINA) - datetime.timedelta(days=30)).date()
            batch = to.issuance.CreateBatch(
                issuance_pb2.CreateBatchRequest(
                    parent=f"products/{_GTIN}",
                    batch=issuance_pb2.Batch(
                        lot=_LOT,
                        production_date=made_on.isoformat(),
                        authorized_quantity=_BOTTLES + 60,
                        activation_required=True,
                    ),
                )
            )
            done(f"{batch.name}  may issue {batch.authorized_quantity} codes")

    def _issue(self) -> list[issuance_pb2.Code]:
        with self._as("distillery") as to:
            stream = to.issuance.IssueCodes(
                issuance_pb2.IssueCodesRequest(
                    parent=f"products/{_GTIN}/batches/{_LOT}",
                    request_id="demo",
                    quantity=_BOTTLES,
                    profile=issuance_pb2.CODE_PROFILE_SIGNED,
                    include_pins=True,
                )
            )
            codes = [code for part in stream for code in part.codes]
        done(f"{len(codes)} codes, such as")
        console.print(Text(f"  {codes[0].uri}", style="dim"), soft_wrap=True)
        return codes

    def _move(self, codes: list[issuance_pb2.Code]) -> None:
        lot = f"https://id.gs1.org/01/{_GTIN}/10/{_LOT}"
        first_case = [_epc(code) for code in codes[:_IN_CASE]]
        all_of_it = event_pb2.CodeRange(epc_class=lot, first_index=0, count=_COMMISSIONED)
        rest = event_pb2.CodeRange(
            epc_class=lot, first_index=_IN_CASE, count=_COMMISSIONED - _IN_CASE
        )
        made = _event(30, "commissioning", "distillery", action=event_pb2.ACTION_ADD)
        made.code_ranges.append(all_of_it)
        cased = _packed(29.9, "distillery", _CASE, first_case)
        palleted = _packed(29.8, "distillery", _PALLET, [_CASE])
        palleted.code_ranges.append(rest)
        self._capture(
            "distillery", made, cased, palleted, _shipped(28, "distillery", "distributor", _PALLET)
        )
        self._capture(
            "distributor",
            _event(27, "receiving", "distributor", [_PALLET]),
            _unpacked(26, "distributor", _PALLET, [_CASE]),
            _shipped(25, "distributor", "shop", _CASE),
        )
        self._capture(
            "shop",
            _event(24, "receiving", "shop", [_CASE]),
            _unpacked(23, "shop", _CASE, first_case),
            _event(2, "retail_selling", "shop", first_case[:1], disposition="retail_sold"),
        )
        done("10 events: made, packed, sent, received, unpacked, sold")

    def _scan(self, codes: list[issuance_pb2.Code]) -> None:
        verdict = verification_pb2
        self._verify(
            "A bottle from the shelf, scanned for the first time in Anshan",
            codes[1].uri, "phone-1", "210302", verdict.OUTCOME_GENUINE, "FIRST_SCAN",
        )  # fmt: skip
        self._verify(
            "The same phone again",
            codes[1].uri, "phone-1", "210302", verdict.OUTCOME_GENUINE, "SCANNED_BEFORE",
        )  # fmt: skip
        self._verify(
            "A forger put another signature under a serial",
            _forged(codes), "phone-2", "210302", verdict.OUTCOME_COUNTERFEIT, "TOKEN_FALSE",
        )  # fmt: skip
        self._verify(
            "A copied code, in Shenyang …",
            codes[4].uri, "phone-3", "210102", verdict.OUTCOME_GENUINE, "FIRST_SCAN",
        )  # fmt: skip
        self._verify(
            "… and at the same time on another bottle in Changchun",
            codes[4].uri, "phone-4", "220102", verdict.OUTCOME_CAUTION, "IMPOSSIBLE_TRAVEL",
        )  # fmt: skip
        self._verify(
            "A label that was stolen before it was ever put on a bottle",
            codes[_COMMISSIONED].uri, "phone-5", "210302", verdict.OUTCOME_CAUTION, "NOT_ACTIVATED",
        )  # fmt: skip
        self._say("Who bought the bottle scratches the PIN free and claims it")
        with Connection(self.server) as to:
            claimed = to.verification.ClaimUnit(
                verdict.ClaimUnitRequest(
                    code=codes[0].uri,
                    pin=codes[0].pin,
                    context=verdict.ScanContext(device_id="phone-1", region="210302"),
                )
            )
        show_claim(claimed)
        self._check("claim", plain(claimed), claimed.status == verdict.CLAIM_STATUS_CLAIMED)

    def _trace(self, code: str) -> None:
        with self._as("distillery") as to:
            found = fetch(to, code)
        show_trace(found)
        steps = [step.biz_step for step in found.steps]
        self._check(
            "trace",
            plain(found),
            steps[0] == "commissioning"
            and steps[-1] == "retail_selling"
            and len(steps) == 10
            and found.holder_gln == _PARTIES["shop"].gln
            and not found.conflicts,
        )

    def _recall(self, codes: list[issuance_pb2.Code]) -> None:
        batch = f"products/{_GTIN}/batches/{_LOT}"
        with self._as("distillery") as to:
            made = to.supervision.CreateRecall(
                supervision_pb2.CreateRecallRequest(
                    parent=batch,
                    recall=supervision_pb2.Recall(
                        kind=supervision_pb2.RECALL_KIND_RECALL,
                        ranges=[supervision_pb2.IndexRange(first_index=0, count=12)],
                        notice=_text(
                            "瓶口可能有裂纹,请停止饮用并到购买处退货。",
                            "The neck may be cracked: do not drink it, take it back to the shop.",
                        ),
                    ),
                    request_id="demo",
                )
            )
            done(f"in force: {made.name}")
            found = to.provenance.AssessRecall(provenance_pb2.AssessRecallRequest(batch=batch))
        self._verify(
            "A recalled bottle, one second later",
            codes[1].uri, "phone-1", "210302",
            verification_pb2.OUTCOME_CAUTION, "RECALLED_RANGE",
        )  # fmt: skip
        show_impact(found)
        here = {place.party_gln for place in found.places}
        self._check("assess", plain(found), {p.gln for p in _PARTIES.values()} <= here)

    def _verify(
        self, title: str, code: str, device: str, region: str, outcome: int, reason: str
    ) -> None:
        self._say(title)
        with Connection(self.server) as to:
            found: verification_pb2.Verdict = to.verification.VerifyCode(
                verification_pb2.VerifyCodeRequest(
                    code=code,
                    context=verification_pb2.ScanContext(device_id=device, region=region),
                )
            )
        show_verdict(found)
        wanted = verification_pb2.VerdictReason.Value(f"VERDICT_REASON_{reason}")
        self._check(title, plain(found), found.outcome == outcome and wanted in found.reasons)

    def _capture(self, by: str, *events: event_pb2.Event) -> None:
        with self._as(by) as to:
            answer = to.events.CaptureEvents(capture_pb2.CaptureEventsRequest(events=events))
        for result in answer.results:
            accepted = result.status == capture_pb2.CAPTURE_STATUS_ACCEPTED
            self._check("capture", plain(result), accepted and not result.conflicts)

    def _check(self, what: str, answer: dict[str, Any], holds: bool) -> None:
        self.answers.append({"of": what, "answer": answer})
        if not holds:
            raise Stop("DEMO_WENT_WRONG", f"{what}: this is not the answer it has to be: {answer}")

    def _as(self, name: str) -> Connection:
        return Connection(self.server, self.keys[name])

    def _title(self, number: str, text: str) -> None:
        console.print()
        console.rule(f"[bold]{number}. {text}", align="left")

    def _say(self, text: str) -> None:
        console.print(Text(text, style="italic"))


def _text(zh: str, en: str) -> party_pb2.LocalizedText:
    return party_pb2.LocalizedText(zh=zh, en=en)


def _forged(codes: list[issuance_pb2.Code]) -> str:
    """A serial under the end of another one's signature."""
    return codes[2].uri[:-8] + codes[3].uri[-8:]


def _epc(code: issuance_pb2.Code) -> str:
    return f"https://id.gs1.org/01/{_GTIN}/21/{code.serial}"


def _place(name: str) -> str:
    return f"https://id.gs1.org/414/{_PARTIES[name].gln}"


def _event(
    days_ago: float,
    step: str,
    by: str,
    epcs: Iterable[str] = (),
    *,
    type: int = event_pb2.EVENT_TYPE_OBJECT,
    action: int = event_pb2.ACTION_OBSERVE,
    **fields: Any,
) -> event_pb2.Event:
    time = datetime.datetime.now(_CHINA) - datetime.timedelta(days=days_ago)
    event = event_pb2.Event(
        type=type,  # type: ignore[arg-type]
        action=action,  # type: ignore[arg-type]
        event_time=time.isoformat(timespec="milliseconds"),
        event_time_zone_offset="+08:00",
        biz_step=step,
        read_point=event_pb2.Location(id=_place(by)),
        biz_location=event_pb2.Location(id=_place(by)),
        **fields,
    )
    packs = type == event_pb2.EVENT_TYPE_AGGREGATION
    (event.child_epcs if packs else event.epc_list).extend(epcs)
    return event


def _packed(days_ago: float, by: str, container: str, epcs: Iterable[str]) -> event_pb2.Event:
    return _event(
        days_ago, "packing", by, epcs,
        type=event_pb2.EVENT_TYPE_AGGREGATION, action=event_pb2.ACTION_ADD, parent_id=container,
    )  # fmt: skip


def _unpacked(days_ago: float, by: str, container: str, epcs: Iterable[str]) -> event_pb2.Event:
    return _event(
        days_ago, "unpacking", by, epcs,
        type=event_pb2.EVENT_TYPE_AGGREGATION, action=event_pb2.ACTION_DELETE, parent_id=container,
    )  # fmt: skip


def _shipped(days_ago: float, by: str, to: str, what: str) -> event_pb2.Event:
    event = _event(days_ago, "shipping", by, [what], disposition="in_transit")
    event.ClearField("biz_location")
    event.source_list.add(
        type="possessing_party", source=f"https://id.gs1.org/417/{_PARTIES[by].gln}"
    )
    event.destination_list.add(
        type="possessing_party", destination=f"https://id.gs1.org/417/{_PARTIES[to].gln}"
    )
    return event
