"""Offline verification: what it says, and that it agrees with the service on every text."""

from __future__ import annotations

import base64
import datetime
import json
import string
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tracechain.domain.code import (
    CodeKey,
    MalformedCode,
    Profile,
    VerifyingKey,
    format_code,
    parse_code,
)
from tracechain_client import KeySet, OfflineKey, OfflineStatus, OfflineVerdict, verify_offline
from tracechain_client._code import Malformed, read_code
from tracechain_client.v1.party_pb2 import IssuerKey

GTIN, RESOLVER, ISSUER = "09506000134352", "t.example", "6901234000016"
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
URLSAFE = string.ascii_letters + string.digits + "-_"
CHARACTERS = st.one_of(st.sampled_from(URLSAFE + "/?=.:% \n=+٣"), st.characters())
Keys = dict[int, CodeKey]


def issue(key: CodeKey, index: int = 3, profile: Profile = Profile.SIGNED) -> str:
    ((serial, token),) = key.issue(GTIN, 5, index, 1, profile)
    return format_code(RESOLVER, GTIN, serial, token)


@pytest.fixture(scope="session")
def key_set(issuer_keys: list[IssuerKey]) -> KeySet:
    return KeySet.from_messages(issuer_keys, datetime.datetime(2026, 9, 15, tzinfo=datetime.UTC))


@pytest.mark.parametrize("key_id", [7, 8])
@settings(max_examples=20)
@given(index=st.integers(0, (1 << 32) - 1))
def test_what_the_service_issues_is_authentic(
    code_keys: Keys, key_set: KeySet, key_id: int, index: int
) -> None:
    text = issue(code_keys[key_id], index)
    verdict = verify_offline(text, key_set, RESOLVER)
    assert verdict
    assert verdict.status is OfflineStatus.AUTHENTIC
    serial = text.split("/21/")[1][:13]
    assert (verdict.gtin, verdict.serial) == (GTIN, serial)
    assert (verdict.key_id, verdict.issuer) == (key_id, ISSUER)


@pytest.mark.parametrize("key_id", [7, 8, 9])
@settings(max_examples=150)
@given(data=st.data())
def test_no_single_character_can_be_changed(
    code_keys: Keys, key_set: KeySet, key_id: int, data: st.DataObject
) -> None:
    text = issue(code_keys[key_id])
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(CHARACTERS.filter(lambda put: put != text[at]))
    assert_refused(text[:at] + put + text[at + 1 :], key_set)


@pytest.mark.parametrize("key_id", [7, 8])
def test_no_character_of_a_token_has_another_spelling(
    code_keys: Keys, key_set: KeySet, key_id: int
) -> None:
    text = issue(code_keys[key_id])
    for at in range(text.index("=") + 1, len(text)):
        for put in ("A", "Q", chr(ord(text[at]) ^ 1), chr(ord(text[at]) ^ 2)):
            if put != text[at]:
                assert_refused(text[:at] + put + text[at + 1 :], key_set)


@settings(max_examples=100)
@given(data=st.data())
def test_nothing_can_be_put_in_or_left_out(
    code_keys: Keys, key_set: KeySet, data: st.DataObject
) -> None:
    text = issue(code_keys[7])
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, min(at + 3, len(text))))
    changed = text[:at] + data.draw(st.text(CHARACTERS, max_size=3)) + text[until:]
    if changed != text:
        assert_refused(changed, key_set)


def assert_refused(text: str, key_set: KeySet) -> None:
    verdict = verify_offline(text, key_set, RESOLVER)
    assert not verdict
    assert verdict.status in {
        OfflineStatus.FALSE,
        OfflineStatus.MALFORMED,
        OfflineStatus.UNKNOWN_KEY,
    }


@settings(max_examples=200)
@given(data=st.data())
def test_the_two_parsers_agree(code_keys: Keys, data: st.DataObject) -> None:
    profile = data.draw(st.sampled_from(list(Profile)))
    text = issue(code_keys[data.draw(st.sampled_from([7, 8]))], profile=profile)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        until = data.draw(st.integers(at, min(at + 2, len(text))))
        text = text[:at] + data.draw(st.text(CHARACTERS, max_size=2)) + text[until:]
    assert mine(text) == the_services(text)


