"""The composition root of the log's checkpoints: signer, witness, publishing; by the settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracechain.adapters.log.heads import FileHeads
from tracechain.adapters.log.keys import KeyFile, make_key
from tracechain.adapters.log.signer import ChildSigner
from tracechain.adapters.log.signer_child import greeting
from tracechain.adapters.log.signer_folder import key_file, key_types, make_folder, open_folder
from tracechain.app.log.collecting import Collecting
from tracechain.app.log.publishing import Publishing
from tracechain.app.log.witnessing import Witnessing
from tracechain.app.ports import LogStore
from tracechain.bootstrap.stores import clock, named_vault
from tracechain.domain.errors import DataCorrupted, InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import Cosigner
from tracechain.domain.log.note import Note, VerifierKey
from tracechain.domain.log.policy import Policy
from tracechain.settings import Settings
from tracechain.web.log_desk import signer_desk, witness_desk
from tracechain.web.server import HttpServer

if TYPE_CHECKING:
    # Not imported at the start where the settings do not want them: see `shared`.
    from tracechain.adapters.log.http_signer import HttpSigner
    from tracechain.adapters.log.witnesses import HttpWitnesses

Asgi = Callable[..., Awaitable[None]]
# A witness is asked by few; who holds connections and asks nothing is ended by the server.
_CONNECTIONS = 256


def log_signer_dir(settings: Settings) -> Path:
    """Where the signer's keys and state are."""
    return settings.log_signer_dir or settings.data_dir / "log-signer"


def log_origin(settings: Settings) -> str:
    """The name of a log that is made."""
    return settings.log_origin or f"{settings.resolver}/log"


def make_log_signer(settings: Settings, folder: Path, origin: str) -> bool:
    """See tracechain.adapters.log.signer_folder.make_folder; `origin` may be empty."""
    types = key_types(cosignature=False)
    name = origin or log_origin(settings)
    return make_folder(folder, name, types, named_vault(settings), clock)


def log_keys(folder: Path) -> list[VerifierKey]:
    """The verifier keys in a signer's folder. Raises Unavailable LOG_KEY_MISSING."""
    return key_file(folder).public()


def log_signer_desk(settings: Settings, folder: Path) -> Asgi:
    """A signer for other processes. Raises as `open_folder`, and DataCorrupted LOG_STATE_LOST."""
    signing = open_folder(folder, named_vault(settings), clock)
    signing.latest()
    return signer_desk(signing)


def adopt_checkpoint(settings: Settings, folder: Path, note: bytes) -> Checkpoint:
    """See tracechain.app.log.signing.Signing.adopt. Raises InvalidArgument MALFORMED_NOTE too."""
    return open_folder(folder, named_vault(settings), clock).adopt(Note.parse(note))


def make_witness(settings: Settings, name: str, file: Path, state: Path) -> list[VerifierKey]:
    """Makes a witness's keys, and the folder of its state. Raises InvalidArgument
    INVALID_VERIFIER_KEY; Unavailable; OSError."""
    keys = [make_key(name, type_) for type_ in key_types(cosignature=True)]
    file.parent.mkdir(parents=True, exist_ok=True)
    state.mkdir(parents=True)
    made = KeyFile(file)
    made.write(keys, named_vault(settings))
    return made.public()


def witnessed_logs(policy: bytes | None, vkeys: Sequence[str]) -> dict[str, list[VerifierKey]]:
    """The keys of the logs that a policy or the keys themselves name, by origin. Raises
    InvalidArgument MALFORMED_LOG_POLICY, INVALID_VERIFIER_KEY."""
    named = [log.key for log in Policy.parse(policy).logs] if policy is not None else []
    logs: dict[str, list[VerifierKey]] = {}
    for key in [*named, *map(VerifierKey.parse, vkeys)]:
        logs.setdefault(key.name, []).append(key)
    return logs


def witness_app(
    settings: Settings, file: Path, state: Path, logs: Mapping[str, Sequence[VerifierKey]]
) -> Asgi:
    """A witness of these logs. Raises as `KeyFile.read`; DataCorrupted LOG_KEY_UNREADABLE where a
    key makes no cosignatures, LOG_STATE_LOST where the state is not of these keys."""
    keys = KeyFile(file).read(named_vault(settings))
    cosigners = [key for key in keys if isinstance(key, Cosigner)]
    if len(cosigners) < len(keys):
        raise DataCorrupted("LOG_KEY_UNREADABLE", f"{file} has keys that make no cosignatures")
    witnessing = Witnessing(cosigners, logs, FileHeads(state), clock)
    witnessing.check()
    return witness_desk(witnessing, logs)


def desk_server(settings: Settings, desk: Asgi, listen: str) -> HttpServer:
    """The server of a signer or a witness. Raises Unavailable PLAINTEXT_REFUSED."""
    return HttpServer(
        desk, listen, max_connections=_CONNECTIONS, allow_plaintext=settings.allow_plaintext
    )


@dataclass(frozen=True, slots=True)
class Vouching:
    """Who vouches for the log's checkpoints: its signer, and witnesses where a policy is set."""

    _signer: ChildSigner | HttpSigner
    _policy: Policy | None
    _witnesses: HttpWitnesses | None
    _collecting: Collecting | None

    def publishing(self, log: LogStore) -> Publishing:
        """What publishes the checkpoints of a store's log."""
        return Publishing(log, self._signer, self._policy, self._collecting)

    async def close(self) -> None:
        """Ends the signer where it is ours, and connections; once nothing is being published."""
        await self._signer.close()
        if self._witnesses is not None:
            await self._witnesses.close()


def open_vouching(settings: Settings) -> Vouching:
    """By the settings; nothing is started or asked before the first checkpoint.

    Raises InvalidArgument MALFORMED_LOG_POLICY, Unavailable SETTING_INVALID and those of the
    key-encryption key.
    """
    policy = read_log_policy(settings)
    witnesses, collecting = None, None
    if policy is not None:
        from tracechain.adapters.log.witnesses import HttpWitnesses

        seconds = settings.log_witness_ms / 1000
        witnesses = HttpWitnesses(seconds)
        collecting = Collecting(policy, witnesses, seconds)
    signer: ChildSigner | HttpSigner
    if settings.log_signer:
        from tracechain.adapters.log.http_signer import HttpSigner

        signer = HttpSigner(settings.log_signer)
    else:
        folder, vault = log_signer_dir(settings), named_vault(settings)
        signer = ChildSigner(
            greeting(folder, log_origin(settings), vault, settings.log_level, settings.log_format)
        )
    return Vouching(signer, policy, witnesses, collecting)


def read_log_policy(settings: Settings) -> Policy | None:
    """The policy that published checkpoints satisfy; None where there is none. Raises
    InvalidArgument MALFORMED_LOG_POLICY."""
    if settings.log_policy is None:
        return None
    try:
        return Policy.parse(settings.log_policy.read_bytes())
    except OSError as error:
        raise InvalidArgument.of(
            "log_policy", "MALFORMED_LOG_POLICY", f"{settings.log_policy}: {error.strerror}"
        ) from None
