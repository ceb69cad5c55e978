"""No address, no device and no more of a place than its division is stored or logged, wherever a
caller gives one; and the inventory in docs/privacy.md lists every column that there is."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import grpc
import httpx

from tests.support.command import ROOT, Command, start
from tests.support.service import gln_of, gtin_of, uscc_of
from tracechain.adapters.tables import TABLES
from tracechain.v1 import verification_pb2, verification_pb2_grpc

DEVICE = "dev-0123-that-nobody-else-has"
BROWSER = "Browser-that-nobody-else-has/1.0"
# Documentation addresses (RFC 5737, RFC 3849), as a proxy tells them.
ADDRESSES = ("203.0.113.77", "2001:db8:77:88::99")
REFERER = "https://elsewhere.example/where-she-came-from"
POSITION = "41.805699,123.431472"
REGION = "210102"
NEEDLES = [
    text.encode()
    for text in (
        DEVICE, BROWSER, *ADDRESSES, "203.0.113", "2001:db8:77", "elsewhere.example", "41.8056",
        "123.4314", "127.0.0.1",
    )
] + [socket.inet_aton(ADDRESSES[0]), socket.inet_pton(socket.AF_INET6, ADDRESSES[1])]  # fmt: skip


def test_no_address_device_or_position_is_in_the_store_or_in_the_log(
    tmp_path: Path, run: Command
) -> None:
    folder = tmp_path / "node"
    environment = {"log_level": "debug", "http_proxies": "1", "grpc_proxies": "1"}
    arguments = ["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--json"]
    process = start(arguments, folder, environment)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        uri = issued(run, folder, said["listening"])
        scanned(said["listening"], said["http"], uri)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    log = (folder / "log").read_bytes()
    stored = b"".join(
        file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in ("log", "kek")
    )
    # What is kept is found like this, or the search would prove nothing.
    for kept in (REGION.encode(), b"AdminService.CreateParty", b"MISSING_CREDENTIAL"):
        assert kept in stored, kept
    for needle in NEEDLES:
        assert needle not in stored, needle
        # Where the service listens is in its log, and is nobody's address.
        assert needle == b"127.0.0.1" or needle not in log, needle


def issued(run: Command, folder: Path, server: str) -> str:
    """A code, by way of everybody who has to do with one."""
    operator, issuer = gln_of(801), gln_of(802)
    key = run(
        "keys", "operator", operator, "--uscc", uscc_of(801), "--region", "210000", "--zh", "平台",
        "--json", data_dir=str(folder),
    ).json["api_key"]  # fmt: skip
    by = {"server": server, "api_key": key}
    run(
        "register", "party", issuer, "--uscc", uscc_of(802), "--region", REGION, "--kind", "issuer",
        "--zh", "老窖", **by,
    )  # fmt: skip
    by = {
        "server": server,
        "api_key": run("keys", "credential", issuer, "--role", "issuer", "--json", **by).json[
            "apiKey"
        ],
    }
    run("keys", "create", issuer, **by)
    gtin = gtin_of(801)
    run("register", "product", gtin, "--zh", "白酒", **by)
    run("register", "batch", f"{gtin}/L", "--quantity", "5", "--produced", "2026-10-01", **by)
    out = folder.parent / "codes.csv"
    made = run("issue", f"{gtin}/L", "2", "--output", str(out), **by)
    assert made.status == 0, made.err
    found = re.search(r"https://\S+?91=[A-Za-z0-9_-]+", out.read_text())
    assert found is not None
    return found[0]


def scanned(server: str, http: str, uri: str) -> None:
    """A code that is looked at in every way, by somebody who tells much of himself."""
    request = verification_pb2.VerifyCodeRequest(
        code=uri, context=verification_pb2.ScanContext(device_id=DEVICE, region=REGION)
    )
    for address in ADDRESSES:
        metadata = (("x-forwarded-for", address), ("x-position", POSITION))
        with grpc.insecure_channel(
            server, options=[("grpc.primary_user_agent", BROWSER)]
        ) as channel:
            stub = verification_pb2_grpc.VerificationServiceStub(channel)
            verdict = stub.VerifyCode(request, metadata=metadata, timeout=60)
            assert verdict.outcome == verification_pb2.OUTCOME_GENUINE
        headers = {
            "x-forwarded-for": address, "user-agent": BROWSER, "referer": REFERER,
            "x-position": POSITION, "accept": "text/html",
        }  # fmt: skip
        with httpx.Client(base_url=http, headers=headers) as client:
            path = uri.partition("/01/")[2]
            page = client.get(f"/01/{path}", headers={"host": "id.tracechain.example"})
            assert page.status_code == 200, page.text
            # A place that is none is refused, not kept.
            sent = {"code": uri, "context": {"deviceId": DEVICE, "region": POSITION}}
            answer = client.post("/tracechain.v1.VerificationService/VerifyCode", json=sent)
            assert answer.json()["code"] == "invalid_argument"
            private = client.post("/tracechain.v1.AdminService/ListParties", json={})
            assert private.status_code == 401


def inventory() -> dict[str, list[str]]:
    """The columns that the document lists, by their tables."""
    found: dict[str, list[str]] = {}
    table = ""
    for line in (ROOT / "docs" / "privacy.md").read_text("utf-8").splitlines():
        if line.startswith("### "):
            table = line.removeprefix("### ")
            found[table] = []
        elif line.startswith("## "):
            table = ""
        elif table and line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 5, line
            assert all(cells), line
            found[table] += re.findall(r"`(\w+)`", cells[0])
    return found


def test_the_inventory_lists_every_column_of_every_table() -> None:
    listed = inventory()
    assert {name: sorted(columns) for name, columns in listed.items()} == {
        table.name: sorted(table.names) for table in TABLES
    }
