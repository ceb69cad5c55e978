"""Bundles mutated at random: none may be accepted, and none may do anything but be refused.

    python -m benchmarks.mutations --count 1000000

Half of the mutations are of the file as it is: bits, bytes, lengths, pieces cut out, put in, moved,
or taken from another bundle. Half are a forger's, who knows the format: members and their order,
fields of leaves and of the manifest, hashes and lines of notes, each with what depends on it made
to fit as far as that can be done; the archive around them is whole. A bundle that a mutation left
as it was is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

from tests.support.bundles import edited, made_bundle, policy_text, rehashed, without
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.evidence.archive import pack
from tracechain.domain.evidence.closing import seal
from tracechain.domain.evidence.verification import verify_bundle
from tracechain.domain.log.policy import Policy

_FORMS = ((2, 0, b""), (3, 1, b""), (4, 0, b"stamp"), (6, 2, b""))


@dataclass
class Tally:
    """What became of the mutated bundles. `wrong` are mutations that were accepted or that ended in
    another error than a refusal, by what was done."""

    count: int = 0
    accepted: int = 0
    crashed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.count += other.count
        self.accepted += other.accepted
        self.crashed += other.crashed
        self.reasons += other.reasons
        self.wrong += other.wrong
        return self


class Mutator:
    """Mutates a few bundles again and again, the same way for the same seed."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._made = [
            made_bundle(events, late, seed=1 + at, stamp=stamp)
            for at, (events, late, stamp) in enumerate(_FORMS)
        ]
        self._policy = Policy.parse(policy_text().encode())
        self._originals = {made.data for made in self._made}
        for data in self._originals:
            verify_bundle(data, self._policy)

    def run(self, count: int) -> Tally:
        """So many mutated bundles, verified."""
        tally = Tally()
        while tally.count < count:
            how = self._random.choice(_WAYS)
            made = self._random.choice(self._made)
            try:
                data = how(self, made)
            except InvalidArgument:
                continue  # what cannot be packed is no file
            if data in self._originals:
                continue
            tally.count += 1
            try:
                verify_bundle(data, self._policy)
            except InvalidArgument as refused:
                tally.reasons[refused.reason] += 1
            except Exception as error:
                tally.crashed += 1
                tally.wrong.append(f"{how.__name__}: {error!r}")
            else:
                tally.accepted += 1
                tally.wrong.append(how.__name__)
        return tally

    # --- the file as it is

    def bits(self, made: Any) -> bytes:
        data = bytearray(made.data)
        for _ in range(self._random.choice((1, 1, 1, 2, 5, 50))):
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(data)

    def number(self, made: Any) -> bytes:
        """Another length, offset, checksum or the like, somewhere."""
        data = bytearray(made.data)
        size = self._random.choice((1, 2, 4))
        at = self._random.randrange(len(data) - size)
        if self._random.random() < 0.7:
            # In the head of a member, or in the directory.
            at = made.data.index(b"PK", at % (len(data) - 22)) + self._random.randrange(2, 20)
        value = int.from_bytes(data[at : at + size], "little")
        change = self._random.choice((1, -1, 16, 256, -256, 1 << 31))
        data[at : at + size] = ((value + change) % (1 << 8 * size)).to_bytes(size, "little")
        return bytes(data)

    def pieces(self, made: Any) -> bytes:
        """A piece cut out, doubled, moved, overwritten, or taken from another bundle."""
        data = made.data
        a, b, c = sorted(self._random.randrange(len(data) + 1) for _ in range(3))
        if self._random.random() < 0.5:
            b = min(len(data), a + self._random.randrange(1, 40))
            c = max(b, c)
        other = self._random.choice(self._made).data
        piece = self._random.choice(
            (b"", data[a:b] * 2, other[a:b], self._random.randbytes(b - a), bytes(b - a))
        )
        if self._random.random() < 0.2:
            return bytes(data[:a] + data[b:c] + data[a:b] + data[c:])
        return bytes(data[:a] + piece + data[b:])

    def ends(self, made: Any) -> bytes:
        cut = self._random.randrange(len(made.data))
        return self._random.choice(
            (
                made.data[:cut],
                made.data[cut:],
                made.data + self._random.randbytes(1 + cut % 64),
                self._random.randbytes(1 + cut % 64) + made.data,
                made.data + made.data,
            )
        )

    # --- a forger's

    def content(self, made: Any) -> bytes:
        """A byte in one member, perhaps with the hashes in the manifest made to fit."""

        def edit(members: dict[str, bytes]) -> None:
            name = self._random.choice(list(members))
            data = bytearray(members[name])
            at = self._random.randrange(len(data))
            if self._random.random() < 0.5:
                data[at] ^= 1 << self._random.randrange(8)
            else:
                data[at : at + self._random.randrange(3)] = self._random.choice(
                    (b"", b"0", b"1", b" ", b'"', b"A", b"\n", b"\xff")
                )
            members[name] = bytes(data)
            if name != "manifest.json" and self._random.random() < 0.5:
                rehashed(members)

        return edited(made, edit)

    def order(self, made: Any) -> bytes:
        """Members doubled, left out, renamed or in another order."""
        members = list(made.members.items())
        a, b = (self._random.randrange(len(members)) for _ in range(2))
        match self._random.randrange(4):
            case 0:
                del members[a]
            case 1:
                members[a], members[b] = members[b], members[a]
            case 2:
                members[a] = (members[a][0], members[b][1])
            case 3:
                name = members[a][0]
                at = self._random.randrange(len(name))
                members[a] = (name[:at] + self._random.choice("0123456789abz") + name[at + 1 :],
                              members[a][1])  # fmt: skip
        return pack(dict(members))

    def mixed(self, made: Any) -> bytes:
        """Members from another bundle of the same makers."""
        other = self._random.choice(self._made).members

        def edit(members: dict[str, bytes]) -> None:
            for name in self._random.sample(list(members), self._random.randrange(1, 4)):
                members[name] = other.get(name, members[name])
            if self._random.random() < 0.5:
                rehashed(members)

        return edited(made, edit)

    def dropped(self, made: Any) -> bytes:
        """Events taken out, with all that speaks of them."""
        indices = [int(n[7:-5]) for n in made.members if n.startswith("leaves/")]

        def edit(members: dict[str, bytes]) -> None:
            for index in self._random.sample(indices, self._random.randrange(1, 4)):
                without(index, members)

        return edited(made, edit)

    def values(self, made: Any) -> bytes:
        """Another value somewhere in JSON, spelled as it must be."""

        def edit(members: dict[str, bytes]) -> None:
            name = self._random.choice([n for n in members if n.endswith(".json")])
            value = json.loads(members[name])
            self._change(value)
            members[name] = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
            if name != "manifest.json" and self._random.random() < 0.7:
                rehashed(members)

        return edited(made, edit)

    def _change(self, value: Any) -> None:
        while True:
            keys = list(value) if isinstance(value, dict) else list(range(len(value)))
            if not keys:
                return
            key = self._random.choice(keys)
            inner = value[key]
            if isinstance(inner, dict | list) and inner and self._random.random() < 0.85:
                value = inner
                continue
            value[key] = self._other(inner)
            if isinstance(value, list):
                match self._random.randrange(8):
                    case 0:
                        value.reverse()
                    case 1:
                        value.pop()
                    case 2:
                        value.append(inner)
            return

    def _other(self, value: Any) -> Any:
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self._random.choice((value + 1, value - 1, 0, -1, 1 << 63, float(value), True))
        if isinstance(value, str) and value:
            at = self._random.randrange(len(value))
            return value[:at] + self._random.choice("AB01z=/") + value[at + 1 :]
        return self._random.choice(("", 0, None, [], {}, "x"))

    def notes(self, made: Any) -> bytes:
        """Lines of the checkpoint in another order, left out, doubled or altered, in all copies."""
        old = made.members["checkpoint.txt"]
        lines = old.splitlines(keepends=True)
        a, b = (self._random.randrange(len(lines)) for _ in range(2))
        match self._random.randrange(4):
            case 0:
                del lines[a]
            case 1:
                lines[a], lines[b] = lines[b], lines[a]
            case 2:
                lines.insert(a, lines[b])
            case 3:
                line = bytearray(lines[a])
                line[self._random.randrange(len(line))] ^= 1 << self._random.randrange(7)
                lines[a] = bytes(line)
        new = b"".join(lines)

        def edit(members: dict[str, bytes]) -> None:
            for name in members:
                if name == "checkpoint.txt" or name.startswith("proofs/"):
                    members[name] = members[name].replace(old, new)
            self._sealed_anew(members, made)

        return edited(made, edit)

    def proofs(self, made: Any) -> bytes:
        """Hashes of a proof left out, put in, exchanged; or another index."""

        def edit(members: dict[str, bytes]) -> None:
            name = self._random.choice([n for n in members if n.startswith("proofs/")])
            head, _, note = members[name].partition(b"\n\n")
            lines = head.split(b"\n")
            at = self._random.randrange(1, len(lines))
            match self._random.randrange(4):
                case 0:
                    del lines[at]
                case 1:
                    lines.insert(at, self._random.choice(lines))
                case 2:
                    self._random.shuffle(lines)
                case 3:
                    lines[1] = b"index %d" % self._random.randrange(20)
            members[name] = b"\n".join(lines) + b"\n\n" + note
            self._sealed_anew(members, made)

        return edited(made, edit)

    def _sealed_anew(self, members: dict[str, bytes], made: Any) -> None:
        """The seal of a stranger, whom the manifest does not name."""
        if self._random.random() < 0.5:
            digests = {n: sha256(c).digest() for n, c in members.items() if n != "seal.txt"}
            stranger = next(one for one in self._made if one is not made)
            members["seal.txt"] = seal(digests, stranger.signer)