@given(text=st.text())
@example(f"https://{RESOLVER}/01/09506000134352/21/0000000000000?91=" + "A" * 16)
@example(f"https://{RESOLVER}/01/09506000134352/21/0000000000000?91=EQ" + "A" * 88)
@example(f"https://{RESOLVER}/01/09506000134352/21/0000000000000?91=EQ" + "A" * 87 + "B")
@example(f"https://{RESOLVER}/01/09506000134352/21/0000000000000?91=Ew" + "A" * 88)
@example(f"https://{RESOLVER}/01/09506000134353/21/0000000000000?91=" + "A" * 16)
@example(f"https://{RESOLVER}/01/٠9506000134352/21/0000000000000?91=" + "A" * 16)
@example(f"https://{RESOLVER}/01/0950600013435٢/21/0000000000000?91=" + "A" * 16)
@example(f"https://{RESOLVER}/01/09506000134352/21/000000000000U?91=" + "A" * 16)
@example(f"https://{RESOLVER}/01/09506000134352/21/0000000000000?91=" + "A" * 16 + "\n")
def test_the_two_parsers_agree_on_any_text(text: str) -> None:
    assert mine(text) == the_services(text)


def mine(text: str) -> Any:
    try:
        code = read_code(text, RESOLVER)
    except Malformed:
        return None
    return code.gtin, code.serial, code.key_id, code.algorithm, code.proof


def the_services(text: str) -> Any:
    try:
        code = parse_code(text, RESOLVER)
    except MalformedCode:
        return None
    return code.gtin, code.serial, code.key_id, code.algorithm, code.proof


@settings(max_examples=50)
@given(data=st.data())
def test_the_two_agree_on_signatures(code_keys: Keys, key_set: KeySet, data: st.DataObject) -> None:
    key_id = data.draw(st.sampled_from([7, 8]))
    text = issue(code_keys[key_id])
    signature = data.draw(st.binary(min_size=64, max_size=64))
    forged = with_token(text, lambda raw: raw[:3] + signature)
    key: VerifyingKey = code_keys[key_id].verifying_key
    for candidate in (text, forged):
        theirs = key.verify(parse_code(candidate, RESOLVER))
        assert bool(verify_offline(candidate, key_set, RESOLVER)) is theirs


def with_token(text: str, change: Any) -> str:
    head, token = text.split("?91=")
    raw = change(base64.urlsafe_b64decode(token + "=="))
    return f"{head}?91={base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def status(text: str, key_set: KeySet, resolver: str = RESOLVER) -> OfflineStatus:
    return verify_offline(text, key_set, resolver).status


def test_the_high_one_of_two_signatures_is_false(code_keys: Keys, key_set: KeySet) -> None:
    def negated(raw: bytes) -> bytes:
        return raw[:35] + (N - int.from_bytes(raw[35:])).to_bytes(32)

    twin = with_token(issue(code_keys[7]), negated)
    assert status(twin, key_set) is OfflineStatus.FALSE
    public: Any = code_keys[7].verifying_key.public_key
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert status(with_token(twin, negated), key_set) is OfflineStatus.AUTHENTIC


