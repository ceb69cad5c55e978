"""Evidence over the socket: what is exported verifies, and shows each caller what he may see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pypdfium2
import pytest
import pytest_asyncio

from tests.support.bundles import policy_text, publishing
from tests.support.log import earlier_batch_fact
from tests.support.service import (
    Caller,
    Lot,
    World,
    event,
    made,
    packed,
    received,
    refused,
    running_world,
    second_node,
    shipped,
    unpacked,
)
from tests.support.time_stamps import Authority, running_authority
from tracechain.adapters.evidence.press import ReportProcess
from tracechain.adapters.evidence.stamps import read_roots, stamped_time
from tracechain.domain.batch_key import derived
from tracechain.domain.evidence.archive import unpack
from tracechain.domain.evidence.report import Report as PaperReport
from tracechain.domain.evidence.verification import Verified, verify_bundle
from tracechain.domain.log.checkpoint import Head
from tracechain.domain.log.policy import Policy
from tracechain.domain.report import Report, ReportKind, province_place
from tracechain.v1 import admin_pb2, audit_pb2, log_pb2, verification_pb2
from tracechain.v1 import provenance_pb2 as pb

POLICY = Policy.parse(policy_text().encode())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """A time stamping authority."""
    with running_authority(tmp_path_factory.mktemp("tsa")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def logged(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> AsyncIterator[World]:
    """A service whose trees are published at once, by a log and witnesses whose keys the tests
    have, with time stamps on its evidence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracechain.app.log.sequencing._PAUSE", 20_000)
        async with running_world(
            tmp_path_factory.mktemp("logged"),
            log_poll_ms=20,
            tsa_url=authority.url,
            tsa_roots=authority.roots,
        ) as world:
            world.app._sequencing._publish = publishing(world.app.store)
            yield world


async def export(by: Caller, **subject: str) -> tuple[Verified, bytes]:
    """A bundle for a caller, verified."""
    parts = [
        part async for part in by.provenance.ExportEvidence(pb.ExportEvidenceRequest(**subject))
    ]
    data = b"".join(part.data for part in parts)
    assert parts[0].size_bytes == len(data)
    found = verify_bundle(data, POLICY)
    assert found.manifest.evidence_id == parts[0].evidence_id
    return found, data


def kinds(found: Verified) -> list[str]:
    return [entry.step or entry.kind.value for entry in found.story]


async def report_of(world: World, code: str) -> str:
    """The name of a consumer's report of a code, from Shenyang."""
    number = next(world.numbers)
    report = Report(f"{number:032x}", "210102", ReportKind.OTHER, "", code, "", "", number)
    await world.app.store.put_report(derived(province_place("210102")), report, None)
    return f"divisions/210000/reports/{report.report_id}"


class Journey:
    """Six bottles in a case, from the distillery to the shop; one of them was sold."""

    def __init__(self, lot: Lot, codes: list[Any], case: str) -> None:
        self.lot, self.codes, self.case = lot, codes, case


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def journey(logged: World) -> Journey:
    lot = await logged.lot()
    codes = await lot.issue(6)
    case, issuer, shop = logged.container(), logged.issuer, logged.shop
    await issuer.accepted(
        made(0, code_ranges=[lot.range(0, 6)], biz_location=issuer.place),
        packed(10, case, code_ranges=[lot.range(0, 6)], biz_location=issuer.place),
        shipped(20, issuer, shop, [case]),
    )
    await shop.accepted(
        received(30, shop, [case]),
        unpacked(40, case, [lot.epc(codes[2])], biz_location=shop.place),
        event(
            50, "retail_selling", [lot.epc(codes[2])], disposition="retail_sold",
            biz_location=shop.place,
        ),
    )  # fmt: skip
    # After the bottle was out of it: of the case's chain, and not of the bottle's story.
    await shop.accepted(event(60, "inspecting", [case], biz_location=shop.place))
    await lot.recall(logged.liaoning)
    return Journey(lot, codes, case)


STORY = [
    "key", "batch", "quantity", "commissioning", "packing", "shipping / in_transit", "receiving",
    "unpacking", "retail_selling / retail_sold", "recall", "evidence",
]  # fmt: skip


async def test_a_bottle_with_its_case(logged: World, journey: Journey) -> None:
    found, _ = await export(logged.operator, unit=journey.codes[2].uri)
    assert kinds(found) == STORY
    assert [entry.about for entry in found.story[1:3]] == [
        f"{journey.lot.gtin}/{journey.lot.lot}", "≤ 100",
    ]  # fmt: skip
    assert found.story[2].by == logged.issuer.gln
    assert str(found.manifest.subject) == f"unit:{journey.lot.epc(journey.codes[2])}"
    assert found.manifest.subject.title.zh == "白酒"
    chains = {chain.head.name: chain for chain in found.chains}
    assert list(chains) == [
        journey.lot.name, journey.case, f"issuer:{logged.issuer.gln}",
    ]  # fmt: skip
    case = chains[journey.case]
    # The inspection of the case, once the bottle was out of it, is there and sealed.
    assert (case.leaves, case.sealed, case.without_text) == (5, 1, 0)
    assert found.manifest.unlogged == (journey.lot.uri,)
    assert found.accepted.witnessed.keys() == {"w0", "w1", "w2"}


