"""`./dev audit`, against an advisory service of the test's own that speaks as OSV does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts.dependency_audit import CANARY, NOT_AUDITED, main
from scripts.secret_scan import ROOT

LOCK = "idna==3.10 --hash=sha256:{a}\nattrs==25.1.0 --hash=sha256:{a}\n".format(a="0" * 64)
Answer = Callable[[str, str], bool]


@contextmanager
def service(is_vulnerable: Answer | None) -> Iterator[str]:
    """The address of a service; None: it fails."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name, version = asked["package"]["name"], asked["version"]
            answer = {}
            if is_vulnerable is not None and is_vulnerable(name, version):
                ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
                package = {"name": name, "ecosystem": "PyPI"}
                answer = {"vulns": [{
                    "id": f"TEST-{name}", "details": "bad", "published": "2026-01-01T00:00:00Z",
                    "modified": "2026-01-01T00:00:00Z",
                    "affected": [{"package": package, "versions": [version], "ranges": ranges}],
                }]}  # fmt: skip
            body = json.dumps(answer).encode()
            self.send_response(500 if is_vulnerable is None else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def is_canary(name: str, version: str) -> bool:
    return f"{name}=={version}\n" == CANARY


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (is_canary, 0, "audited: 2 packages, no known vulnerability"),
        (lambda n, v: is_canary(n, v) or n == "attrs", 1, "attrs 25.1.0: TEST-attrs; mended in 99"),
        # A mirror that knows no advisories knows nothing of the canary either.
        (lambda n, v: n == "attrs", NOT_AUDITED, "not audited: no advisory service reachable"),
        (None, NOT_AUDITED, "not audited: no advisory service reachable"),
    ],
    ids=["clean", "vulnerable", "ignorant", "failing"],
)
def test_what_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answer: Answer | None,
    status: int,
    said: str,
) -> None:
    lock = tmp_path / "lock"
    lock.write_text(LOCK)
    with service(answer) as address:
        assert main(["--lock", str(lock), "--osv-url", address]) == status
    assert capsys.readouterr().out.splitlines() == [said]


def test_ci_runs_it_and_fails_for_a_vulnerability() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    assert f"./dev audit || [ $? -eq {NOT_AUDITED} ] || status=1" in run
