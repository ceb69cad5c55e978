# Copied from src/tracechain/domain/log/policy.py by `./dev generate`. Do not edit.
"""Whom to believe: the logs that are known, the witnesses, and how many of them it takes.

Promises that a policy is read in one way only or refused, and that a checkpoint which it accepts
was signed by one of its logs and by witnesses enough. Were a line that is not understood passed
over, a quorum could be smaller than its writer wrote.

C2SP tlog-policy. The file is octets: names that are no UTF-8 stay what they are (section Character
set).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tracechain_client._log.errors import InvalidArgument
from tracechain_client._log.checkpoint import Checkpoint, verify_checkpoint
from tracechain_client._log.cosignature import timestamp_of, verifier
from tracechain_client._log.note import Note, SignatureType, Verifier, VerifierKey, verify

MAX_POLICY_BYTES = 1_000_000
MAX_DEFINITIONS = 1_000  # of logs, witnesses and groups together; the text asks for 96
NONE = "none"
_FORBIDDEN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_BLANKS = re.compile(rb"[ \t]+")
_COUNT = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Log:
    """A known log. Its key's name is its origin; the URL may be empty."""

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """A known witness, by the name that it has in the policy; the URL may be empty."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Of these witnesses and groups, named before it, at least `threshold`."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A checkpoint that a policy accepts, and when each of its witnesses cosigned it, in POSIX
    seconds. The policy asks nothing of the times; who uses it may."""

    checkpoint: Checkpoint
    witnessed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy file says. `quorum` is a witness, a group or `none`."""

    logs: tuple[Log, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NONE

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Reads a policy file. Raises InvalidArgument MALFORMED_LOG_POLICY, with the line."""
        if len(data) > MAX_POLICY_BYTES:
            raise _malformed("policy", f"has more than {MAX_POLICY_BYTES} bytes")
        if data and not data.endswith(b"\n"):
            raise _malformed("policy", "ends within a line; something may be missing")
        draft = _Draft()
        for number, line in enumerate(data.split(b"\n"), 1):
            where = f"line {number}"
            if _FORBIDDEN.search(line):
                raise _malformed(where, "has a control character")
            words = [word.decode(errors="surrogateescape") for word in _BLANKS.split(line) if word]
            if words and not words[0].startswith("#"):
                draft.add(words, where)
        return draft.done()

    def satisfied(self, witnesses: Sequence[str]) -> bool:
        """Whether cosignatures by these witnesses are a quorum (section Defining the quorum)."""
        if self.quorum == NONE:
            return True
        names = {witness.name for witness in self.witnesses}.intersection(witnesses)
        for group in self.groups:  # each names only what stands before it
            if len(names.intersection(group.members)) >= group.threshold:
                names.add(group.name)
        return self.quorum in names

    def accept(self, note: Note, also: Sequence[Verifier] = ()) -> Accepted:
        """The checkpoint in a note that one of the logs (or of `also`, known from elsewhere)
        signed, and a quorum of witnesses.

        Raises InvalidArgument MALFORMED_CHECKPOINT; FALSE_SIGNATURE: a log's or a witness's
        signature is false; NOT_SIGNED: by no known log; QUORUM_NOT_MET: by too few witnesses.
        """
        checkpoint = verify_checkpoint(note, [*(verifier(log.key) for log in self.logs), *also])
        named = {(w.key.name, w.key.key_id): w for w in self.witnesses}
        present = [
            named[signature.name, signature.key_id]
            for signature in dict.fromkeys(note.signatures)
            if (signature.name, signature.key_id) in named
        ]
        witnessed = {}
        if present:
            for signature in verify(note, [verifier(witness.key) for witness in present]):
                witness = named[signature.name, signature.key_id]
                witnessed[witness.name] = timestamp_of(signature)
        if not self.satisfied(tuple(witnessed)):
            raise InvalidArgument.of(
                "note", "QUORUM_NOT_MET",
                f"{len(witnessed)} of {len(self.witnesses)} witnesses cosigned; "
                f"{_shown(self.quorum)} is not met",
            )  # fmt: skip
        return Accepted(checkpoint, witnessed)


@dataclass(slots=True)
class _Draft:
    """A policy while it is read, line by line."""

    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str = ""
    names: set[str] = field(default_factory=set)
    free: set[str] = field(default_factory=set)  # names that are in no group yet

    def add(self, words: list[str], where: str) -> None:
        if len(self.logs) + len(self.names) >= MAX_DEFINITIONS:
            raise _malformed(where, f"is beyond {MAX_DEFINITIONS} definitions")
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                self._log(vkey, "".join(url), where)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._witness(name, vkey, "".join(url), where)
            case ["group", name, count, *members] if members:
                self._group(name, count, members, where)
            case ["quorum", name]:
                if self.quorum:
                    raise _malformed(where, "is a second quorum")
                if name != NONE and name not in self.names:
                    raise _malformed(where, f"names {_shown(name)}, which is not defined above it")
                self.quorum = name
            case _:
                raise _malformed(where, "is no log, witness, group or quorum")

    def done(self) -> Policy:
        if not self.quorum:
            raise _malformed("policy", "has no quorum")
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def _log(self, vkey: str, url: str, where: str) -> None:
        key = _key(vkey, where)
        if any(key.public_key == log.key.public_key for log in self.logs):
            raise _malformed(where, "has the key of a log above it")
        self.logs.append(Log(key, url))

    def _witness(self, name: str, vkey: str, url: str, where: str) -> None:
        key = _key(vkey, where)
        if key.type is SignatureType.ED25519:
            raise _malformed(where, "has a key of type 01, which makes no cosignatures")
        if any(key.public_key == witness.key.public_key for witness in self.witnesses):
            raise _malformed(where, "has the key of a witness above it")
        self._define(name, where)
        self.witnesses.append(Witness(name, key, url))

    def _group(self, name: str, count: str, members: list[str], where: str) -> None:
        threshold = {"any": 1, "all": len(members)}.get(count) or (
            int(count) if _COUNT.fullmatch(count) else 0
        )
        if not 1 <= threshold <= len(members):
            raise _malformed(where, f"has no threshold from 1 to {len(members)}, any or all")
        for member in members:
            if member not in self.free:
                raise _malformed(
                    where, f"names {_shown(member)}, which is not defined above it, or in a group"
                )
            self.free.remove(member)
        self._define(name, where)
        self.groups.append(Group(name, threshold, tuple(members)))

    def _define(self, name: str, where: str) -> None:
        if name == NONE or name in self.names:
            raise _malformed(where, f"defines {_shown(name)} again")
        self.names.add(name)
        self.free.add(name)


def _key(vkey: str, where: str) -> VerifierKey:
    try:
        return VerifierKey.parse(vkey)
    except InvalidArgument as error:
        raise _malformed(where, f"has no key: {error.message}") from None


def _shown(name: str) -> str:
    """A name as it may stand in a message."""
    return ascii(name[:100])


def _malformed(where: str, why: str) -> InvalidArgument:
    return InvalidArgument.of(where, "MALFORMED_LOG_POLICY", why)