async def test_the_issuer_reads_what_names_his_goods(logged: World, journey: Journey) -> None:
    found, data = await export(logged.issuer, unit=journey.codes[2].uri)
    # That the shop received the case is told, and by whom; the text of that names no goods of his.
    assert kinds(found) == ["event" if name == "receiving" else name for name in STORY]
    # Sealed is another thing than told without its text, and both are counted, on paper too.
    assert [chain.without_text for chain in found.chains] == [0, 1, 0]
    sealed = found.chains[1].sealed - found.chains[1].late
    assert sealed > 0
    paper = pypdfium2.PdfDocument(unpack(data)["report.pdf"])[0].get_textpage().get_text_bounded()
    assert f"未公开条目 sealed entries: {sealed}, 未附原文的事件 events without text: 1" in paper


async def test_who_handled_the_goods_sees_no_quantity_and_his_own_texts(
    logged: World, journey: Journey
) -> None:
    found, _ = await export(logged.shop, unit=journey.codes[2].uri)
    told = [entry for entry in found.story if entry.kind.value == "event"]
    assert not {"batch", "quantity"} & set(kinds(found))
    assert [entry.step for entry in told] == [
        "", "", "", "receiving", "unpacking", "retail_selling / retail_sold",
    ]  # fmt: skip
    assert {entry.by for entry in told[:3]} == {logged.issuer.gln}


async def test_a_batch_whose_fact_tells_its_quantity_is_evidence_as_before(logged: World) -> None:
    async with second_node(logged, log=False) as older:
        lot = await older.lot()
    batch = await logged.app.store.find_batch(lot.gtin, lot.lot)
    assert batch is not None
    await logged.app.store.append_fact(earlier_batch_fact(batch))
    found, _ = await export(logged.issuer, batch=lot.name)
    assert kinds(found) == ["key", "batch", "evidence"]
    assert found.story[1].about == f"{lot.gtin}/{lot.lot} ≤ 100"


async def test_earlier_exports_stay_sealed(logged: World, journey: Journey) -> None:
    found, _ = await export(logged.liaoning, batch=journey.lot.name)
    again, _ = await export(logged.liaoning, batch=journey.lot.name)
    before, after = found.chains[0], again.chains[0]
    assert before.head.name == journey.lot.name
    assert after.leaves == before.leaves + 1
    assert after.leaves - after.sealed == before.leaves - before.sealed


@pytest.mark.parametrize("spelling", ["uri", "digits"])
async def test_a_case_of_bottles(logged: World, journey: Journey, spelling: str) -> None:
    named = journey.case if spelling == "uri" else journey.case[-18:]
    found, _ = await export(logged.operator, container=named)
    assert [chain.head.name for chain in found.chains] == [journey.case]
    assert kinds(found)[-2:] == ["inspecting", "evidence"]


async def test_cases_of_supervision(logged: World, journey: Journey) -> None:
    recall = await journey.lot.recall(logged.liaoning)
    found, _ = await export(logged.liaoning, case=recall.name)
    assert str(found.manifest.subject) == f"case:{recall.name}"
    name = await report_of(logged, journey.codes[2].uri)
    found, _ = await export(logged.liaoning, case=name)
    assert str(found.manifest.subject) == f"case:{name}"
    assert found.chains[0].head.name == journey.lot.name
    nameless = pb.ExportEvidenceRequest(case=await report_of(logged, ""))
    error = await refused(logged.liaoning.provenance.ExportEvidence(nameless))
    assert error.reason == "CASE_WITHOUT_GOODS"


@pytest.mark.parametrize(
    ("who", "subject", "reason"),
    [
        ("issuer", {}, "MISSING_FIELD"),
        ("other", {"unit": "theirs"}, "NOTHING_KNOWN"),
        ("auditor", {"unit": "theirs"}, "ROLE_NOT_ALLOWED"),
        ("issuer", {"case": "recalls/1"}, "INVALID_NAME"),
        ("jilin", {"case": "divisions/210000/reports/1"}, "REPORT_NOT_FOUND"),
        ("issuer", {"batch": "products/06901234500110/batches/none"}, "NOTHING_KNOWN"),
    ],
)
async def test_what_is_refused(
    logged: World, journey: Journey, who: str, subject: dict[str, str], reason: str
) -> None:
    subject = {k: journey.codes[0].uri if v == "theirs" else v for k, v in subject.items()}
    caller: Caller = getattr(logged, who)
    request = pb.ExportEvidenceRequest(**subject)
    assert (await refused(caller.provenance.ExportEvidence(request))).reason == reason


