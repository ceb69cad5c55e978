"""Codes: one spelling, one issuer, no way to respell or to raise anything but MalformedCode."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from tracechain.app.working_key import WorkingKey
from tracechain.domain.code import (
    MAX_BATCH_NUMBER,
    MAX_BATCH_SIZE,
    Algorithm,
    CodeDefect,
    CodeKey,
    MalformedCode,
    Profile,
    ScannedCode,
    VerifyingKey,
    decode_serial,
    encode_serial,
    format_code,
    parse_code,
    signed_payload,
    verify_signature,
)
from tracechain.domain.code_run import CodeRun, make_codes
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.keys import IssuerKey

GTIN, RESOLVER = "09506000134352", "t.example"
WYCHEPROOF = Path(__file__).parents[1] / "data" / "wycheproof"
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def pkcs8(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


P256 = pkcs8(ec.derive_private_key(0x1234567, ec.SECP256R1()))
ED = pkcs8(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEYS = {
    Algorithm.ES256: CodeKey(7, Algorithm.ES256, P256, b"r" * 32),
    Algorithm.ED25519: CodeKey(0x1234, Algorithm.ED25519, ED, b"s" * 32),
}
ES256, ED25519 = KEYS[Algorithm.ES256], KEYS[Algorithm.ED25519]


def one(key: CodeKey, profile: Profile = Profile.SIGNED, batch: int = 5, index: int = 3) -> str:
    ((serial, token),) = key.issue(GTIN, batch, index, 1, profile)
    return format_code(RESOLVER, GTIN, serial, token)


def genuine(key: CodeKey, text: str) -> bool:
    try:
        code = parse_code(text, RESOLVER)
    except MalformedCode:
        return False
    if code.profile is Profile.COMPACT:
        return key.verify_compact(code)
    found = key.verifying_key.verify(code)
    # Nothing that these tests make up has another right signature than the one we make.
    assert key.would_issue(code) is found
    return found


CODES = [(ES256, one(ES256)), (ED25519, one(ED25519)), (ES256, one(ES256, Profile.COMPACT))]


def test_the_format_never_drifts() -> None:
    """Printed labels live for years: these texts may never change."""
    assert [text for _, text in CODES] == GOLDEN
    assert ES256.pin(GTIN, CODES[0][1][39:52]) == GOLDEN_PIN


GOLDEN: list[str] = [
    "https://t.example/01/09506000134352/21/65WTVET9T46E"
    "Z?91=EQAHScjDrqLagbKTLCIFmaiSSIntJLUkilOFtWwJ1ZVmdH4fpPxJbE0AycZtE6u7e2gZBsQOmfBYyatXmFnun33mXQ",
    "https://t.example/01/09506000134352/21/QGCQG1SXYT2D"
    "T?91=EhI0hu3MXtfWxsXVuBpErz9063_6D_PQM9QKyt-YAPDHG-LpS86PhCKYN-IAq7tsDlgV8gUtLzKndxbDLa3G9HoCAQ",
    "https://t.example/01/09506000134352/21/65WTVET9T46EZ?91=AAdU7-qNmXOmwudr",
]
GOLDEN_PIN = "V9YEKF7D"


@given(st.integers(0, 2**65 - 1))
def test_serial_round_trip(value: int) -> None:
    text = encode_serial(value)
    assert len(text) == 13
    assert decode_serial(text) == value


@given(st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZILOUabcxyz_+- ٣", min_size=12, max_size=14))
@example("ZZZZZZZZZZZZZ")
@example("+123456789012")
@example("1_34567890123")
def test_a_serial_has_one_spelling(text: str) -> None:
    try:
        value = decode_serial(text)
    except MalformedCode:
        assert len(text) != 13 or not set(text) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    else:
        assert encode_serial(value) == text


def test_encode_refuses_more_than_65_bits() -> None:
    for bad in (-1, 2**65):
        with pytest.raises(ValueError, match="65 bits"):
            encode_serial(bad)


@pytest.mark.parametrize("key", KEYS.values(), ids=str)
@pytest.mark.parametrize("profile", list(Profile))
def test_issued_codes_verify_and_find_their_position(key: CodeKey, profile: Profile) -> None:
    issued = key.issue(GTIN, 77, 1000, 40, profile)
    assert issued == key.issue(GTIN, 77, 1000, 40, profile)
    assert len({serial for serial, _ in issued}) == 40
    for index, (serial, token) in enumerate(issued, 1000):
        text = format_code(RESOLVER, GTIN, serial, token)
        code = parse_code(text, RESOLVER)
        assert genuine(key, text)
        assert (code.gtin, code.serial, code.key_id, code.profile) == (
            GTIN, serial, key.key_id, profile,
        )  # fmt: skip
        assert key.position(code.serial_value) == (77, index)
        assert len(token) == (90 if profile is Profile.SIGNED else 16)


def test_a_right_signature_that_we_would_not_make_is_right() -> None:
    """Who has the key may sign with another nonce, and any verifier takes it: so do we."""
    record = IssuerKey(7, "6901234000023", Algorithm.ES256, b"", b"", "", 0)
    working = WorkingKey(record, ES256, ES256.verifying_key)
    ours = parse_code(one(ES256), RESOLVER)
    private = ec.derive_private_key(0x1234567, ec.SECP256R1())
    der = private.sign(signed_payload(ours.gtin, ours.serial), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    other = replace(ours, proof=r.to_bytes(32) + min(s, N - s).to_bytes(32))
    false = replace(ours, proof=bytes(63) + b"\x01")
    assert ES256.would_issue(ours)
    assert not ES256.would_issue(other)
    for code in (replace(ours, key_id=8), replace(ours, profile=Profile.COMPACT),
                 replace(ours, algorithm=Algorithm.ED25519)):  # fmt: skip
        assert not ES256.would_issue(code)
    assert [working.position(code) for code in (ours, other, false)] == [(5, 3), (5, 3), None]
    assert working.positions([false, other, ours, false]) == [None, (5, 3), (5, 3), None]
    assert working.positions([]) == []


def test_issue_crosses_chunks_and_keeps_to_its_limits() -> None:
    codes = ES256.issue(GTIN, MAX_BATCH_NUMBER, MAX_BATCH_SIZE - 2100, 2100, Profile.COMPACT)
    positions = [ES256.position(decode_serial(serial)) for serial, _ in codes]
    assert positions == [(MAX_BATCH_NUMBER, MAX_BATCH_SIZE - 2100 + i) for i in range(2100)]
    assert ES256.issue(GTIN, 1, 0, 0, Profile.SIGNED) == []
    for batch, first, count in ((0, 0, 1), (MAX_BATCH_NUMBER + 1, 0, 1), (1, -1, 1),
                                (1, MAX_BATCH_SIZE, 1), (1, 0, -1)):  # fmt: skip
        with pytest.raises(ValueError, match="bits"):
            ES256.issue(GTIN, batch, first, count, Profile.COMPACT)
    for bad in ("9506000134352", "09506000134353"):
        with pytest.raises(InvalidArgument):
            ES256.issue(bad, 1, 0, 1, Profile.COMPACT)


characters = st.sampled_from(string.printable + "é０ſ\x00") | st.characters(codec="utf-8")


@given(st.sampled_from(CODES), st.integers(0, 200), characters, st.sampled_from("cid"))
def test_any_other_character_is_refused(
    case: tuple[CodeKey, str], at: int, character: str, how: str
) -> None:
    key, text = case
    at %= len(text) + (how == "i")
    changed = {
        "c": text[:at] + character + text[at + 1 :],
        "i": text[:at] + character + text[at:],
        "d": text[:at] + text[at + 1 :],
    }[how]
    assert genuine(key, changed) is (changed == text)


@pytest.mark.parametrize(("key", "text"), CODES)
def test_every_near_miss_of_the_token_is_refused(key: CodeKey, text: str) -> None:
    start = text.index("?91=") + 4
    for at in range(start, len(text)):
        for character in "Ag-_+/=.~":
            changed = text[:at] + character + text[at + 1 :]
            assert genuine(key, changed) is (changed == text)


prefixes = st.sampled_from(
    ["", "https://", "https://t.example/01/", f"https://t.example/01/{GTIN}/21/", CODES[0][1][:56]]
)


@given(st.builds("{}{}".format, prefixes, st.text() | st.text("AQgw-_019Zé=", max_size=100)))
def test_nothing_else_is_ever_raised(text: str) -> None:
    try:
        code = parse_code(text, RESOLVER)
    except MalformedCode:
        return
    assert text.startswith(f"https://t.example/01/{code.gtin}/21/{code.serial}?91=")


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ("https", "http", CodeDefect.SCHEME),
        ("t.example", "T.example", CodeDefect.UNKNOWN_RESOLVER),
        ("t.example", "t.example:443", CodeDefect.UNKNOWN_RESOLVER),
        ("t.example", "t.example.evil", CodeDefect.UNKNOWN_RESOLVER),
        ("t.example", "u@t.example", CodeDefect.UNKNOWN_RESOLVER),
        ("t.example", "t.example/stem", CodeDefect.STRUCTURE),
        (GTIN, GTIN[1:], CodeDefect.STRUCTURE),
        (GTIN, "0950600013435x", CodeDefect.GTIN),
        (GTIN, "٠9506000134352", CodeDefect.GTIN),
        (GTIN, "09506000134353", CodeDefect.GTIN_CHECK_DIGIT),
        (CODES[0][1][39:52], CODES[0][1][39:52].lower(), CodeDefect.SERIAL),
        ("?91=", "?92=", CodeDefect.STRUCTURE),
        ("?91=E", "?91=", CodeDefect.TOKEN),
        ("?91=E", "?91=+", CodeDefect.TOKEN),
        ("?91=E", "?91=I", CodeDefect.TOKEN_HEADER),
        ("?91=EQ", "?91=Ew", CodeDefect.TOKEN_HEADER),
    ],
)
def test_the_defect_is_named(old: str, new: str, detail: CodeDefect) -> None:
    with pytest.raises(MalformedCode) as caught:
        parse_code(CODES[0][1].replace(old, new, 1), RESOLVER)
    assert caught.value.detail is detail
    assert caught.value.reason == "MALFORMED_CODE"
    assert caught.value.violations[0].field == "code"


def test_the_token_does_not_choose_its_key_or_algorithm() -> None:
    code = parse_code(CODES[0][1], RESOLVER)
    right = ES256.verifying_key
    assert right.verify(code)
    other_id = VerifyingKey(8, Algorithm.ES256, right.public_key)
    assert not other_id.verify(code)
    claimed = ScannedCode(
        code.gtin, code.serial, code.serial_value, code.profile, 7, Algorithm.ED25519, code.proof
    )
    assert not right.verify(claimed)
    assert not ES256.verify_compact(code)
    compact = parse_code(CODES[2][1], RESOLVER)
    assert ES256.verify_compact(compact)
    assert not ES256.verifying_key.verify(compact)
    assert not CodeKey(7, Algorithm.ES256, P256, b"x" * 32).verify_compact(compact)
    assert not CodeKey(8, Algorithm.ES256, P256, b"r" * 32).verify_compact(compact)


def test_the_high_twin_of_a_signature_is_refused() -> None:
    code = parse_code(CODES[0][1], RESOLVER)
    twin = code.proof[:32] + (N - int.from_bytes(code.proof[32:])).to_bytes(32)
    swapped = ScannedCode(
        code.gtin, code.serial, code.serial_value, code.profile, 7, code.algorithm, twin
    )
    assert not ES256.verifying_key.verify(swapped)


def test_keys_are_checked_when_made() -> None:
    p384 = pkcs8(ec.generate_private_key(ec.SECP384R1()))
    for algorithm, der in (
        (Algorithm.ES256, ED),
        (Algorithm.ED25519, P256),
        (Algorithm.ES256, p384),
        (Algorithm.ES256, b"junk"),
    ):
        with pytest.raises(InvalidArgument):
            CodeKey(1, algorithm, der, b"r" * 32)
    with pytest.raises(InvalidArgument):
        CodeKey(1 << 16, Algorithm.ES256, P256, b"r" * 32)
    with pytest.raises(InvalidArgument):
        CodeKey(1, Algorithm.ES256, P256, b"short")
    with pytest.raises(InvalidArgument):
        VerifyingKey(1, Algorithm.ED25519, ES256.verifying_key.public_key)
    foreign = x25519.X25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    kind = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    for spki in (b"junk", b"", foreign.public_bytes(*kind)):
        with pytest.raises(InvalidArgument):
            VerifyingKey.from_der(1, Algorithm.ES256, spki)
    p256, ed = ES256.verifying_key.public_key, ED25519.verifying_key.public_key
    for algorithm, key in ((Algorithm.ES256, ed), (Algorithm.ED25519, p256)):
        assert not verify_signature(algorithm, key, b"", b"\x01" * 64)
    spki = ED25519.verifying_key.public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    made = VerifyingKey.from_der(0x1234, Algorithm.ED25519, spki)
    assert made.verify(parse_code(CODES[1][1], RESOLVER))
    assert "r" * 8 not in repr(ES256)


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("pins", [False, True])
def test_a_run_of_codes_is_what_is_printed(profile: Profile, pins: bool) -> None:
    made = make_codes(ES256, CodeRun(RESOLVER, GTIN, 5, 3, 4, profile, pins))
    assert made.first == 3
    assert made.uris == [one(ES256, profile, 5, n) for n in range(3, 7)]
    assert made.serials == [parse_code(uri, RESOLVER).serial for uri in made.uris]
    assert made.pins == ([ES256.pin(GTIN, serial) for serial in made.serials] if pins else [])
    assert make_codes(ES256, CodeRun(RESOLVER, GTIN, 5, 3, 0, profile, pins)).uris == []


def test_pin() -> None:
    pins = {ES256.pin(GTIN, encode_serial(n)) for n in range(200)}
    assert len(pins) == 200
    pin = next(p for p in sorted(pins) if "0" in p and "1" in p)
    serial = next(s for n in range(200) if ES256.pin(GTIN, s := encode_serial(n)) == pin)
    typed = f" {pin[:4].lower()}-{pin[4:]} "
    for text in (pin, typed, pin.replace("0", "O"), pin.replace("0", "o"), pin.replace("1", "I"),
                 pin.replace("1", "l")):  # fmt: skip
        assert ES256.check_pin(GTIN, serial, text)
    for text in ("", pin[:-1], pin + "0", pin[::-1], "批次", "\ud800", pin + " " * 90 + "x" * 9,
                 pin.replace("1", "ı")):  # fmt: skip
        assert not ES256.check_pin(GTIN, serial, text)
    assert not ES256.check_pin(GTIN, encode_serial(999), pin)
    assert not ED25519.check_pin(GTIN, serial, pin)


def vectors(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    data = json.loads((WYCHEPROOF / name).read_text())
    return [(group, test) for group in data["testGroups"] for test in group["tests"]]


def test_wycheproof_ecdsa_p256_raw() -> None:
    cases = vectors("ecdsa_secp256r1_sha256_p1363_test.json")
    assert len(cases) == 262
    high = 0
    for group, test in cases:
        key = serialization.load_der_public_key(bytes.fromhex(group["publicKeyDer"]))
        assert isinstance(key, ec.EllipticCurvePublicKey)
        signature = bytes.fromhex(test["sig"])
        low = int.from_bytes(signature[32:]) <= N // 2
        expected = test["result"] == "valid" and low
        high += test["result"] == "valid" and not low
        verdict = verify_signature(Algorithm.ES256, key, bytes.fromhex(test["msg"]), signature)
        assert verdict is expected, test["tcId"]
    assert high > 0  # the low-S rule did refuse signatures that plain ECDSA takes


def test_wycheproof_ed25519() -> None:
    cases = vectors("ed25519_test.json")
    assert cases
    for group, test in cases:
        raw = bytes.fromhex(group["publicKey"]["pk"])
        key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        verdict = verify_signature(
            Algorithm.ED25519, key, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
        )
        assert verdict is (test["result"] == "valid"), test["tcId"]


# --- one unit, one code

issued = st.builds(
    one,
    st.sampled_from([ES256, ED25519]),
    st.sampled_from(Profile),
    st.integers(1, MAX_BATCH_NUMBER),
    st.integers(0, MAX_BATCH_SIZE - 1),
)


@given(issued)
def test_a_code_is_the_one_spelling_of_what_it_says(text: str) -> None:
    """Made again from its parts it is the same text: there is nothing else in it."""
    code = parse_code(text, RESOLVER)
    key = next(key for key in KEYS.values() if key.key_id == code.key_id)
    assert code.serial == encode_serial(code.serial_value)
    batch, index = key.position(code.serial_value)
    assert one(key, code.profile, batch, index) == text
    assert genuine(key, text)


@given(issued, st.data())
def test_any_one_changed_character_is_refused(text: str, data: st.DataObject) -> None:
    """As malformed, as another key's, or as a false proof; by the keys of both algorithms."""
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(characters.filter(lambda c: c != text[at]))
    changed = text[:at] + other + text[at + 1 :]
    assert not any(genuine(key, changed) for key in KEYS.values())


@given(issued, issued)
def test_the_proof_of_one_unit_proves_no_other(text: str, other: str) -> None:
    name, token = other.partition("?91=")[0], text.partition("?91=")[2]
    swapped = f"{name}?91={token}"
    assert any(genuine(key, swapped) for key in KEYS.values()) is (swapped == text)


@pytest.mark.parametrize("key", KEYS.values(), ids=str)
@pytest.mark.parametrize("profile", list(Profile))
def test_every_single_change_in_the_alphabet_of_codes_is_refused(
    key: CodeKey, profile: Profile
) -> None:
    text = one(key, profile, 77, 1000)
    start = text.index("/21/")
    for at in range(start, len(text), 5 if profile is Profile.SIGNED else 1):
        for character in string.ascii_letters + string.digits + "-_":
            changed = text[:at] + character + text[at + 1 :]
            assert genuine(key, changed) is (changed == text)
