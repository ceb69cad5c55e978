"""An issuer of bearer tokens on loopback: a real HTTP server with its keys, that can go away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwk, jws
from joserfc.jws import JWSRegistry

AUDIENCE = "tracechain"


@dataclass
class Issuer:
    """What it signs with and publishes; tests change both."""

    url: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    # What is answered in place of the keys: (status, headers, body).
    instead: tuple[int, dict[str, str], bytes] | None = None

    def make_key(self, kid: str, kind: str = "EC", size: str | int = "P-256") -> None:
        """A further key, which is published."""
        key = jwk.generate_key(kind, size, {"kid": kid})  # type: ignore[call-overload]
        self.keys[kid] = key
        self.published.append(key.as_dict(private=False))

    def claims(self, gln: str, role: str = "handler", **changed: Any) -> dict[str, Any]:
        """What a good token says; None takes a claim out."""
        now = time.time()
        said = {
            "iss": self.url, "aud": AUDIENCE, "sub": "line 3", "iat": now, "exp": now + 600,
            "tracechain_party": gln, "tracechain_role": role, **changed,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value is not None}

    def token(
        self,
        claims: dict[str, Any],
        kid: str = "first",
        algorithm: str = "ES256",
        key: Any = None,
        **header: Any,
    ) -> str:
        """A signed token; further headers by their names, None takes one out."""
        said = {"alg": algorithm, "kid": kid, "typ": "at+jwt", **header}
        return jws.serialize_compact(
            {name: value for name, value in said.items() if value is not None},
            json.dumps(claims).encode(),
            key or self.keys[kid],
            registry=JWSRegistry(algorithms=[algorithm], strict_check_header=False),
        )


@contextmanager
def token_issuer() -> Iterator[Issuer]:
    """A running issuer with one key, `first`."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            body = json.dumps({"keys": issuer.published}).encode()
            status, headers, body = issuer.instead or (200, {}, body)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                # The client had enough.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        issuer.make_key("first")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
