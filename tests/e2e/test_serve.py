"""`tracechain serve` and `tracechain demo` as processes: workers, signals, ports."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.certificates import certified
from tests.support.command import Command, serving, start
from tests.support.ports import free_port
from tests.support.service import gln_of, uscc_of


def _is_serving(address: str) -> bool:
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=20, wait_for_ready=True
            )
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _eventually(holds: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def _log(folder: Path, event: str) -> list[dict[str, object]]:
    found = []
    # Without what follows the last end of line: a line that is still being written.
    for line in (folder / "log").read_text().split("\n")[:-1]:
        if line.startswith("{") and (entry := json.loads(line)).get("event") == event:
            found.append(entry)
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_stop_signal_drains_and_ends_well(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, address):
        assert _is_serving(address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert [entry["event"] for entry in _log(tmp_path, "stopped")] == ["stopped"]


def test_workers_share_the_port_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as (process, address):
        assert _eventually(lambda: len(_log(tmp_path, "serving")) == 2)
        killed = int(str(_log(tmp_path, "serving")[0]["pid"]))
        os.kill(killed, signal.SIGKILL)
        assert _eventually(lambda: len(_log(tmp_path, "serving")) == 3)
        assert len(_log(tmp_path, "worker_died")) == 1
        assert _is_serving(address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert len(_log(tmp_path, "stopped")) == 2


def test_workers_share_the_port_of_the_pages(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as (_, _address):
        assert _eventually(lambda: len(_log(tmp_path, "serving")) == 2)
        ports = {entry["http_port"] for entry in _log(tmp_path, "serving")}
        assert len(ports) == 1
        (port,) = ports
        # One connection each: the kernel gives them to either of the workers.
        for _ in range(8):
            assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60).text == "ok\n"
        other = start(
            ["serve", "--listen", "127.0.0.1:0", "--http-listen", f"127.0.0.1:{port}", "--json"],
            tmp_path / "b",
        )
        other.communicate(timeout=60)
        assert other.returncode == 1
    assert '"PORT_TAKEN"' in (tmp_path / "b" / "log").read_text()


def test_workers_do_not_outlive_their_supervisor(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as (process, _):
        assert _eventually(lambda: len(_log(tmp_path, "serving")) == 2)
        pids = [int(str(entry["pid"])) for entry in _log(tmp_path, "serving")]
        process.kill()
        process.wait(60)
        assert _eventually(lambda: not any(_alive(pid) for pid in pids))


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            process = start(
                ["serve", "--listen", listen, "--http-listen", "", "--workers", workers, "--json"],
                tmp_path,
            )
            process.communicate(timeout=60)
        assert process.returncode == 1
    failures = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [failure["error"]["reason"] for failure in failures] == ["PORT_TAKEN"] * 2


def test_two_services_never_share_a_port_unasked(tmp_path: Path) -> None:
    with serving(tmp_path / "a", "--workers", "2") as (_, address):
        other = start(
            ["serve", "--listen", address, "--http-listen", "", "--workers", "2", "--json"],
            tmp_path / "b",
        )
        other.communicate(timeout=60)
        assert other.returncode == 1


def test_workers_speak_tls_to_the_command_line_with_and_without_its_certificate(
    tmp_path: Path, run: Command
) -> None:
    """As it is delivered: several processes, uvloop, the same ports."""
    authority = certified("authority")
    certificate, key = certified("server", authority).write(tmp_path)
    roots, shown = tmp_path / "roots.pem", certified("client", authority).write(tmp_path, "client")
    roots.write_bytes(authority.pem)
    folder, gln = tmp_path / "data", gln_of(901)
    made = run(
        "keys", "operator", gln, "--uscc", uscc_of(901), "--region", "210000", "--zh", "平台",
        "--json", data_dir=str(folder),
    )  # fmt: skip
    mtls = f"127.0.0.1:{free_port()}"
    tls = {"tls_cert": str(certificate), "tls_key": str(key), "tls_client_ca": str(roots)}
    with serving(folder, "--workers", "2", mtls_listen=mtls, **tls) as (_, server):
        port = server.rpartition(":")[2]
        by_key = {"server": f"https://localhost:{port}", "api_key": made.json["api_key"],
                  "tls_roots": str(roots)}  # fmt: skip
        refused = run("keys", "credentials", gln, "--json", **{**by_key, "tls_roots": ""})
        # gRPC's own words about the handshake come before ours.
        assert (refused.status, '"UNAVAILABLE"' in refused.err) == (1, True)
        taken = run("keys", "credential", gln, "--role", "operator", "--certificate", shown[0],
                    **by_key)  # fmt: skip
        assert taken.status == 0, taken.err
        by_certificate = {"server": f"https://localhost:{mtls.rpartition(':')[2]}",
                          "tls_roots": str(roots), "client_cert": str(shown[0]),
                          "client_key": str(shown[1])}  # fmt: skip
        listed = run("keys", "credentials", gln, "--json", **by_certificate)
        assert listed.status == 0, listed.err
        assert len(listed.json["credentials"]) == 2
        pages = _log(folder, "serving")[0]["http_port"]
        trusting = ssl.create_default_context(cafile=str(roots))
        with httpx.Client(verify=trusting, trust_env=False) as client:
            assert client.get(f"https://localhost:{pages}/healthz").status_code == 200


def test_plain_text_beyond_loopback_is_refused(tmp_path: Path) -> None:
    for listen, pages in (("0.0.0.0:0", "127.0.0.1:0"), ("127.0.0.1:0", "0.0.0.0:0")):
        arguments = ["serve", "--listen", listen, "--http-listen", pages, "--json"]
        process = start(arguments, tmp_path)
        process.communicate(timeout=60)
        assert process.returncode == 1
    assert (tmp_path / "log").read_text().count('"PLAINTEXT_REFUSED"') == 2


def test_a_redis_url_that_names_none_is_refused_with_an_example(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        process = start(
            [
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--http-listen",
                "",
                "--workers",
                workers,
                "--json",
            ],
            tmp_path,
            {"REDIS_URL": "redis+cluster://me:s3cret@a:1/0"},
        )
        process.communicate(timeout=60)
        assert process.returncode == 1
    said = (tmp_path / "log").read_text()
    assert "REDIS_URL_INVALID" in said
    assert "redis+cluster://[user:password@]host:port" in said
    assert "s3cret" not in said


def test_the_demo_ends_well_once(tmp_path: Path) -> None:
    process = start(["demo", "--once"], tmp_path)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, (tmp_path / "log").read_text()
    for word in ("GENUINE", "COUNTERFEIT", "IMPOSSIBLE_TRAVEL", "NOT_ACTIVATED", "RECALLED_RANGE",
                 "retail selling"):  # fmt: skip
        assert word in out


def test_the_demo_goes_on_serving_and_what_it_says_to_try_works(tmp_path: Path) -> None:
    process = start(["demo"], tmp_path)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith("serving on"):
            break
    exported = dict(
        match.groups()
        for line in lines
        if (match := re.match(r"export TRACECHAIN_(\w+)=(\S+)", line))
    )
    told = {}
    for word, outcome in (("genuine", "genuine"), ("forged", "counterfeit"),
                          ("recalled", "caution")):  # fmt: skip
        link = lines[lines.index(f"{word}:") + 1]
        assert link.startswith("http://127.0.0.1:")
        told[word] = httpx.get(link, headers={"accept": "text/html"}, timeout=60).text
        assert f'data-outcome="{outcome}"' in told[word]
    assert "该防伪追溯码由厂家签发，此前无人查询" in told["genuine"]
    assert "生产赋码" in told["genuine"]
    assert "系伪造" in told["forged"]
    assert "瓶口可能有裂纹" in told["recalled"]
    tries = [line for line in lines if re.match(r"\S+ (verify|trace|issue|assess) ", line)]
    assert len(tries) == 4
    for line in tries:
        words = re.sub(r"^\S+ ", "", line).replace("'", "").split()
        ran = start(
            words, tmp_path, {k.removeprefix("TRACECHAIN_"): v for k, v in exported.items()}
        )
        ran.communicate(timeout=60)
        assert ran.returncode == 0, line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_script_runs_from_anywhere(tmp_path: Path) -> None:
    from tests.support.command import ROOT

    ran = subprocess.run(
        [str(ROOT / "dev"), "help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "./dev demo" in ran.stdout or "demo" in ran.stdout