@pytest.mark.parametrize(
    ("r", "s"), [(0, 1), (1, 0), (0, 0), (N, 1), (N + 1, 1), (1, N), (1, N // 2 + 1)]
)
def test_numbers_out_of_range_are_false(code_keys: Keys, key_set: KeySet, r: int, s: int) -> None:
    numbers = r.to_bytes(32) + s.to_bytes(32)
    text = with_token(issue(code_keys[7]), lambda raw: raw[:3] + numbers)
    assert status(text, key_set) is OfflineStatus.FALSE


def test_the_algorithm_is_the_keys_and_not_the_tokens(code_keys: Keys, key_set: KeySet) -> None:
    for key_id, header in ((7, b"\x12"), (8, b"\x11")):
        text = with_token(issue(code_keys[key_id]), lambda raw, h=header: h + raw[1:])
        assert status(text, key_set) is OfflineStatus.FALSE
    text = with_token(issue(code_keys[7]), lambda raw: b"\x13" + raw[1:])
    assert status(text, key_set) is OfflineStatus.MALFORMED


def test_what_cannot_be_called_authentic_says_why(code_keys: Keys, key_set: KeySet) -> None:
    assert status(issue(code_keys[9]), key_set) is OfflineStatus.KEY_REVOKED
    assert status(issue(code_keys[7]), KeySet([])) is OfflineStatus.UNKNOWN_KEY
    assert status(issue(code_keys[7]), key_set, "other.example") is OfflineStatus.MALFORMED
    revoked = verify_offline(issue(code_keys[9]), key_set, RESOLVER)
    assert revoked.detail == "revoked as of 2026-09-01T08:00:00.500000Z"
    compact = verify_offline(issue(code_keys[7], profile=Profile.COMPACT), key_set, RESOLVER)
    assert (compact.status, compact.gtin, compact.key_id) == (OfflineStatus.NOT_SIGNED, GTIN, 7)
    forged = with_token(issue(code_keys[9]), lambda raw: raw[:3] + bytes(64))
    assert status(forged, key_set) is OfflineStatus.FALSE, "false first: revoked says it was signed"


def test_only_authentic_is_true() -> None:
    assert [status for status in OfflineStatus if OfflineVerdict(status)] == ["AUTHENTIC"]


def test_a_resolver_is_no_pattern(code_keys: Keys, key_set: KeySet) -> None:
    text = issue(code_keys[7]).replace("t.example", "tXexample")
    assert status(text, key_set) is OfflineStatus.MALFORMED


# ---- key sets


def test_a_key_set_is_the_same_after_saving(key_set: KeySet, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("an older one")
    key_set.save(path)
    assert KeySet.load(path) == key_set
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]
    document = json.loads(path.read_text())
    assert document["format"] == "tracechain-keys/v1"
    assert document["fetch_time"] == "2026-09-15T00:00:00Z"
    last = document["keys"][-1]
    assert last["key_id"] == 9
    assert last["revoke_time"] == "2026-09-01T08:00:00.500000Z"
    assert set(last) == {"key_id", "issuer", "algorithm", "public_key", "revoke_time"}
    assert key_set.get(1) is None
    assert len(key_set) == 3


def test_a_file_that_is_none_is_refused(key_set: KeySet, tmp_path: Path) -> None:
    good = json.loads(key_set.to_json())
    keys = good["keys"]
    p384 = ec.derive_private_key(5, ec.SECP384R1()).public_key()
    other_curve = base64_der(p384)
    bad: list[Any] = [
        "", "{}", "[]", "1", "\xff", {**good, "format": "other"}, {**good, "keys": None},
        {**good, "keys": [*keys, {**keys[0], "issuer": "somebody else"}]},
        *(
            {**good, "keys": [{**keys[0], **change}]}
            for change in (
                {"algorithm": "ED25519"}, {"algorithm": "none"}, {"key_id": 65536},
                {"key_id": "7"}, {"public_key": "AAAA"}, {"public_key": "!"},
                {"public_key": other_curve}, {"revoke_time": "2026-09-01T08:00:00"},
                {"revoke_time": 5}, {"issuer": None},
            )
        ),
        {**good, "keys": [{k: v for k, v in keys[0].items() if k != "revoke_time"}]},
    ]  # fmt: skip
    for document in bad:
        path = tmp_path / "keys.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
        with pytest.raises(ValueError, match="no key file"):
            KeySet.load(path)


def base64_der(key: Any) -> str:
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


def test_keys_of_algorithms_to_come_are_left_out(issuer_keys: list[IssuerKey]) -> None:
    future = IssuerKey(key_id=10, algorithm=3, public_key=b"sm2")  # type: ignore[arg-type]
    found = KeySet.from_messages([*issuer_keys, future])
    assert [key.key_id for key in found] == [7, 8, 9]
    assert found.fetch_time is None


def test_two_keys_under_one_id_are_refused(issuer_keys: list[IssuerKey]) -> None:
    same = KeySet.from_messages([issuer_keys[0], issuer_keys[0]])
    assert len(same) == 1
    other = IssuerKey()
    other.CopyFrom(issuer_keys[2])
    other.key_id = 7
    with pytest.raises(ValueError, match="two keys"):
        KeySet.from_messages([issuer_keys[0], other])


def test_a_key_does_not_show_what_it_loaded(key_set: KeySet) -> None:
    key = key_set.get(7)
    assert isinstance(key, OfflineKey)
    assert "loaded" not in repr(key)
