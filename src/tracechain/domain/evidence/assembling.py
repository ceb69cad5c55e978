"""Putting a bundle together: first what the export's fact binds, then what follows from its leaf.

Promises that what is made here passes `verify_bundle` where the log is what it says; a test holds
the two together. The order is fixed by the log: a fact can bind only what there is before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from tracechain.domain.evidence.archive import pack
from tracechain.domain.evidence.closing import Export, seal
from tracechain.domain.evidence.manifest import (
    CHECKPOINT,
    EXPORT,
    MANIFEST,
    REPORT,
    SEAL,
    STAMP,
    ChainHead,
    Manifest,
    Opening,
    Subject,
    body_name,
    fact_name,
    leaf_name,
    members_of,
    proof_name,
)
from tracechain.domain.log.note import NoteSigner
from tracechain.domain.log.sequencing import LogLeaf


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle holds before its own leaf. `leaves` are all leaves of the chains by index,
    `opened` the indices of those whose facts are told, `bodies` the texts of events by index."""

    subject: Subject
    chains: tuple[ChainHead, ...]
    unlogged: tuple[str, ...]
    leaves: Mapping[int, LogLeaf]
    opened: Sequence[int]
    bodies: Mapping[int, str]
    report: bytes

    def manifest(
        self,
        evidence_id: str,
        time: int,
        receiver: str,
        origin: str,
        seal_key: str,
        *,
        stamped: bool,
    ) -> Manifest:
        """The manifest that binds them. Raises InvalidArgument MALFORMED_MANIFEST: too much."""
        members = {REPORT: self.report, **self._members()}
        return Manifest(
            evidence_id,
            time,
            self.subject,
            receiver,
            origin,
            seal_key,
            stamped,
            self.chains,
            self.unlogged,
            tuple(
                Opening(index, self.leaves[index].salt, index in self.bodies)
                for index in sorted(self.opened)
            ),
            {name: sha256(content).digest() for name, content in members.items()},
        )

    def _members(self) -> dict[str, bytes]:
        return {
            **{leaf_name(index): leaf.entry for index, leaf in self.leaves.items()},
            **{fact_name(index): self.leaves[index].text.encode() for index in self.opened},
            **{body_name(index): body.encode() for index, body in self.bodies.items()},
        }

    def bundle(
        self,
        manifest: Manifest,
        own: LogLeaf,
        late: Sequence[LogLeaf],
        proofs: Mapping[int, bytes],
        checkpoint: bytes,
        stamp: bytes | None,
        signer: NoteSigner,
    ) -> bytes:
        """The file. `own` is the export's leaf, `late` are leaves of the chains between what is
        here and that; `proofs` are files for all of them, to the one checkpoint.

        Raises InvalidArgument MALFORMED_BUNDLE: it is too large.
        """
        found = {
            MANIFEST: manifest.encode(),
            REPORT: self.report,
            EXPORT: Export(own.leaf_index, own.salt).encode(),
            CHECKPOINT: checkpoint,
            **self._members(),
            **{leaf_name(leaf.leaf_index): leaf.entry for leaf in (*late, own)},
            **{proof_name(index): proof for index, proof in proofs.items()},
            fact_name(own.leaf_index): own.text.encode(),
        }
        if stamp is not None:
            found[STAMP] = stamp
        names = members_of(manifest, sorted(proofs), own.leaf_index)
        members = {name: found[name] for name in names if name != SEAL}
        digests = {name: sha256(content).digest() for name, content in members.items()}
        return pack({**members, SEAL: seal(digests, signer)})
