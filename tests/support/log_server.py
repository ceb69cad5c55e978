"""A log of a test's own on loopback: real HTTP, real signatures, and any lie that a test wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric import ed25519

from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import Cosigner
from tracechain.domain.log.merkle import leaf_hash
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.tiles import Edge, bundles, encode_entries

ORIGIN = "log.example/test"


def key_of(seed: int) -> ed25519.Ed25519PrivateKey:
    """A key that is the same in every run."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


SIGNER = NoteSigner(ORIGIN, key_of(1))
WITNESSES = [Cosigner(f"w{i}.example", key_of(10 + i)) for i in range(3)]


def policy_of(quorum: str = "none", signer: NoteSigner = SIGNER, url: str = "") -> bytes:
    """A policy with the log and three witnesses w0, w1, w2, of whom `some` is any two."""
    lines = [
        f"log {signer.key} {url}",
        *(f"witness w{i} {w.key}" for i, w in enumerate(WITNESSES)),
        "group some 2 w0 w1 w2",
        f"quorum {quorum}",
    ]
    return ("\n".join(lines) + "\n").encode()


@dataclass
class Answer:
    """What a path answers: a status, headers, and a body that may come slowly."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0  # before the body
    drip: float = 0.0  # between any two of its bytes
    cut: bool = False  # the connection ends in the middle


@dataclass
class LogServer:
    """What it serves by path, and what it answers in the place of that. Counts what was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    instead: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)

    def empty(self) -> None:
        """Serves nothing, and was asked nothing."""
        for state in (self.files, self.instead, self.asked, self.told):
            state.clear()

    def answer(self, path: str) -> Answer:
        """What is answered at a path."""
        if path in self.instead:
            return self.instead[path]
        if path in self.files:
            return Answer(self.files[path])
        return Answer(b"", 404)


def tree_files(entries: Sequence[bytes], size: int | None = None) -> tuple[dict[str, bytes], bytes]:
    """The tiles and bundles of a tree of these entries by path, and its root."""
    some = list(entries[:size])
    edge, tiles = Edge().append([leaf_hash(entry) for entry in some])
    files = {tile.path: content for tile, content in tiles.items()}
    for bundle in bundles(len(some)):
        first = bundle.index * 256
        files[bundle.path] = encode_entries(some[first : first + bundle.width])
    return files, edge.root()


def signed_checkpoint(
    size: int,
    root: bytes,
    signer: NoteSigner = SIGNER,
    witnesses: Sequence[Cosigner] = (),
    at: int = 0,
) -> bytes:
    """The note of a checkpoint, cosigned at a time (by default now)."""
    checkpoint = Checkpoint(signer.name, size, root)
    when = at or int(time.time())
    signatures = [signer.sign(checkpoint.text), *(w.sign(checkpoint, when) for w in witnesses)]
    return Note(checkpoint.text, tuple(signatures)).encode()


@dataclass
class TestLog:
    """A log that grows on a server: `grow` appends, signs and serves."""

    __test__ = False

    server: LogServer
    signer: NoteSigner = SIGNER
    witnesses: Sequence[Cosigner] = ()
    entries: list[bytes] = field(default_factory=list)
    root: bytes = b""

    def grow(self, *entries: bytes, at: int = 0) -> None:
        """Serves the tree with more entries; what was served before stays."""
        self.entries.extend(entries)
        files, self.root = tree_files(self.entries)
        self.server.files.update(files)
        self.server.files["checkpoint"] = signed_checkpoint(
            len(self.entries), self.root, self.signer, self.witnesses, at
        )

    def numbered(self, count: int) -> None:
        """Grows by so many entries, each another one."""
        start = len(self.entries)
        self.grow(*(b"entry %d" % i for i in range(start, start + count)))


@contextmanager
def log_server() -> Iterator[LogServer]:
    """A running server that serves nothing yet."""
    state = LogServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            state.asked.append(path)
            state.told.append({k.lower(): v for k, v in self.headers.items()})
            found = state.answer(path)
            if found.pause:
                time.sleep(found.pause)
            self.send_response(found.status)
            length = {"content-length": str(len(found.body))}
            for name, value in {**length, **found.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self._send(found)
            except OSError:
                # The client had enough.
                self.close_connection = True

        def _send(self, found: Answer) -> None:
            if found.cut:
                self.wfile.write(found.body[: len(found.body) // 2])
                self.close_connection = True
            elif found.drip:
                for i in range(len(found.body)):
                    self.wfile.write(found.body[i : i + 1])
                    time.sleep(found.drip)
            else:
                self.wfile.write(found.body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is no matter."""

    with Server(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
