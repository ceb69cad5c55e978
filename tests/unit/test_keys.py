"""New keys: the public half verifies what the secret half issues, and no two are alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracechain.domain.code import (
    Algorithm,
    CodeKey,
    Profile,
    VerifyingKey,
    format_code,
    parse_code,
)
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.keys import (
    MAX_KEY_ID,
    IssuerKey,
    JudgeEarlier,
    KeyStanding,
    KeyState,
    code_key,
    generate,
)

GTIN, HOST = "06901234501018", "t.example"


def record(algorithm: Algorithm, public: bytes, key_id: int = 7) -> IssuerKey:
    """A key as it is kept."""
    return IssuerKey(key_id, "6901234000115", algorithm, public, b"wrapped", "r1", 10)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_public_half_verifies_what_the_secret_half_issues(algorithm: Algorithm) -> None:
    public, secret = generate(algorithm)
    key = code_key(record(algorithm, public), secret)
    ((serial, token),) = key.issue(GTIN, 5, 3, 1, Profile.SIGNED)
    code = parse_code(format_code(HOST, GTIN, serial, token), HOST)
    assert VerifyingKey.from_der(7, algorithm, public).verify(code)
    other, _ = generate(algorithm)
    assert not VerifyingKey.from_der(7, algorithm, other).verify(code)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_secret_is_root_and_signing_key(algorithm: Algorithm) -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return b"r" * count

    public, secret = generate(algorithm, random_bytes)
    assert (asked, secret[:32]) == ([32], b"r" * 32)
    made = code_key(record(algorithm, public), secret)
    again = CodeKey(7, algorithm, secret[32:], b"r" * 32)
    assert made.issue(GTIN, 5, 3, 2, Profile.SIGNED) == again.issue(GTIN, 5, 3, 2, Profile.SIGNED)
    assert made.pin(GTIN, "0" * 13) == again.pin(GTIN, "0" * 13)


def test_no_two_keys_are_alike() -> None:
    for algorithm in Algorithm:
        made = [generate(algorithm) for _ in range(3)]
        assert len({public for public, _ in made}) == 3
        assert len({secret[:32] for _, secret in made}) == 3


def test_the_algorithm_of_the_record_decides() -> None:
    public, secret = generate(Algorithm.ES256)
    with pytest.raises(InvalidArgument):
        code_key(record(Algorithm.ED25519, public), secret)
    with pytest.raises(InvalidArgument):
        VerifyingKey.from_der(7, Algorithm.ED25519, public)


def test_a_cut_secret_is_no_key_and_is_not_told() -> None:
    public, secret = generate(Algorithm.ES256)
    for cut in (b"", secret[:32], secret[:-1], secret[1:]):
        with pytest.raises(InvalidArgument) as caught:
            code_key(record(Algorithm.ES256, public), cut)
        assert caught.value.reason == "INVALID_KEY"
        assert secret[40:60].hex() not in str(caught.value)


def test_a_key_id_has_two_bytes() -> None:
    public, secret = generate(Algorithm.ES256)
    assert code_key(record(Algorithm.ES256, public, MAX_KEY_ID), secret).key_id == MAX_KEY_ID
    with pytest.raises(InvalidArgument):
        code_key(record(Algorithm.ES256, public, MAX_KEY_ID + 1), secret)


KEY = IssuerKey(7, "6901234000115", Algorithm.ES256, b"public", b"wrapped", "r1", 10)


@pytest.mark.parametrize(
    ("times", "states"),
    [
        ({}, "pppp"),
        ({"activate_time": 20}, "paaa"),
        ({"activate_time": 20, "retire_time": 30}, "paar"),
        ({"activate_time": 20, "retire_time": 20}, "prrr"),
        ({"retire_time": 20}, "prrr"),
        ({"activate_time": 30, "retire_time": 20}, "prrr"),
        # Never in the future: a key that is revoked at all signs nothing more.
        ({"activate_time": 20, "retire_time": 30, "revoke_time": 25}, "xxxx"),
        ({"revoke_time": 25}, "xxxx"),
    ],
)
def test_a_key_goes_through_its_life_by_the_clock(times: dict[str, int], states: str) -> None:
    letters = {"p": KeyState.PENDING, "a": KeyState.ACTIVE, "r": KeyState.RETIRED,
               "x": KeyState.REVOKED}  # fmt: skip
    key = replace(KEY, **times)
    assert [key.state(now) for now in (19, 20, 29, 30)] == [letters[state] for state in states]


def test_a_code_is_judged_by_when_it_was_issued_and_how_its_key_was_revoked() -> None:
    assert {KEY.standing(time) for time in (0, 10, 99)} == {KeyStanding.GOOD}
    judged = {
        JudgeEarlier.ACCEPT: KeyStanding.GOOD,
        JudgeEarlier.CAUTION: KeyStanding.DOUBTFUL,
        JudgeEarlier.REFUSE: KeyStanding.REFUSED,
    }
    for earlier, standing in judged.items():
        key = replace(KEY, revoke_time=50, judge_earlier=earlier)
        found = [key.standing(time) for time in (0, 49, 50, 51)]
        assert found == [standing, standing, KeyStanding.LATE, KeyStanding.LATE]