_RAW = (Mutator.bits, Mutator.number, Mutator.pieces, Mutator.ends)
_FORGED = (
    Mutator.content, Mutator.order, Mutator.mixed, Mutator.dropped, Mutator.values, Mutator.notes,
    Mutator.proofs,
)  # fmt: skip
# As many of the one kind as of the other.
_WAYS: tuple[Callable[[Mutator, Any], bytes], ...] = _RAW * len(_FORGED) + _FORGED * len(_RAW)


def run(seed: str, count: int) -> Tally:
    """In a process: so many mutations."""
    return Mutator(seed).run(count)


def measure(count: int = 20_000, processes: int = 0) -> dict[str, object]:
    """Mutations on all cores, and what became of them."""
    workers = processes or os.cpu_count() or 1
    started = time.perf_counter()
    tally = Tally()
    shares = [count // workers + (at < count % workers) for at in range(workers)]
    with ProcessPoolExecutor(workers) as pool:
        for part in pool.map(run, [f"mutations {at}" for at in range(workers)], shares):
            tally += part
    return {
        "mutated": tally.count,
        "accepted": tally.accepted,
        "crashed": tally.crashed,
        "wrong": tally.wrong[:20],
        "reasons": dict(tally.reasons.most_common()),
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    found = measure(parser.parse_args().count)
    print(json.dumps(found, indent=2))
    return 1 if found["accepted"] or found["crashed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
