"""What the package shows, what it brings with it, and that its README tells the truth."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import tracechain_client
from tracechain.domain.code import Profile
from tracechain_client import AsyncClient, Client
from tracechain_client._plan import streaming, unary

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

PROBE = """
import sys
import cryptography, google.protobuf, grpc, grpc.aio  # grpc itself takes what it finds
before = set(sys.modules)
import tracechain_client
new = {name.partition(".")[0] for name in set(sys.modules) - before}
foreign = new - sys.stdlib_module_names - {
    "tracechain_client", "cryptography", "google", "grpc", "_cffi_backend", "_openssl",
}
assert not foreign, foreign
assert not [name for name in sys.modules if name.startswith(("google.rpc", "grpc_status"))]
assert "tracechain" not in sys.modules

# And whoever does bring google/rpc/*.proto meets no clash, before or after.
from google.rpc import error_details_pb2, status_pb2
from google.protobuf import descriptor_pool
assert descriptor_pool.Default().FindMessageTypeByName("google.rpc.Status")
try:
    descriptor_pool.Default().FindFileByName("tracechain_client/private/status.proto")
except KeyError:
    print("apart")
"""


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_brings_nothing_but_what_it_names() -> None:
    assert run(PROBE) == "apart\n"


def test_service_and_client_live_in_one_process() -> None:
    for first, second in (("tracechain", "tracechain_client"), ("tracechain_client", "tracechain")):
        run(f"import {first}.v1.verification_pb2, {second}.v1.verification_pb2, tracechain_client")


def test_the_public_surface_is_what_it_says() -> None:
    names = tracechain_client.__all__
    assert len(names) == len(set(names))
    for name in names:
        thing = getattr(tracechain_client, name)
        assert isinstance(thing, str) or thing.__doc__, f"{name} has no docstring"
    public = {name for name in vars(tracechain_client) if not name.startswith("_")}
    modules = {"client", "errors", "offline", "trust", "v1"}
    assert public - modules == set(names) - {"__version__"}


METHODS = [
    *("assess_recall", "capture", "capture_stream", "claim", "create_batch", "create_party"),
    *("create_product", "create_recall", "get_event", "issue_codes", "lift_recall", "list_events"),
    *("list_recalls", "raise_batch_quantity", "render_labels", "trace_batch"),
    *("trace_container", "trace_unit"),
    *("verification_keys", "verify", "verify_many", "verify_with_proof"),
]


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_both_clients_have_the_same_methods(client: Any) -> None:
    found = {
        name: entry
        for base in client.__mro__
        for name, entry in vars(base).items()
        if isinstance(entry, unary | streaming)
    }
    assert sorted(found) == METHODS
    for name in METHODS:
        assert inspect.getdoc(getattr(client, name)), f"{name} has no docstring"
        assert "self" in inspect.signature(getattr(client, name)).parameters
    rest = {name for name in dir(client) if not name.startswith("_")} - set(METHODS)
    assert rest == {"close", "stubs", "with_policy"}


def test_the_version_is_one() -> None:
    assert tracechain_client.__version__ == PROJECT["version"]


def test_dependencies_are_three_with_the_ranges_of_the_service() -> None:
    service = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert [re.match(r"\w+", name)[0] for name in PROJECT["dependencies"]] == [  # type: ignore[index]
        "cryptography",
        "grpcio",
        "protobuf",
    ]
    assert set(PROJECT["dependencies"]) <= set(service["dependencies"])
    assert PROJECT["requires-python"] == service["requires-python"]


async def test_the_readme_runs(
    service: Any, issuer_keys: Any, code_keys: Any, tmp_path: Path
) -> None:
    service.keys = issuer_keys
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    ((serial, token),) = code_keys[7].issue("06901234000016", 1, 0, 1, Profile.SIGNED)
    code = f"https://trace.example/01/06901234000016/21/{serial}?91={token}"
    script = "\n".join(blocks).replace("localhost:50051", service.target)
    script = f"import os\nos.chdir({str(tmp_path)!r})\nscanned = {code!r}\n{script}"
    printed = await asyncio.to_thread(run, script)
    assert "AUTHENTIC" in printed
    assert (tmp_path / "keys.json").exists()