async def test_an_export_is_on_record_twice(logged: World, journey: Journey) -> None:
    found, _ = await export(logged.issuer, unit=journey.codes[1].uri)
    head = await logged.app.store.log_head()
    leaves = await logged.app.store.read_leaves(0, head.size)
    (fact,) = [leaf.text for leaf in leaves if found.manifest.evidence_id in leaf.text]
    assert found.manifest.digest in fact
    page = await logged.auditor.audit.ListAuditRecords(
        audit_pb2.ListAuditRecordsRequest(method="ProvenanceService.ExportEvidence", page_size=100)
    )
    assert journey.codes[1].uri in {record.objects.get("unit") for record in page.records}


async def test_an_issuers_keys_are_proved_as_before_once_evidence_was_exported(
    logged: World, journey: Journey
) -> None:
    await export(logged.issuer, unit=journey.codes[4].uri)
    verdict = await logged.nobody.verification.VerifyCode(
        verification_pb2.VerifyCodeRequest(code=journey.codes[4].uri, include_proof=True)
    )
    assert (verdict.proof.absent_reason, '"kind":"key"' in verdict.proof.key.fact) == ("", True)
    keys = await logged.issuer.admin.ListIssuerKeys(
        admin_pb2.ListIssuerKeysRequest(parent=f"parties/{logged.issuer.gln}")
    )
    leaves = await logged.issuer.log.ListLeaves(log_pb2.ListLeavesRequest(name=keys.keys[0].name))
    assert ['"kind":"key"' in leaf.fact for leaf in leaves.leaves] == [True]


async def test_what_comes_while_an_export_is_made_is_there_and_sealed(
    logged: World, journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, draw = logged.shop, ReportProcess.draw_report

    async def draw_late(self: ReportProcess, report: PaperReport) -> bytes:
        await shop.accepted(event(70, "cycle_counting", [journey.case], biz_location=shop.place))
        return await draw(self, report)

    monkeypatch.setattr(ReportProcess, "draw_report", draw_late)
    found, _ = await export(logged.operator, container=journey.case)
    (case,) = found.chains
    assert case.late == 1
    assert "cycle_counting" not in kinds(found)
    monkeypatch.undo()
    again, _ = await export(logged.operator, container=journey.case)
    assert again.chains[0].late == 0
    assert "cycle_counting" in kinds(again)


@pytest.mark.parametrize(
    ("limit", "what"),
    [
        ("gathering.MAX_LEAVES", "leaves"),
        ("gathering.MAX_GOODS", "goods"),
        ("exporting._MAX_BYTES", "bytes"),
    ],
)
async def test_more_than_a_bundle_has(
    logged: World, journey: Journey, monkeypatch: pytest.MonkeyPatch, limit: str, what: str
) -> None:
    monkeypatch.setattr(f"tracechain.app.evidence.{limit}", 2)
    head = await logged.app.store.log_head()
    request = pb.ExportEvidenceRequest(unit=journey.codes[2].uri)
    error = await refused(logged.issuer.provenance.ExportEvidence(request))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "EVIDENCE_TOO_LARGE")
    assert (error.metadata["what"], error.metadata["limit"]) == (what, "2")
    assert await logged.app.store.log_head() == head


async def test_a_service_without_a_log_has_no_evidence(tmp_path: Path) -> None:
    async with running_world(tmp_path, log=False) as world:
        lot = await world.lot()
        request = pb.ExportEvidenceRequest(batch=lot.name)
        error = await refused(world.issuer.provenance.ExportEvidence(request))
    assert error.reason == "NOTHING_LOGGED"


async def test_evidence_is_stamped_or_not_given(
    logged: World, journey: Journey, authority: Authority
) -> None:
    found, _ = await export(logged.issuer, unit=journey.codes[3].uri)
    assert found.stamp is not None
    roots = read_roots(authority.roots.read_bytes())
    assert stamped_time(found.stamp, found.checkpoint_note, roots).tzinfo is not None
    authority.status = 503
    try:
        request = pb.ExportEvidenceRequest(unit=journey.codes[3].uri)
        error = await refused(logged.issuer.provenance.ExportEvidence(request))
    finally:
        authority.status = 200
    assert (error.code.name, error.reason) == ("UNAVAILABLE", "TSA_UNAVAILABLE")


async def test_nothing_is_exported_while_checkpoints_are_behind(tmp_path: Path) -> None:
    async def nothing(fence: int, head: Head) -> None:
        """No signer, no witnesses."""

    async with running_world(tmp_path, evidence_wait_ms=300) as world:
        world.app._sequencing._publish = nothing
        lot = await world.lot()
        request = pb.ExportEvidenceRequest(batch=lot.name)
        error = await refused(world.issuer.provenance.ExportEvidence(request))
        assert (error.code, error.reason) == (
            grpc.StatusCode.UNAVAILABLE, "CHECKPOINT_BEHIND",
        )  # fmt: skip
        assert error.retry_after == 5.0
        # No fact says that something was handed out.
        leaves = await world.app.store.read_leaves(0, 1000)
        assert not [leaf for leaf in leaves if '"evidence"' in leaf.text]
