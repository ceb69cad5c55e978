"""The generator's promises: two copies, one descriptor, and a check that names what differs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Names that collide with nothing, in the package that the generator expects. A file that imports
# another, an option of our own and a service: each is written differently.
OPTIONS = """\
syntax = "proto3";
package tracechain.v1;
import "google/protobuf/descriptor.proto";
extend google.protobuf.FieldOptions {
  // A mark.
  bool sample_mark = 50999;
}
"""
SERVICE = """\
syntax = "proto3";
package tracechain.v1;
import "tracechain/v1/sample_options.proto";
// Asks.
message SampleRequest {
  // See tracechain.v1.SampleService.
  string name = 1 [(sample_mark) = true];
}
// A service.
service SampleService {
  // Answers with what it is given.
  rpc Echo(SampleRequest) returns (stream SampleRequest);
}
"""
BOTH_IN_ONE_PROCESS = """\
from tracechain.v1 import sample_service_pb2 as ours, sample_service_pb2_grpc as our_grpc
from tracechain_client.v1 import sample_service_pb2 as theirs, sample_service_pb2_grpc as their_grpc
from tracechain_client.v1 import sample_options_pb2 as their_options

assert ours is not theirs
assert ours.DESCRIPTOR.serialized_pb == theirs.DESCRIPTOR.serialized_pb
sent = ours.SampleRequest(name="a").SerializeToString()
assert theirs.SampleRequest.FromString(sent).name == "a"
field = ours.SampleRequest.DESCRIPTOR.fields_by_name["name"]
assert field.GetOptions().Extensions[their_options.sample_mark]
assert our_grpc.SampleServiceStub and their_grpc.SampleServiceServicer
"""


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, generate: ModuleType) -> Path:
    protos = tmp_path / "protos" / "tracechain" / "v1"
    protos.mkdir(parents=True)
    (protos / "sample_options.proto").write_text(OPTIONS)
    (protos / "sample_service.proto").write_text(SERVICE)
    assert generate.main(["--root", str(tmp_path)]) == 0
    for copy in generate.COPIES.values():
        (tmp_path / copy).parent.joinpath("__init__.py").touch()
    return tmp_path


def test_both_copies_live_in_one_process(project: Path) -> None:
    script = project / "both.py"
    paths = [str(project / "src"), str(project / "clients" / "python" / "src")]
    script.write_text(f"import sys\nsys.path[:0] = {paths!r}\n" + BOTH_IN_ONE_PROCESS)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_clients_copy_imports_nothing_of_the_service(
    project: Path, generate: ModuleType
) -> None:
    for path in (project / generate.COPIES["tracechain_client.v1"]).iterdir():
        text = path.read_text()
        assert "from tracechain.v1" not in text
        assert "import tracechain.v1" not in text
        assert "'tracechain.v1.sample_service_pb2'" not in text
    grpc_code = project / generate.COPIES["tracechain_client.v1"] / "sample_service_pb2_grpc.py"
    assert "'/tracechain.v1.SampleService/Echo'" in grpc_code.read_text()


def test_protos_without_a_service_get_no_grpc_file(project: Path, generate: ModuleType) -> None:
    names = {path.name for path in (project / generate.COPIES["tracechain.v1"]).iterdir()}
    assert names == {
        "__init__.py",
        *("sample_options_pb2.py", "sample_options_pb2.pyi"),
        *("sample_service_pb2.py", "sample_service_pb2.pyi"),
        *("sample_service_pb2_grpc.py", "sample_service_pb2_grpc.pyi"),
    }


def test_the_check_names_what_was_changed_lost_or_left_over(
    project: Path, generate: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check", "--root", str(project)]) == 0
    ours = project / generate.COPIES["tracechain.v1"]
    with (ours / "sample_service_pb2.py").open("a") as file:
        file.write("# changed by hand\n")
    (ours / "sample_options_pb2.pyi").unlink()
    (ours / "old_pb2.py").touch()
    with (project / generate.LOG_COPY / "merkle.py").open("a") as file:
        file.write("# changed by hand\n")
    capsys.readouterr()
    assert generate.main(["--check", "--root", str(project)]) == 1
    named = {line.split()[1] for line in capsys.readouterr().err.splitlines()}
    assert named == {
        f"src/tracechain/v1/{name}"
        for name in ("sample_service_pb2.py", "sample_options_pb2.pyi", "old_pb2.py")
    } | {f"{generate.LOG_COPY}/merkle.py"}
    assert generate.main(["--root", str(project)]) == 0
    assert generate.main(["--check", "--root", str(project)]) == 0


def test_an_import_that_cannot_be_moved_is_refused(generate: ModuleType) -> None:
    with pytest.raises(generate.GenerateError):
        generate.retarget("import tracechain.v1.event_pb2\n", "tracechain_client.v1")
