"""What ends a bundle, once its export has a leaf: where that is, and the seal over everything.

Promises that after the seal nothing can be altered, added or left out, also nothing that no proof
holds: a witness's line that a reader does not know, a time stamp. The key of the seal is made for
one export and thrown away; its public half is in the manifest, and so in the log.

A seal is a C2SP signed note. Its text is a head and the SHA-256 of the list of all other members,
a line each as `sha256sum` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.evidence.manifest import EXPORT, SEAL
from tracechain.domain.log.canonical import base64, hash32
from tracechain.domain.log.note import Note, NoteSigner, NoteVerifier, VerifierKey, verify

_HEAD = "tracechain evidence seal v1"


class Export(NamedTuple):
    """The index of the export's leaf, and the salt of its commitment."""

    leaf_index: int
    salt: bytes

    def encode(self) -> bytes:
        """The member: what `parse` reads."""
        return f'{{"index":{self.leaf_index},"salt":"{base64(self.salt)}"}}'.encode()

    @classmethod
    def parse(cls, data: bytes) -> Export:
        """Reads the member. Raises InvalidArgument MALFORMED_EXPORT."""
        try:
            value = json.loads(data)
            found = cls(value["index"], hash32(value["salt"], EXPORT, "MALFORMED_EXPORT"))
            spelling = found.encode()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _no_export() from None
        if type(found.leaf_index) is not int or spelling != data:
            raise _no_export()
        return found


def seal(digests: Mapping[str, bytes], signer: NoteSigner) -> bytes:
    """The member that seals those with these hashes, in their order."""
    text = _text(digests)
    return Note(text, (signer.sign(text),)).encode()


def check_seal(digests: Mapping[str, bytes], key: VerifierKey, data: bytes) -> None:
    """Raises InvalidArgument SEAL_BROKEN: these are not the members that were sealed."""
    try:
        note = Note.parse(data)
        signed = note.text == _text(digests) and len(note.signatures) == 1
        verify(note, [NoteVerifier(key)])
    except InvalidArgument:
        signed = False
    if not signed:
        raise InvalidArgument.of(SEAL, "SEAL_BROKEN", "is not over these members")


def _text(digests: Mapping[str, bytes]) -> str:
    listing = "".join(f"{digest.hex()}  {name}\n" for name, digest in digests.items())
    return f"{_HEAD}\n{base64(sha256(listing.encode()).digest())}\n"


def _no_export() -> InvalidArgument:
    return InvalidArgument.of(EXPORT, "MALFORMED_EXPORT", "names no leaf and its salt")
