"""Key-encryption keys: from a text, a file, a token of a real PKCS #11 library. All wrap alike."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.softhsm import PIN, Token
from tracechain.adapters.kek import Kek, LocalKek, kek_from_text
from tracechain.adapters.keys import Vault, vault_from
from tracechain.adapters.pkcs11_kek import make_in_token
from tracechain.domain.errors import DataCorrupted, TracechainError, Unavailable

SECRET = bytes(range(200))
TEXT = base64.b64encode(bytes(32)).decode()


@pytest.fixture(params=["local", "token"])
def kek(request: pytest.FixtureRequest) -> Kek:
    if request.param == "local":
        return kek_from_text(TEXT)
    return request.getfixturevalue("token_kek")


@pytest.fixture(scope="module")
def token_kek(token: Token) -> Kek:
    assert make_in_token(token.uri("kek-2026")) == "pkcs11-kek-2026"
    return kek_from_text(token.uri("kek-2026"))


def reason(call: Callable[[], object]) -> str:
    """Why a call is refused; it never tells the PIN."""
    with pytest.raises(TracechainError) as caught:
        call()
    assert PIN not in str(caught.value)
    return caught.value.reason


def test_what_is_wrapped_comes_back_under_its_own_context_alone(kek: Kek) -> None:
    wrapped = kek.wrap(SECRET, b"key 1")
    assert SECRET not in wrapped
    assert kek.unwrap(wrapped, b"key 1") == SECRET
    assert kek.wrap(SECRET, b"key 1") != wrapped, "a nonce of its own each time"
    with pytest.raises(DataCorrupted):
        kek.unwrap(wrapped, b"key 2")


@pytest.mark.parametrize("place", [0, 12, 100, -1])
def test_a_bit_that_is_turned_or_bytes_that_are_missing_are_noticed(kek: Kek, place: int) -> None:
    wrapped = bytearray(kek.wrap(SECRET, b"key 1"))
    cut = bytes(wrapped[: place % len(wrapped)])
    wrapped[place] ^= 1
    for damaged in (bytes(wrapped), cut):
        assert reason(lambda damaged=damaged: kek.unwrap(damaged, b"key 1")) == "KEY_UNREADABLE"


def test_the_same_key_has_the_same_name_and_can_be_made_again(kek: Kek) -> None:
    again = kek_from_text(kek.text)
    assert again.kek_id == kek.kek_id
    assert again.unwrap(kek.wrap(SECRET, b"c"), b"c") == SECRET


def test_the_key_in_the_token_does_not_come_out(token_kek: Kek, token: Token) -> None:
    import pkcs11
    from pkcs11 import Attribute

    key = token_kek._key  # type: ignore[attr-defined]
    assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
    with pytest.raises(pkcs11.PKCS11Error):
        key[Attribute.VALUE]


def test_two_keys_of_one_token_are_two(token_kek: Kek, token: Token) -> None:
    make_in_token(token.uri("kek-2027"))
    other = kek_from_text(token.uri("kek-2027"))
    assert other.kek_id != token_kek.kek_id
    assert reason(lambda: other.unwrap(token_kek.wrap(SECRET, b"c"), b"c")) == "KEY_UNREADABLE"
    assert reason(lambda: make_in_token(token.uri("kek-2027"))) == "KEK_INVALID"


def test_a_token_that_cannot_be_used_says_why(token_kek: Kek, token: Token, tmp_path: Path) -> None:
    exposed = tmp_path / "pin"
    exposed.write_text(PIN)
    exposed.chmod(0o644)
    cases = {
        token.uri("no such key"): "KEK_INVALID",
        token.uri("no-such-key"): "KEK_MISSING",
        token.uri("kek-2026", token="another"): "KEK_UNAVAILABLE",
        token.uri("kek-2026", module=str(tmp_path / "none.so")): "KEK_UNAVAILABLE",
        token.uri("kek-2026", pin=f"pin-source={tmp_path}/none"): "KEK_MISSING",
        token.uri("kek-2026", pin=f"pin-source={exposed}"): "KEK_EXPOSED",
        token.uri("kek-2026", pin=""): "KEK_INVALID",
        token.uri("kek-2026", pin=f"pin-source=x&pin-value={PIN}"): "KEK_INVALID",
        token.uri("kek-2026", pin=f"pin-value={PIN}&x=1"): "KEK_INVALID",
        "pkcs11:token=a;object=b;type=private?module-path=c&pin-value=1": "KEK_INVALID",
        "pkcs11:": "KEK_INVALID",
    }
    assert {uri: reason(lambda uri=uri: kek_from_text(uri)) for uri in cases} == cases


def test_the_pin_may_stand_in_the_uri(token_kek: Kek, token: Token) -> None:
    found = kek_from_text(token.uri("kek-2026", pin=f"pin-value={PIN}"))
    assert found.unwrap(token_kek.wrap(SECRET, b"c"), b"c") == SECRET


def test_a_file_is_named_in_the_text(tmp_path: Path) -> None:
    file = tmp_path / "kek"
    file.write_text(TEXT + "\n")
    file.chmod(0o600)
    assert kek_from_text(f"file:{file}").kek_id == kek_from_text(TEXT).kek_id
    file.chmod(0o640)
    assert reason(lambda: kek_from_text(f"file:{file}")) == "KEK_EXPOSED"
    assert reason(lambda: kek_from_text(f"file:{tmp_path}/none")) == "KEK_MISSING"
    for text in ("", "%", "AAAA", TEXT[:-4]):
        assert reason(lambda text=text: kek_from_text(text)) == "KEK_INVALID"


# --- the vault


OLD, NEW = LocalKek(b"o" * 32), LocalKek(b"n" * 32)


def test_a_vault_reads_what_names_a_key_that_it_has() -> None:
    wrapped = Vault(OLD).wrap(SECRET, b"c")
    for vault in (Vault(OLD), Vault(NEW, [OLD]), Vault(OLD, [NEW])):
        assert vault.unwrap(wrapped, b"c") == SECRET
        assert vault_from(vault.greeting()).unwrap(wrapped, b"c") == SECRET
        assert vault_from(vault.greeting()).kek_id == vault.kek_id
    with pytest.raises(DataCorrupted, match=OLD.kek_id):
        Vault(NEW).unwrap(wrapped, b"c")


def test_a_secret_is_wrapped_anew_once() -> None:
    during = Vault(NEW, [OLD])
    anew = during.rewrap(Vault(OLD).wrap(SECRET, b"c"), b"c")
    assert anew is not None
    assert during.rewrap(anew, b"c") is None
    assert Vault(NEW).unwrap(anew, b"c") == SECRET
    with pytest.raises(DataCorrupted):
        during.rewrap(Vault(OLD).wrap(SECRET, b"c"), b"another")


def test_what_names_no_key_is_from_before_and_is_read() -> None:
    wrapped = OLD.wrap(SECRET, b"c")
    assert Vault(NEW, [OLD]).unwrap(wrapped, b"c") == SECRET
    anew = Vault(NEW, [OLD]).rewrap(wrapped, b"c")
    assert anew is not None
    assert Vault(NEW).unwrap(anew, b"c") == SECRET
    with pytest.raises(DataCorrupted):
        Vault(NEW).unwrap(wrapped, b"c")


@pytest.mark.parametrize("text", [b"", b"T", b"TCW1", b"TCW1\xff", b"TCW1\x05local", b"x" * 400])
def test_what_is_no_wrapped_secret_is_refused(text: bytes) -> None:
    with pytest.raises(DataCorrupted) as caught:
        Vault(OLD).unwrap(text, b"c")
    assert caught.value.reason == "KEY_UNREADABLE"


def test_a_vault_of_a_token_takes_over_from_a_file(token_kek: Kek) -> None:
    wrapped = Vault(OLD).wrap(SECRET, b"c")
    anew = Vault(token_kek, [OLD]).rewrap(wrapped, b"c")
    assert anew is not None
    assert vault_from(Vault(token_kek).greeting()).unwrap(anew, b"c") == SECRET
    with pytest.raises(DataCorrupted):
        Vault(token_kek).unwrap(OLD.wrap(SECRET, b"c"), b"c")


def test_a_kek_of_another_length_is_none() -> None:
    for size in (0, 16, 31, 33):
        with pytest.raises(Unavailable):
            LocalKek(bytes(size))
