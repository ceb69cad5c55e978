"""Publishing: what is published is signed and witnessed, whoever is slow, away, wrong or lying.

A real store, a signer behind a socket, witnesses that listen; those that misbehave are small apps
behind the same server.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response

from tests.support.ports import free_port
from tests.support.stores import RULES
from tests.unit.log.trees import DATA, ed25519_key
from tracechain.adapters.log.heads import FileHeads
from tracechain.adapters.log.http_signer import HttpSigner
from tracechain.adapters.log.signer_folder import make_folder, open_folder
from tracechain.adapters.log.witnesses import HttpWitnesses
from tracechain.adapters.sqlite import open_store
from tracechain.app.log.collecting import Collecting
from tracechain.app.log.ports import Answer, Signer
from tracechain.app.log.proofs import consistency_proof
from tracechain.app.log.publishing import Publishing
from tracechain.app.log.witnessing import Witnessing
from tracechain.app.ports import LogStore
from tracechain.domain.errors import InvalidArgument, Unavailable
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.cosignature import Cosigner, signed_message, verifier
from tracechain.domain.log.fact import evidence_fact
from tracechain.domain.log.merkle import verify_consistency
from tracechain.domain.log.note import Note, NoteSigner, Signature, SignatureType, VerifierKey
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.witness import AddCheckpoint
from tracechain.web.log_desk import signer_desk, witness_desk
from tracechain.web.server import HttpServer

ORIGIN = "log.example/1"
TIME = 1_790_000_000_000_000
HOUR = 3_600_000_000
COSIGNERS = [Cosigner(f"w.example/{n}", ed25519_key(10 + n)) for n in range(20)]
Asgi = Callable[..., Awaitable[None]]


def clock() -> int:
    return TIME


@asynccontextmanager
async def listening(app: Asgi, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """The app behind a socket; its address."""
    server = HttpServer(app, listen, max_connections=64, allow_plaintext=False)
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop(0)


def policy_of(quorum: str, **urls: str) -> Policy:
    """A policy of the witnesses w0, w1, … at these addresses, as a file has it."""
    lines = [
        f"witness {name} {COSIGNERS[int(name[1:])].key} http://{url}" for name, url in urls.items()
    ]
    if quorum != "none" and quorum not in urls:
        lines.append(f"group q {quorum} {' '.join(urls)}")
        quorum = "q"
    return Policy.parse("\n".join([*lines, f"quorum {quorum}", ""]).encode())


class World:
    """A log of its own, and whoever signs for it."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.store: Any = None
        self.keys: list[VerifierKey] = []
        self.fence = 0

    async def open(self) -> World:
        self.store = await open_store(self.folder / "store.sqlite3", RULES)
        self.fence = await self.store.take_log_lease("a", 1, HOUR)
        return self

    async def signer(self, name: str = "signer", origin: str = ORIGIN) -> HttpSigner:
        """A signer in a folder of its own, behind a socket."""
        where = self.folder / name
        make_folder(where, origin, [SignatureType.ED25519], None, clock)
        signing = open_folder(where, None, clock)
        self.keys = [VerifierKey.parse(line) for line in signing.vkeys().decode().splitlines()]
        listen = f"unix:{where}/socket"
        await self.stack.enter_async_context(listening(signer_desk(signing), listen))
        signer = HttpSigner(listen)
        self.stack.push_async_callback(signer.close)
        return signer

    def witness(self, number: int) -> Asgi:
        """A witness of this log, that keeps its state."""
        state = self.folder / f"witness{number}"
        state.mkdir(exist_ok=True)
        logs = {key.name: [key] for key in self.keys}
        return witness_desk(Witnessing([COSIGNERS[number]], logs, FileHeads(state), clock), logs)

    async def witnesses(self, *numbers: int) -> dict[str, str]:
        """Witnesses that listen, by their names."""
        return {
            f"w{n}": await self.stack.enter_async_context(listening(self.witness(n)))
            for n in numbers
        }

    def publishing(
        self, signer: Signer, policy: Policy | None = None, seconds: float = 8.0,
        store: LogStore | None = None,
    ) -> Publishing:  # fmt: skip
        """What publishes this log."""
        asked = HttpWitnesses(seconds)
        collecting = Collecting(policy, asked, seconds) if policy else None
        self.stack.push_async_callback(asked.close)
        return Publishing(store or self.store, signer, policy, collecting)

    async def grow(self, count: int) -> Head:
        """Facts, and their places in the tree."""
        for n in range(count):
            await self.store.append_fact(
                evidence_fact(f"e{n}", "unit", "", TIME + n, [n + 1], "00" * 32)
            )
        head: Head | None = await self.store.sequence(self.fence, 10_000)
        assert head is not None
        return head

    async def published(self) -> Note | None:
        note = await self.store.get_checkpoint()
        return Note.parse(note) if note else None


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A log with an empty store."""
    async with AsyncExitStack() as stack:
        made = await World(tmp_path, stack).open()
        yield made
    await made.store.close()


async def publish(world: World, publishing: Publishing, head: Head, reason: str = "") -> None:
    """One attempt, which comes out like this."""
    await publishing.publish(world.fence, head)
    now = publishing.standing
    assert (now.reason, now.wanted) == (reason, head.size)
    assert reason or now.published == head.size


async def publish_quietly(world: World, publishing: Publishing, head: Head) -> None:
    """An attempt that publishes nothing, and complains of nothing."""
    before = await world.store.get_checkpoint()
    await publishing.publish(world.fence, head)
    assert publishing.standing.reason == ""
    assert await world.store.get_checkpoint() == before


async def names(world: World, policy: Policy) -> list[str]:
    """The witnesses of the published checkpoint, which the policy accepts."""
    note = await world.published()
    assert note is not None
    return sorted(policy.accept(note, [verifier(key) for key in world.keys]).witnessed)


async def test_each_tree_is_signed_witnessed_and_continues_the_last(world: World) -> None:
    signer = await world.signer()
    policy = policy_of("all", **await world.witnesses(0, 1, 2))
    publishing = world.publishing(signer, policy)
    heads = [Head(), await world.grow(1), await world.grow(300), await world.grow(5)]
    last = Head()
    for head in heads:
        await publish(world, publishing, head)
        note = await world.published()
        assert note is not None
        assert note.text == Checkpoint(ORIGIN, head.size, head.root).text
        assert await names(world, policy) == ["w0", "w1", "w2"]
        if last.size:
            proof = await consistency_proof(world.store, last.size, head.size)
            verify_consistency(last.size, head.size, proof, last.root, head.root)
        last = head
    # Told of the same again, it asks nobody.
    await publish(world, publishing, last)
    assert await world.published() == note


async def _hang(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(3600)


def _answering(make: Callable[[bytes, Cosigner], Response]) -> Callable[[Cosigner], Asgi]:
    """A witness with a key, that answers bodies like this."""

    def witness(cosigner: Cosigner) -> Asgi:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            body = await Request(scope, receive).body()
            await make(body, cosigner)(scope, receive, send)

        return app

    return witness


def _false(body: bytes, cosigner: Cosigner) -> Response:
    """A true cosignature by the right key, of another tree."""
    checkpoint = AddCheckpoint.parse(body).checkpoint
    other = Checkpoint(checkpoint.origin, checkpoint.size, bytes(32))
    return Response(str(cosigner.sign(other, TIME // 1_000_000)))


def _stranger(body: bytes, cosigner: Cosigner) -> Response:
    return Response(str(COSIGNERS[-1].sign(AddCheckpoint.parse(body).checkpoint, 1)))


def _timeless(body: bytes, cosigner: Cosigner) -> Response:
    """A cosignature without a time, which does not say that it is the latest tree."""
    key = cosigner.key
    message = signed_message(key, AddCheckpoint.parse(body).checkpoint, 0)
    value = bytes(8) + cosigner.private_key.sign(message)
    return Response(str(Signature(key.name, key.key_id, value)))


LIARS: dict[str, Callable[[Cosigner], Asgi]] = {
    "hangs": lambda _: _hang,
    "of another tree": _answering(_false),
    "of another witness": _answering(_stranger),
    "without a time": _answering(_timeless),
    "garbage": _answering(lambda *_: Response(b"\xff" * 1000)),
    "nothing": _answering(lambda *_: Response(b"")),
    "endless": _answering(lambda *_: Response(b"x" * 200_000)),
    "knows more": _answering(lambda *_: Response(b"9000000000000000000\n", 409)),
    "knows no size": _answering(lambda *_: Response(b"many\n", 409)),
    "always another size": _answering(
        lambda body, _: Response(b"%d\n" % ((AddCheckpoint.parse(body).old_size + 1) % 3), 409)
    ),
    "inconsistent": _answering(lambda *_: Response(b"no\n", 422)),
    "broken": _answering(lambda *_: Response(b"oh\n", 500)),
    "moved": _answering(lambda *_: Response(b"", 308, {"location": "http://127.0.0.1:1/"})),
}


async def test_witnesses_that_are_wrong_or_away_harm_nothing(world: World) -> None:
    signer = await world.signer()
    urls = await world.witnesses(0, 1)
    for number, witness in enumerate(LIARS.values(), 3):
        app = witness(COSIGNERS[number])
        urls[f"w{number}"] = await world.stack.enter_async_context(listening(app))
    policy = policy_of("2", **urls, w2="127.0.0.1:1")
    publishing = world.publishing(signer, policy)
    for _ in range(3):
        await publish(world, publishing, await world.grow(2))
        assert await names(world, policy) == ["w0", "w1"]


async def test_a_witness_that_lied_once_is_asked_again(world: World) -> None:
    signer = await world.signer()
    honest, lies = world.witness(0), 1

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal lies
        lies -= 1
        await (honest if lies < 0 else LIARS["knows more"](COSIGNERS[0]))(scope, receive, send)

    url = await world.stack.enter_async_context(listening(app))
    policy = policy_of("w0", w0=url)
    publishing = world.publishing(signer, policy)
    head = await world.grow(3)
    await publish(world, publishing, head, "QUORUM_NOT_MET")
    await publish(world, publishing, head)


async def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    asked = HttpWitnesses(30)
    async with listening(LIARS["endless"](COSIGNERS[0])) as url:
        with pytest.raises(Unavailable, match="more than 65536 bytes"):
            await asked.add_checkpoint(f"http://{url}", b"")
    await asked.close()


async def test_without_a_quorum_nothing_new_is_published_until_there_is_one(world: World) -> None:
    signer = await world.signer()
    # The same port twice, so one that nobody else gets in between.
    async with listening(world.witness(0), f"127.0.0.1:{free_port()}") as url:
        policy = policy_of("w0", w0=url)
        publishing = world.publishing(signer, policy, seconds=8)
        await publish(world, publishing, await world.grow(3))
    for count in (4, 1, 0):
        head = await world.grow(count)
        await publish(world, publishing, head, "QUORUM_NOT_MET")
        assert publishing.standing.published == 3
    note = await world.published()
    assert note is not None
    assert Checkpoint.parse(note.text).size == 3
    # The witness comes back, with what it knew.
    async with listening(world.witness(0), url):
        await publish(world, publishing, head)
    assert await names(world, policy) == ["w0"]


async def test_a_policy_that_cannot_be_satisfied_is_refused_at_once() -> None:
    key = COSIGNERS[0].key
    text = f"witness a {key} http://127.0.0.1:1\nwitness b {COSIGNERS[1].key}\ngroup g all a b\n"
    for quorum, ok in (("g", False), ("b", False), ("a", True), ("none", True)):
        policy = Policy.parse(f"{text}quorum {quorum}\n".encode())
        asked = HttpWitnesses(1)
        if ok:
            Collecting(policy, asked, 1)
        else:
            with pytest.raises(InvalidArgument, match="no quorum of witnesses with an address"):
                Collecting(policy, asked, 1)
        await asked.close()


class Lossy:
    """Something whose answers are lost at first: what was asked was done, nobody hears of it."""

    def __init__(self, real: Any, method: str, lost: int) -> None:
        self._real, self._method, self.left = real, method, lost

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != self._method:
            return found

        async def call(*arguments: Any) -> Any:
            answer = await found(*arguments)
            if self.left > 0:
                self.left -= 1
                raise Unavailable("STORE_UNAVAILABLE", "the answer was lost")
            return answer

        return call


@pytest.mark.parametrize("whose", ["signer", "witness", "store"])
async def test_what_was_done_and_whose_answer_was_lost_is_found_out(
    world: World, whose: str
) -> None:
    signer: Any = await world.signer()
    lost, store = 2, world.store
    witness = world.witness(0)

    async def forgetful(scope: Any, receive: Any, send: Any) -> None:
        nonlocal lost

        async def swallow(message: Any) -> None:
            """The witness has signed and kept it; the connection is gone."""

        gone = whose == "witness" and lost > 0
        lost -= gone
        await witness(scope, receive, swallow if gone else send)

    url = await world.stack.enter_async_context(listening(forgetful))
    policy = policy_of("w0", w0=url)
    lossy = Lossy(
        signer if whose == "signer" else store, "sign" if whose == "signer" else "put_checkpoint", 2
    )
    publishing = world.publishing(
        lossy if whose == "signer" else signer, policy, seconds=8,
        store=lossy if whose == "store" else store,
    )  # fmt: skip
    for count in (3, 4, 5):
        # More leaves come while it is being found out.
        await publishing.publish(world.fence, await world.grow(count))
        head = await world.grow(1)
        await publishing.publish(world.fence, head)
    await publish(world, publishing, head)
    assert await names(world, policy) == ["w0"]
    assert lost == 0 or lossy.left == 0


async def test_a_restored_backup_of_the_store_is_refused_for_good(world: World) -> None:
    signer = await world.signer()
    policy = policy_of("w0", **await world.witnesses(0))
    publishing = world.publishing(signer, policy)
    await publish(world, publishing, await world.grow(5))
    await world.store.close()
    backup = shutil.copytree(
        world.folder, world.folder.parent / "backup", ignore=shutil.ignore_patterns("socket")
    )
    await world.open()
    publishing = world.publishing(signer, policy)
    await publish(world, publishing, await world.grow(5))
    await world.store.close()
    shutil.copy(backup / "store.sqlite3", world.folder / "store.sqlite3")
    await world.open()
    before = await world.published()
    publishing = world.publishing(signer, policy)
    # As it was restored, as it grows up to the size that was signed, and beyond it.
    for count in (0, 2, 3, 90):
        head = await world.grow(count)
        await publish(world, publishing, head, "LOG_ROLLED_BACK" if count else "")
    assert await world.published() == before  # it serves on what it has
    # With the signer's state from the backup too the signer cannot know: the witness does.
    shutil.copytree(backup / "signer", world.folder / "old")
    publishing = world.publishing(await world.signer("old"), policy, seconds=8)
    await publish(world, publishing, head, "QUORUM_NOT_MET")
    assert await world.published() == before


async def test_a_node_that_lost_the_lease_publishes_nothing_and_alarms_nobody(
    world: World,
) -> None:
    signer = await world.signer()
    ours, theirs = world.publishing(signer), world.publishing(signer)
    await publish(world, ours, await world.grow(3))
    stale = await world.grow(2)
    fence = await world.store.take_log_lease("b", 2 * HOUR, 3 * HOUR)
    await ours.publish(world.fence, stale)
    assert Checkpoint.parse((await world.published()).text).size == 3  # type: ignore[union-attr]
    lost, world.fence = world.fence, fence
    new = await world.grow(4)
    await publish(world, theirs, new)
    await ours.publish(lost, stale)
    assert ours.standing.reason == ""

    class Stuck(Lossy):
        """It signs, and does not come to publish."""

        def __getattr__(self, name: str) -> Any:
            if name != "put_checkpoint":
                return super().__getattr__(name)
            raise Unavailable("STORE_UNAVAILABLE", "not now")

    stuck = world.publishing(signer, store=Stuck(world.store, "", 0))  # type: ignore[arg-type]
    late = await world.grow(1)
    await publish(world, stuck, await world.grow(5), "STORE_UNAVAILABLE")
    # The signer is further than this node knows; the store is as far, so nothing is wrong.
    await publish_quietly(world, ours, late)
    assert Checkpoint.parse((await world.published()).text).size == 9  # type: ignore[union-attr]


async def test_another_signer_does_not_go_on_under_the_same_name(world: World) -> None:
    publishing = world.publishing(await world.signer())
    await publish(world, publishing, await world.grow(3))
    before = await world.published()
    other = world.publishing(await world.signer("lost and made anew"))
    head = await world.grow(1)
    await publish(world, other, head, "LOG_SIGNER_OTHER")
    assert await world.published() == before
    # A log by another name is another log, which may begin.
    anew = world.publishing(await world.signer("new", "log.example/2"))
    await publish(world, anew, head)


async def test_a_signer_that_is_away_comes_back(world: World) -> None:
    signer = HttpSigner(f"unix:{world.folder}/signer/socket")
    publishing = world.publishing(signer)
    head = await world.grow(3)
    await publish(world, publishing, head, "LOG_SIGNER_UNAVAILABLE")
    await world.signer()
    await publish(world, publishing, head)
    await signer.close()


@pytest.mark.parametrize(
    ("keys", "answer", "reason"),
    [
        (b"", Answer(200, b""), "LOG_SIGNER_UNAVAILABLE"),
        (b"no key\n", Answer(200, b""), "LOG_SIGNER_UNAVAILABLE"),
        (None, Answer(200, b"nothing\n"), "MALFORMED_NOTE"),
        (None, Answer(200, str(NoteSigner(ORIGIN, ed25519_key(3)).sign("x\n")).encode()),
         "NOT_SIGNED"),
        (None, Answer(200, str(NoteSigner(ORIGIN, ed25519_key(1)).sign("x\n")).encode()),
         "FALSE_SIGNATURE"),
        (None, Answer(409, b"1\n"), "LOG_SIGNER_UNAVAILABLE"),
        (None, Answer(409, b"x\n"), "MALFORMED_WITNESS_MESSAGE"),
        (None, Answer(409, b"9\n"), "LOG_ROLLED_BACK"),
        (None, Answer(404, b"another log\n"), "LOG_SIGNER_UNAVAILABLE"),
        (None, Answer(422, b"no\n"), "LOG_ROLLED_BACK"),
    ],
)  # fmt: skip
async def test_a_signer_that_is_wrong_is_not_believed(
    world: World, keys: bytes | None, answer: Answer, reason: str
) -> None:
    class Wrong:
        async def keys(self) -> bytes:
            return f"{NoteSigner(ORIGIN, ed25519_key(1)).key}\n".encode() if keys is None else keys

        async def sign(self, body: bytes) -> Answer:
            return answer

    publishing = world.publishing(Wrong())
    await publish(world, publishing, await world.grow(3), reason)
    assert await world.published() is None


async def test_a_tile_that_is_missing_is_named(world: World) -> None:
    signer = await world.signer()

    class Torn:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        async def read_tiles(self, tiles: Any) -> list[bytes | None]:
            return [None for _ in tiles]

    publishing = world.publishing(signer, store=Torn())  # type: ignore[arg-type]
    await publish(world, publishing, await world.grow(3))
    await publish(world, publishing, await world.grow(3), "LOG_TILE_MISSING")


async def test_a_recorded_cosignature_of_another_implementation_is_taken() -> None:
    """Sunlight's witness cosigned this checkpoint; a server that plays its answer is a witness."""
    folder = DATA / "sunlight" / "witness"
    recorded = FileHeads(folder).latest("rome2026h1.example.org")
    assert recorded is not None
    (vkey,) = json.loads((folder / "witness.v0.json").read_text())["verifier_keys"]
    log, theirs = recorded.signatures
    async with listening(_answering(lambda *_: Response(str(theirs)))(COSIGNERS[0])) as url:
        policy = Policy.parse(f"witness s {vkey} http://{url}/\nquorum s\n".encode())
        asked = HttpWitnesses(30)

        async def no_proof(_: int) -> tuple[bytes, ...]:
            return ()

        note = await Collecting(policy, asked, 30).collect(Note(recorded.text, (log,)), no_proof)
        await asked.close()
    assert note == recorded
