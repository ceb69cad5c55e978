"""The command line as its users meet it: a chain of commands, and what each says when it fails."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.support.certificates import certified
from tests.support.command import Command, serving
from tests.support.service import gln_of, gtin_of, uscc_of
from tracechain.v1 import verification_pb2 as pb
from tracechain.v1 import verification_pb2_grpc
from tracechain_client import KeySet, OfflineStatus, verify_offline

RESOLVER = "id.tracechain.example"


@dataclass
class Shop:
    """A running service and the keys of those who act."""

    folder: Path
    server: str
    operator: str = ""
    issuer: str = ""

    def by(self, who: str) -> dict[str, str]:
        """Environment of a command by that party."""
        return {"server": self.server, "api_key": getattr(self, who)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("store")
    with serving(folder) as (_, server):
        yield Shop(folder, server)


@pytest.fixture
def goods(shop: Shop, run: Command) -> str:
    """Parties, a key and a product, made by the commands that make them; its GTIN."""
    gtin = gtin_of(501)
    if shop.issuer:
        return gtin
    operator, issuer = gln_of(901), gln_of(902)
    made = run(
        "keys", "operator", operator, "--uscc", uscc_of(901), "--region", "210000", "--zh", "平台",
        "--json", data_dir=str(shop.folder),
    )  # fmt: skip
    assert made.status == 0, made.err
    shop.operator = made.json["api_key"]
    party = run(
        "register", "party", issuer, "--uscc", uscc_of(902), "--region", "210102", "--kind",
        "issuer", "--zh", "老窖", **shop.by("operator"),
    )  # fmt: skip
    assert (party.status, f"parties/{issuer}" in party.out) == (0, True), party.err
    shop.issuer = run(
        "keys", "credential", issuer, "--role", "issuer", "--json", **shop.by("operator")
    ).json["apiKey"]
    assert run("keys", "create", issuer, **shop.by("issuer")).status == 0
    product = run(
        "register", "product", gtin[1:], "--zh", "白酒", "--en", "Baijiu", "--license", "SC:SC123",
        "--standard", "GB/T 10781.1", "--json", **shop.by("issuer"),
    )  # fmt: skip
    assert product.json["gtin"] == gtin
    return gtin


def _batch(run: Command, shop: Shop, gtin: str, lot: str, quantity: int = 100) -> str:
    made = run(
        "register", "batch", f"{gtin}/{lot}", "--quantity", str(quantity), "--produced",
        "2026-10-01", **shop.by("issuer"),
    )  # fmt: skip
    assert made.status == 0, made.err
    return f"{gtin}/{lot}"


def test_codes_are_issued_verified_traced_and_recalled(
    shop: Shop, run: Command, goods: str, tmp_path: Path
) -> None:
    batch = _batch(run, shop, goods, "A1")
    file = tmp_path / "codes.csv"
    issued = run("issue", batch, "12", "-o", file, "--pins", "--order", "o1", **shop.by("issuer"))
    assert (issued.status, "12 codes" in issued.out) == (0, True), issued.err
    assert file.stat().st_mode & 0o077 == 0
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [int(row["index"]) for row in rows] == list(range(12))
    assert {len(row["pin"]) for row in rows} == {8}

    shown = run(
        "verify", rows[0]["uri"], "--device", "d", "--region", "210102", **shop.by("issuer")
    )
    assert "真品 GENUINE" in shown.out
    forged = rows[1]["uri"][:-20] + rows[2]["uri"][-20:]
    both = run("verify", rows[0]["uri"], forged, "--json", server=shop.server)
    assert [v["outcome"] for v in both.json] == ["OUTCOME_GENUINE", "OUTCOME_COUNTERFEIT"]
    assert both.status == 0
    claimed = run("claim", rows[0]["uri"], rows[0]["pin"], "--json", server=shop.server)
    assert claimed.json["status"] == "CLAIM_STATUS_CLAIMED"

    recalled = run(
        "recall", "create", batch, "--zh", "请停止饮用", "--range", "0:6", "--json",
        **shop.by("issuer"),
    )  # fmt: skip
    again = run("verify", rows[5]["uri"], rows[6]["uri"], "--json", server=shop.server).json
    assert ["VERDICT_REASON_RECALLED_RANGE" in v["reasons"] for v in again] == [True, False]
    listed = run("recall", "list", batch, **shop.by("issuer"))
    assert "0:6" in listed.out
    lifted = run(
        "recall", "lift", recalled.json["name"], "--reason", "已处理", "--request-id", "over",
        **shop.by("issuer"),
    )  # fmt: skip
    assert lifted.status == 0, lifted.err
    (fine,) = run("verify", rows[5]["uri"], "--json", server=shop.server).json
    assert "VERDICT_REASON_RECALLED_RANGE" not in fine["reasons"]

    traced = run("trace", rows[0]["uri"], "--json", **shop.by("issuer"))
    assert traced.json["batch"] == f"products/{goods}/batches/A1"
    assert "12 units issued" in run("assess", batch, **shop.by("issuer")).out


def test_a_cut_off_order_is_resumed_to_the_byte(
    shop: Shop, run: Command, goods: str, tmp_path: Path
) -> None:
    batch = _batch(run, shop, goods, "R1", 5000)
    order = ("--order", "o", "--format", "jsonl")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run("issue", batch, "3000", "-o", whole, *order, **shop.by("issuer")).status == 0
    cut.write_bytes(whole.read_bytes()[:100_001])
    resumed = run("issue", batch, "3000", "-o", cut, *order, "--resume", **shop.by("issuer"))
    assert resumed.status == 0, resumed.err
    assert cut.read_bytes() == whole.read_bytes()


def test_no_file_of_codes_is_written_over(
    shop: Shop, run: Command, goods: str, tmp_path: Path
) -> None:
    batch = _batch(run, shop, goods, "W1")
    file = tmp_path / "codes.csv"
    file.write_text("mine")
    ran = run("issue", batch, "1", "-o", file, "--json", **shop.by("issuer"))
    assert (ran.status, ran.error["reason"], file.read_text()) == (1, "FILE_EXISTS", "mine")
    beyond = tmp_path / "beyond.csv"
    ran = run("issue", batch, "101", "-o", beyond, "--json", **shop.by("issuer"))
    assert (ran.status, ran.error["reason"]) == (1, "QUANTITY_EXCEEDED")
    assert not beyond.exists()
    raised = run(
        "register", "quantity", batch, "--to", "101", "--reason", "加产", **shop.by("issuer")
    )
    assert raised.status == 0, raised.err
    assert run("issue", batch, "101", "-o", beyond, **shop.by("issuer")).status == 0


def test_a_document_is_captured_and_comes_back(
    shop: Shop, run: Command, goods: str, tmp_path: Path
) -> None:
    document = {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-10-02T08:00:00.000+08:00",
        "epcisBody": {
            "eventList": [
                {
                    "type": "ObjectEvent",
                    "eventTime": "2026-10-02T08:00:00.000+08:00",
                    "eventTimeZoneOffset": "+08:00",
                    "epcList": ["urn:epc:id:sscc:4012345.0000000001"],
                    "action": "OBSERVE",
                    "bizStep": "shipping",
                    "disposition": "in_transit",
                }
            ]
        },
    }
    good, bad = tmp_path / "good.jsonld", tmp_path / "bad.jsonld"
    good.write_text(json.dumps(document))
    bad.write_text('{"type": "EPCISDocument", "epcisBody": {"eventList": [{"type": 7}]}}')
    ran = run("capture", bad, good, "--json", **shop.by("issuer"))
    refused, kept = ran.json
    assert (ran.status, refused["error"]["reason"]) == (1, "INVALID_EVENT_TYPE")
    assert kept["results"][0]["status"] == "CAPTURE_STATUS_ACCEPTED"
    assert run("events", kept["document"], **shop.by("issuer")).json == document
    again = run("capture", good, **shop.by("issuer"))
    assert (again.status, "duplicate" in again.out) == (0, True)
    found = run("events", "urn:epc:id:sscc:4012345.0000000001", "--json", **shop.by("issuer"))
    assert found.json["epcisBody"]["eventList"] == document["epcisBody"]["eventList"]  # type: ignore[index]
    timeline = run("trace", "040123450000000016", **shop.by("issuer"))
    assert "shipping (in transit)" in timeline.out


def test_a_file_that_fails_keeps_no_other_from_being_captured(
    shop: Shop, run: Command, goods: str, tmp_path: Path
) -> None:
    event = {
        "type": "ObjectEvent",
        "eventTime": "2026-10-02T08:00:00.000+08:00",
        "eventTimeZoneOffset": "+08:00",
        "epcList": ["urn:epc:id:sscc:4012345.0000000002"],
        "action": "OBSERVE",
    }
    good, binary, cut = (tmp_path / name for name in ("good.json", "binary.json", "cut.json"))
    good.write_text(json.dumps(event))
    binary.write_bytes(b"\xff\xfe")
    # Well formed as JSON, and refused by the service as a document.
    cut.write_text(json.dumps({**event, "eventTime": "2026-10-02T08:00:00Z", "x:y": 1e400}))
    ran = run(
        "capture", tmp_path / "none.json", tmp_path, binary, cut, good, "--json",
        **shop.by("issuer"),
    )  # fmt: skip
    assert ran.status == 1
    *failed, kept = ran.json
    assert [answer["error"]["reason"] for answer in failed] == [
        "FILE_ERROR", "FILE_ERROR", "INVALID_UTF8", "INVALID_NUMBER"
    ]  # fmt: skip
    assert kept["results"][0]["status"] == "CAPTURE_STATUS_ACCEPTED"
    said = run("capture", binary, server=shop.server).err
    assert "✗ is no UTF-8 at byte 0" in said
    ran = run("capture", good, good, "--json", server="127.0.0.1:1", api_key="")
    assert (ran.status, [a["error"]["reason"] for a in ran.json]) == (1, ["UNAVAILABLE"])


def test_exported_keys_verify_without_a_network(
    shop: Shop, run: Command, goods: str, tmp_path: Path
) -> None:
    batch = _batch(run, shop, goods, "K1")
    codes = run("issue", batch, "1", "--json", **shop.by("issuer")).json
    file = tmp_path / "keys.json"
    assert run("keys", "export", "-o", file, server=shop.server).status == 0
    keys = KeySet.load(file)
    assert verify_offline(codes["uri"], keys, RESOLVER).status is OfflineStatus.AUTHENTIC
    forged = codes["uri"][:-2] + ("AA" if codes["uri"][-2:] != "AA" else "BA")
    assert verify_offline(forged, keys, RESOLVER).status is OfflineStatus.FALSE
    listed = run("keys", "list", gln_of(902), "--json", **shop.by("issuer")).json["keys"]
    revoked = run("keys", "create", gln_of(902), "--json", **shop.by("issuer")).json["name"]
    assert run("keys", "revoke", revoked, "--reason", "test", **shop.by("issuer")).status == 0
    after = run("keys", "list", gln_of(902), "--json", **shop.by("issuer")).json["keys"]
    assert len(after) == len(listed) + 1
    assert [bool(key.get("revokeTime")) for key in after] == [False] * len(listed) + [True]


def test_a_key_is_led_through_its_life(shop: Shop, run: Command, goods: str) -> None:
    issuer, by = gln_of(902), shop.by("issuer")
    pending = run("keys", "create", issuer, "--pending", "--json", **by).json
    assert pending["state"] == "KEY_STATE_PENDING"
    assert "active" in run("keys", "activate", pending["name"], **by).out
    rotated = run("keys", "rotate", issuer, "--algorithm", "ED25519", "--json", **by).json
    assert (rotated["state"], rotated["algorithm"]) == ("KEY_STATE_ACTIVE", "ALGORITHM_ED25519")
    batch = _batch(run, shop, goods, "K2")
    code = run("issue", batch, "1", "--json", **by).json["uri"]
    listed = run("keys", "list", issuer, **by).out
    assert all(word in listed for word in ("retired", "active"))
    spare = run("keys", "create", issuer, "--at", "2099-01-01T00:00:00Z", "--json", **by).json
    assert spare["state"] == "KEY_STATE_PENDING"
    assert "retired" in run("keys", "retire", spare["name"], **by).out
    run("keys", "create", issuer, "--algorithm", "ES256", **by)
    revoked = run("keys", "revoke", rotated["name"], "--from", "2026-01-01T00:00:00Z",
                  "--earlier", "refuse", "--json", **by).json  # fmt: skip
    assert revoked["revokeTime"] == "2026-01-01T00:00:00Z"
    assert revoked["judgeEarlier"] == "JUDGE_EARLIER_REFUSE"
    (verdict,) = run("verify", code, "--json", server=shop.server).json
    assert verdict["reasons"][0] == "VERDICT_REASON_ISSUED_AFTER_REVOCATION"
    wrong = run("keys", "retire", spare["name"], "--at", "tomorrow", **by)
    assert (wrong.status, "is no time as" in wrong.err) == (2, True)


def test_anybody_gets_the_roots_and_the_certificates_under_them(
    shop: Shop, run: Command, tmp_path: Path
) -> None:
    file = tmp_path / "chain.pem"
    said = run("keys", "root", "-o", file, "--json", server=shop.server).json
    chain = x509.load_pem_x509_certificates(file.read_bytes())
    (root,) = said["roots"]
    assert chain[0].fingerprint(hashes.SHA256()).hex() == root
    assert len(chain) == 1 + said["certificates"] > 1
    for certificate in chain:
        certificate.verify_directly_issued_by(chain[0])
    assert run("keys", "root", server=shop.server).out == file.read_text()
    # Another operator has to approve; there is none here.
    ran = run("keys", "rotate-root", "--json", **shop.by("operator"))
    assert (ran.status, ran.error["reason"]) == (1, "APPROVAL_REQUIRED")
    listed = run("approvals", "list", "--json", **shop.by("operator")).json["approvals"]
    assert [(one["operation"], one["state"]) for one in listed] == [
        ("rotate_root", "APPROVAL_STATE_PENDING")
    ]
    ran = run("approvals", "approve", listed[0]["name"], "--json", **shop.by("operator"))
    assert ran.error["reason"] == "APPROVER_IS_PROPOSER"
    assert "rotate_root" in run("approvals", "list", **shop.by("operator")).out
    rejected = run("approvals", "reject", listed[0]["name"], **shop.by("operator"))
    assert "rejected" in rejected.out


def test_the_kek_is_replaced_by_the_one_that_was_meant_and_no_other(
    run: Command, tmp_path: Path
) -> None:
    old, new = (run("keys", "new-kek", "--json").json["kek"] for _ in range(2))
    assert len(base64.b64decode(new)) == 32
    at = {"data_dir": str(tmp_path), "store_url": ""}
    run("keys", "operator", gln_of(1), "--uscc", uscc_of(1), "--region", "210000", "--zh", "平台",
        kek=old, **at)  # fmt: skip

    def rewrap(*arguments: str, **named: str) -> Any:
        return run("keys", "rewrap", *arguments, "--json", kek=new, **at, **named)

    ran = rewrap()
    assert (ran.status, ran.error["reason"]) == (1, "KEY_UNREADABLE")
    ran = rewrap("--to", "local-0011223344556677", kek_previous=old)
    assert (ran.status, ran.error["reason"]) == (1, "KEK_OTHER")
    left = rewrap("--check", kek_previous=old).json
    assert (left["left"], left["secrets"]) == (2, 2)
    assert rewrap("--to", left["kek"], kek_previous=old).json["changed"] == 2
    assert rewrap("--check").json["left"] == 0


@pytest.mark.parametrize(
    ("arguments", "reason", "cure"),
    [
        (["trace", "nonsense"], "INVALID_EPC", ""),
        (["issue", "12/L", "1"], "INVALID_GTIN", ""),
        (["recall", "create", "L", "--zh", "x"], "INVALID_NAME", ""),
        (["keys", "create", gln_of(999)], "PARTY_NOT_FOUND", "register party"),
        (["issue", "06901234005011/A1", "0"], "INVALID_QUANTITY", ""),
        (["register", "batch", "06901234005011/Z", "--quantity", "0", "--produced", "2026-10-01"],
         "MISSING_FIELD", ""),
        (["issue", "06901234005011/NONE", "1"], "BATCH_NOT_FOUND", "register batch"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else str(value)[:20],
)  # fmt: skip
def test_a_failure_names_reason_and_cure(
    shop: Shop, run: Command, goods: str, arguments: list[str], reason: str, cure: str
) -> None:
    ran = run(*arguments, "--json", **shop.by("issuer"))
    assert (ran.status, ran.error["reason"]) == (1, reason), ran.err
    assert cure in ran.error["cure"]
    said = run(*arguments, **shop.by("issuer")).err
    assert f"reason: {reason}" in said
    assert "Traceback" not in said


def test_without_a_key_or_a_service_the_cure_is_said(shop: Shop, run: Command) -> None:
    ran = run("trace", "06901234005011/A1", "--json", server=shop.server, api_key="")
    assert (ran.error["reason"], "TRACECHAIN_API_KEY" in ran.error["cure"]) == (
        "MISSING_CREDENTIAL",
        True,
    )
    ran = run("verify", "x", "--json", server="127.0.0.1:1")
    assert (ran.status, "tracechain serve" in ran.error["cure"]) == (1, True)
    ran = run("trace", "x", "--json", server=shop.server, api_key="键")
    assert (ran.status, ran.error["reason"]) == (1, "INVALID_CREDENTIAL")
    ran = run("trace", "x", "--json", server="example.org:50051", api_key="tck_secret")
    assert ran.error["reason"] == "PLAINTEXT_REFUSED"


def test_a_scan_that_is_sent_again_is_the_same_scan(run: Command) -> None:
    seen: list[str] = []

    class Cut(verification_pb2_grpc.VerificationServiceServicer):
        def BatchVerifyCodes(
            self, request: pb.BatchVerifyCodesRequest, context: grpc.ServicerContext
        ) -> pb.BatchVerifyCodesResponse:
            seen.append(request.requests[0].request_id)
            if len(seen) == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "cut off")
            return pb.BatchVerifyCodesResponse(verdicts=[pb.Verdict()])

    server = grpc.server(ThreadPoolExecutor(1))
    verification_pb2_grpc.add_VerificationServiceServicer_to_server(Cut(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert run("verify", "x", "--json", server=f"127.0.0.1:{port}").status == 0
    finally:
        server.stop(None).wait()
    assert len(seen) == 2
    assert seen[0] == seen[1] != ""


def test_the_configuration_is_printed_and_hides_secrets(run: Command, tmp_path: Path) -> None:
    secret = "c2VjcmV0" * 5
    shown = run("config", "--json", kek=secret, workers="3")
    assert (shown.json["kek"], shown.json["workers"]) == ("***", 3)
    assert secret not in run("config", kek=secret).out
    url = "postgresql://me:hunter2@db.example/tracechain"
    assert "hunter2" not in run("config", store_url=url).out
    assert run("config", "--json", store_url=url).json["store_url"] == "***"
    file = tmp_path / "other.toml"
    file.write_text('workers = 2\nlog_level = "debug"\n')
    shown = run("config", "--json", config=str(file), log_level="error")
    assert (shown.json["workers"], shown.json["log_level"]) == (2, "error")
    wrong = run("config", "--json", workers="many")
    assert (wrong.status, wrong.error["fields"][0]["field"]) == (1, "workers")
    file.write_text('workers = "2')
    broken = run("config", "--json", config=str(file))
    assert (broken.status, broken.error["reason"]) == (1, "INVALID_SETTING")
    missing = run("config", "--json", config=str(tmp_path / "none.toml"))
    assert (missing.status, missing.error["reason"]) == (1, "FILE_ERROR")


def test_auditors_read_who_did_what_and_nobody_else_does(
    run: Command, shop: Shop, goods: str, tmp_path: Path
) -> None:
    operator = gln_of(901)
    made = run("keys", "credential", operator, "--role", "auditor", "--json", **shop.by("operator"))
    by_auditor = {"server": shop.server, "api_key": made.json["apiKey"]}
    listed = run("audit", "list", "--since", "1h", "--party", gln_of(902), "--json", **by_auditor)
    methods = {record["method"] for record in listed.json["records"]}
    assert "IssuanceService.CreateProduct" in methods
    shown = run("audit", "list", "--method", "IssuanceService.CreateProduct", **by_auditor)
    assert (shown.status, gln_of(902) in shown.out, "OK" in shown.out) == (0, True, True)
    # The first key was made beside the service, and is on record nevertheless.
    first = run("audit", "list", "--method", "tracechain keys operator", "--json", **by_auditor)
    assert first.json["records"][0]["objects"]["parent"] == f"parties/{operator}"
    file = tmp_path / "audit.jsonl"
    assert run("audit", "export", str(file), **by_auditor).status == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["method"] for line in lines} > methods
    assert lines == sorted(lines, key=lambda line: (line["time"], line["recordId"]))
    again = run("audit", "export", str(file), **by_auditor)
    assert (again.status, file.read_text().count("\n")) == (1, len(lines))
    wrong = run("audit", "list", "--since", "soon", "--json", **by_auditor)
    assert (wrong.status, wrong.error["reason"]) == (1, "INVALID_TIME")
    denied = run("audit", "list", "--json", **shop.by("operator"))
    assert (denied.status, denied.error["reason"]) == (1, "ROLE_NOT_ALLOWED")


def test_an_api_key_is_narrowed_listed_and_rotated(
    shop: Shop, run: Command, goods: str, tmp_path: Path
) -> None:
    issuer = gln_of(902)
    narrow = run(
        "keys", "credential", issuer, "--role", "issuer", "--scope", "read", "--scope",
        "EventService", "--days", "30", "--label", "scanner", "--json", **shop.by("operator"),
    ).json  # fmt: skip
    name, key = narrow["credential"]["name"], narrow["apiKey"]
    assert narrow["credential"]["scopes"] == ["EventService", "read"]
    refused = run("keys", "create", issuer, "--json", server=shop.server, api_key=key)
    assert (refused.status, refused.error["reason"]) == (1, "SCOPE_NOT_ALLOWED")
    assert run("keys", "list", issuer, server=shop.server, api_key=key).status == 0
    rotated = run("keys", "renew", name, "--overlap-hours", "0", "--json", **shop.by("operator"))
    assert rotated.json["credential"]["scopes"] == ["EventService", "read"]
    ended = run("keys", "list", issuer, "--json", server=shop.server, api_key=key)
    assert (ended.status, ended.error["reason"]) == (1, "CREDENTIAL_EXPIRED")
    assert (
        run("keys", "list", issuer, server=shop.server, api_key=rotated.json["apiKey"]).status == 0
    )
    file = tmp_path / "client.pem"
    file.write_bytes(certified("client").pem)
    taken = run(
        "keys", "credential", issuer, "--role", "issuer", "--certificate", file, "--json",
        **shop.by("operator"),
    )  # fmt: skip
    assert taken.json["kind"] == "CREDENTIAL_KIND_CERTIFICATE"
    shown = run("keys", "credentials", issuer, **shop.by("operator"))
    assert (shown.status, "scanner" in shown.out, "certificate" in shown.out) == (0, True, True)
    gone = run("keys", "credential", issuer, "--role", "issuer", "--certificate",
               tmp_path / "none", "--json", **shop.by("operator"))  # fmt: skip
    assert (gone.status, gone.error["reason"]) == (1, "FILE_ERROR")


def test_links_are_registered_and_shown(shop: Shop, run: Command, goods: str) -> None:
    batch = _batch(run, shop, goods, "LINKS")
    for name in (goods, batch):
        made = run(
            "links", "set", name, "--link", "defaultLink@zh+CN=https://brand.example/?a=b",
            "--link", "pip=https://brand.example/pip", "--title", "官网", "--json",
            **shop.by("issuer"),
        )  # fmt: skip
        assert made.status == 0, made.err
        first, second = made.json["links"]
        assert first == {
            "linkType": "gs1:defaultLink", "href": "https://brand.example/?a=b", "title": "官网",
            "language": "zh", "context": "CN", "mediaType": "",
        }  # fmt: skip
        assert second["title"] == second["href"] == "https://brand.example/pip"
    shown = run("links", "show", goods, **shop.by("issuer"))
    assert "官网" in shown.out
    wrong = run("links", "set", goods, "--link", "https://x.example", "--json", **shop.by("issuer"))
    assert (wrong.status, wrong.error["reason"]) == (1, "INVALID_LINK")
    assert run("links", "set", goods, **shop.by("issuer")).status == 0
    assert run("links", "show", goods, "--json", **shop.by("issuer")).json["links"] == []


def test_an_inspector_reads_reports(shop: Shop, run: Command, goods: str) -> None:
    key = run(
        "keys", "credential", gln_of(901), "--role", "inspector", "--region", "210000", "--json",
        **shop.by("operator"),
    ).json["apiKey"]  # fmt: skip
    by = {"server": shop.server, "api_key": key}
    listed = run("reports", "list", "--json", **by)
    assert listed.status == 0, listed.err
    assert listed.json["reports"] == []
    absent = run("reports", "show", f"divisions/210000/reports/{'0' * 32}", "--json", **by)
    assert (absent.status, absent.error["reason"]) == (1, "REPORT_NOT_FOUND")


def test_every_command_has_help_and_json(run: Command) -> None:
    plain = ("register", "recall", "keys", "approvals", "links", "reports", "audit")
    commands: list[list[str]] = [
        [name] for name in ("serve", "demo", "issue", "capture", "events", "verify", "claim",
                            "trace", "assess", "config")
    ]  # fmt: skip
    groups = {"register": ("party", "product", "batch", "quantity"),
              "recall": ("create", "lift", "list"), "links": ("set", "show"),
              "reports": ("list", "show", "erase"), "audit": ("list",),
              "approvals": ("list", "approve", "reject"),
              "keys": ("operator", "credential", "credentials", "renew", "create", "activate",
                       "retire", "rotate", "list", "revoke", "export", "root", "rotate-root",
                       "new-kek", "rewrap")}  # fmt: skip
    commands += [[group, name] for group in plain for name in groups[group]]
    for command in commands:
        shown = run(*command, "--help")
        assert (shown.status, "--json" in shown.out) == (0, True), command
