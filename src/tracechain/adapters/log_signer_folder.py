"""The signer's folder: its keys, and what it signed last.

Promises that keys and the first state come to be in one step, so that a key without a state is a
loss and never a beginning. What is in the folder belongs to one machine: whoever puts an old copy
of it back, together with one of the store, has a signer that signs a second history; witnesses
find that out, nobody else does.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracechain.adapters.keys import Vault
from tracechain.adapters.log_heads import FileHeads, sync_folder
from tracechain.adapters.log_keys import KeyFile, has_ml_dsa, make_key
from tracechain.app.log.signing import Signing
from tracechain.domain.log.note import SignatureType

if TYPE_CHECKING:
    # Not at run time: the signer knows nothing of what the service stores.
    from tracechain.app.ports import Clock


def key_file(folder: Path) -> KeyFile:
    """The keys in a signer's folder."""
    return KeyFile(folder / "key")


def key_types(*, cosignature: bool) -> list[SignatureType]:
    """The types of the keys that are made: Ed25519, of a cosignature or of a note, and ML-DSA-44
    where this build has it."""
    first = SignatureType.COSIGNATURE_ED25519 if cosignature else SignatureType.ED25519
    return [first, *([SignatureType.COSIGNATURE_ML_DSA_44] if has_ml_dsa() else [])]


def make_folder(
    folder: Path, origin: str, types: Sequence[SignatureType], vault: Vault | None, clock: Clock
) -> bool:
    """Makes keys for a log with this origin, and the state of one that signed nothing. False, and
    nothing done, where there is a folder already: of several who make it the first one's stays.

    Without a vault the key-encryption key is made in the folder. Raises InvalidArgument
    INVALID_VERIFIER_KEY, UNSUPPORTED_ALGORITHM; Unavailable; OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        keys = [make_key(origin, type_) for type_ in types]
        file = key_file(draft)
        file.write(keys, vault)
        Signing(keys, FileHeads(draft), clock).begin()
        os.rename(draft, folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(folder.parent)
    return True


def open_folder(folder: Path, vault: Vault | None, clock: Clock) -> Signing:
    """The signer of a folder. Raises as `KeyFile.read`; its state is looked at when it signs."""
    return Signing(key_file(folder).read(vault), FileHeads(folder), clock)
