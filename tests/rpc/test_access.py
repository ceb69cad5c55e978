"""docs/access.md, cell by cell: what it says of a role and a method is what a call is answered.

The table is read from the file, so that what people read is what is tested; that it is complete
is held against the descriptors. Each cell is called twice, by gRPC and by JSON over HTTP.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message_factory import GetMessageClass

from tests.support.connect import enveloped, opened, path_of
from tests.support.service import Caller, Refusal, World, answers, every_method, gln_of, uscc_of
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.text import LocalizedText

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "access.md"
METHODS = {method.full_name.removeprefix("tracechain.v1."): method for method in every_method()}
# The callers of a world by their role.
CALLERS = {
    "issuer": "issuer", "handler": "shop", "inspector": "liaoning", "auditor": "auditor",
    "operator": "operator",
}  # fmt: skip


def table() -> dict[tuple[str, str], str]:
    """The cells of the document by (method, column)."""
    cells: dict[tuple[str, str], str] = {}
    service, columns = "", []
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"## (\w+)", line):
            service = heading[1]
        elif line.startswith("| method"):
            columns = [cell.strip() for cell in line.strip("|").split("|")][1:]
        elif line.startswith("| `"):
            name, *row = (cell.strip() for cell in line.strip("|").split("|"))
            for column, cell in zip(columns, row, strict=True):
                cells[f"{service}.{name.strip('`')}", column] = cell
    return cells


TABLE = table()


def test_the_table_has_every_method_and_every_role() -> None:
    assert set(CALLERS) == {role.value for role in Role}
    assert set(TABLE) == {(name, column) for name in METHODS for column in [*CALLERS, "reads"]}
    assert set(TABLE.values()) == {"✓", "·", "anybody"}


def test_the_table_says_what_reads() -> None:
    for name, method in METHODS.items():
        is_read = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        assert TABLE[name, "reads"] == ("✓" if is_read else "·"), name


async def by_grpc(world: World, name: str, caller: Caller) -> str:
    """The reason of an empty request's refusal; empty where it is answered."""
    method = METHODS[name]
    try:
        await answers(world.channel, method, GetMessageClass(method.input_type)(), caller.metadata)
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error).reason
    return ""


async def by_http(http: httpx.AsyncClient, name: str, caller: Caller) -> str:
    """The same by the Connect protocol."""
    method = METHODS[name]
    streams = method.client_streaming or method.server_streaming
    kind = "application/connect+json" if streams else "application/json"
    headers = {"content-type": kind, **dict(caller.metadata)}
    content = enveloped(b"{}") if streams else b"{}"
    answer = await http.post(path_of(method), content=content, headers=headers)
    text = opened(answer.content)[-1][1].decode() if streams else answer.text
    found = re.search(r'"reason":\s*"([A-Z_]+)"', text)
    assert found or answer.status_code == 200, answer.text
    return found[1] if found else ""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=world.http, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_every_cell_is_what_a_call_is_answered(
    world: World, http: httpx.AsyncClient, name: str
) -> None:
    for role, who in CALLERS.items():
        caller: Caller = getattr(world, who)
        assert caller.role == role
        said = {await by_grpc(world, name, caller), await by_http(http, name, caller)}
        if TABLE[name, role] == "·":
            assert said == {"ROLE_NOT_ALLOWED"}, role
        else:
            # An empty request came past the gate; by both ways it fares the same.
            assert len(said) == 1, (role, said)
            assert not said & {"ROLE_NOT_ALLOWED", "SCOPE_NOT_ALLOWED", "MISSING_CREDENTIAL"}, role
    said = {await by_grpc(world, name, world.nobody), await by_http(http, name, world.nobody)}
    if TABLE[name, "operator"] == "anybody":
        assert "MISSING_CREDENTIAL" not in said
    else:
        assert said == {"MISSING_CREDENTIAL"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scoped(world: World) -> dict[str, Caller]:
    """Callers of each role whose key holds `read` and nothing else."""
    known = await world.app.store.get_party(gln_of(2))
    assert known is not None
    issuer, regulator = gln_of(3001), gln_of(3002)
    for gln, number, kind in (
        (issuer, 3001, PartyKind.ISSUER), (regulator, 3002, PartyKind.REGULATOR),
    ):  # fmt: skip
        await world.app.parties.register(
            Party(gln, uscc_of(number), "210102", kind, LocalizedText("某", "Some"))
        )
    made = {}
    for role in Role:
        gln = issuer if role in (Role.ISSUER, Role.HANDLER) else regulator
        region = "210000" if role is Role.INSPECTOR else ""
        _, key = await world.app.credentials.create(
            gln, role, region, "", f"read {role}", scopes=("read",)
        )
        made[role.value] = Caller(world.channel, gln, role, key)
    return made


@pytest.mark.parametrize("role", sorted(CALLERS))
async def test_with_the_scope_read_a_role_reads_and_does_nothing_else(
    world: World, scoped: dict[str, Caller], role: str
) -> None:
    for name in METHODS:
        if TABLE[name, role] != "✓":
            continue
        is_refused = await by_grpc(world, name, scoped[role]) == "SCOPE_NOT_ALLOWED"
        assert is_refused == (TABLE[name, "reads"] == "·"), name
