"""What a process of the pool runs: `python -m tracechain.adapters.crypto_child`.

First comes what opens the vault, then requests [job, new keys, arguments], answered in order.
Light to start: it knows the domain and the vault, no more.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tracechain.adapters.child_process import requests
from tracechain.adapters.keys import Vault, vault_from
from tracechain.app.working_key import WorkingKey, working
from tracechain.domain.code import Algorithm, Profile, parse_code
from tracechain.domain.code_run import CodeRun, make_codes
from tracechain.domain.keys import IssuerKey


def key_to_json(key: IssuerKey) -> list[Any]:
    """What this process needs of a key: its secret half stays wrapped."""
    return [
        key.key_id,
        key.issuer_gln,
        key.algorithm.value,
        base64.b64encode(key.public_key).decode(),
        base64.b64encode(key.wrapped_secret).decode(),
    ]


def _key_from_json(fields: Sequence[Any]) -> IssuerKey:
    key_id, issuer, algorithm, public, wrapped = fields
    return IssuerKey(
        key_id,
        issuer,
        Algorithm(algorithm),
        base64.b64decode(public),
        base64.b64decode(wrapped),
        "",
        0,
    )


class _Jobs:
    """The jobs by name."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._keys: dict[int, WorkingKey] = {}

    def learn(self, keys: Sequence[Sequence[Any]]) -> None:
        for fields in keys:
            record = _key_from_json(fields)
            self._keys[record.key_id] = working(record, self._vault)

    def positions(self, resolver: str, texts: Sequence[str]) -> list[tuple[int, int] | None]:
        """For each code its (batch number, index); None where its token is false."""
        of_key: dict[int, list[int]] = defaultdict(list)
        codes = [parse_code(text, resolver) for text in texts]
        for place, code in enumerate(codes):
            of_key[code.key_id].append(place)
        found: list[tuple[int, int] | None] = [None] * len(codes)
        for key_id, places in of_key.items():
            positions = self._keys[key_id].positions([codes[place] for place in places])
            for place, position in zip(places, positions, strict=True):
                found[place] = position
        return found

    def codes(self, key_id: int, run: Sequence[Any]) -> list[Any]:
        """The codes of a run, as (uris, serials, pins)."""
        resolver, gtin, batch_number, first, count, profile, pins = run
        made = make_codes(
            self._keys[key_id].secret,
            CodeRun(resolver, gtin, batch_number, first, count, Profile(profile), pins),
        )
        return [made.uris, made.serials, made.pins]


def main() -> None:
    """Works until its input ends."""
    asked = requests()
    greeting, _ = next(asked)
    jobs = _Jobs(vault_from(greeting))
    for request, answer in asked:
        job, keys, arguments = json.loads(request)
        jobs.learn(keys)
        result = getattr(jobs, job)(**arguments)
        answer(json.dumps(result, separators=(",", ":")).encode())


if __name__ == "__main__":
    main()
