"""FF1 against NIST's samples; the fast serial permutation against FF1."""

from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.ff1 import FF1, Radix32Permutation

KEY = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94")
DIGITS = string.digits + string.ascii_lowercase
NO_TWEAK, TEN, ELEVEN = "", "39383736353433323130", "3737373770717273373737"
LETTERS = "0123456789abcdefghi"
values65 = st.integers(0, 2**65 - 1)


# NIST, FF1 samples 1 to 9 (csrc.nist.gov, "Examples with Intermediate Values").
@pytest.mark.parametrize(
    ("key_bytes", "radix", "tweak", "plain", "cipher"),
    [
        (16, 10, NO_TWEAK, "0123456789", "2433477484"),
        (16, 10, TEN, "0123456789", "6124200773"),
        (16, 36, ELEVEN, LETTERS, "a9tv40mll9kdu509eum"),
        (24, 10, NO_TWEAK, "0123456789", "2830668132"),
        (24, 10, TEN, "0123456789", "2496655549"),
        (24, 36, ELEVEN, LETTERS, "xbj3kv35jrawxv32ysr"),
        (32, 10, NO_TWEAK, "0123456789", "6657667009"),
        (32, 10, TEN, "0123456789", "1001623463"),
        (32, 36, ELEVEN, LETTERS, "xs8a0azh2avyalyzuwd"),
    ],
)
def test_nist_samples(key_bytes: int, radix: int, tweak: str, plain: str, cipher: str) -> None:
    ff1 = FF1(KEY[:key_bytes], radix)
    numerals = [DIGITS.index(c) for c in plain]
    encrypted = ff1.encrypt(numerals, bytes.fromhex(tweak))
    assert "".join(DIGITS[n] for n in encrypted) == cipher
    assert ff1.decrypt(encrypted, bytes.fromhex(tweak)) == numerals


@given(
    st.integers(2, 300).flatmap(
        lambda radix: st.tuples(
            st.just(radix), st.lists(st.integers(0, radix - 1), min_size=20, max_size=80)
        )
    ),
    st.binary(max_size=40),
)
def test_general_round_trip(case: tuple[int, list[int]], tweak: bytes) -> None:
    radix, numerals = case
    ff1 = FF1(KEY, radix)
    assert ff1.decrypt(ff1.encrypt(numerals, tweak), tweak) == numerals


def test_general_refuses() -> None:
    for radix in (1, 65537):
        with pytest.raises(ValueError, match="radix"):
            FF1(KEY, radix)
    with pytest.raises(ValueError, match="key size"):
        FF1(KEY[:5], 10)
    with pytest.raises(ValueError, match="million"):
        FF1(KEY, 10).encrypt([1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="outside"):
        FF1(KEY, 10).encrypt([10] * 10)


def numerals(value: int) -> list[int]:
    return [value >> shift & 31 for shift in range(60, -1, -5)]


@given(st.binary(min_size=32, max_size=32), st.lists(values65, min_size=1, max_size=8))
def test_fast_path_is_ff1(key: bytes, values: list[int]) -> None:
    general, fast = FF1(key, 32), Radix32Permutation(key)
    encrypted = fast.encrypt_many(values)
    assert [numerals(e) for e in encrypted] == [general.encrypt(numerals(v)) for v in values]
    assert [fast.decrypt_one(e) for e in encrypted] == values
    assert fast.decrypt_many(encrypted) == values
    assert fast.decrypt_many(values) == [fast.decrypt_one(v) for v in values]
    assert [numerals(fast.decrypt_one(v)) for v in values] == [
        general.decrypt(numerals(v)) for v in values
    ]


def test_fast_path_at_its_edges() -> None:
    fast = Radix32Permutation(KEY)
    edges = [0, 1, 2**30, 2**35 - 1, 2**35, 2**64, 2**65 - 1]
    assert [fast.decrypt_one(e) for e in fast.encrypt_many(edges)] == edges
    assert fast.decrypt_many(fast.encrypt_many(edges)) == edges
    assert fast.decrypt_many(edges) == [fast.decrypt_one(e) for e in edges]
    assert fast.encrypt_many([]) == fast.decrypt_many([]) == []
    chunk = list(range(5 << 32, (5 << 32) + 1000))
    together = fast.encrypt_many(chunk)
    assert len(set(together)) == 1000
    assert together == [fast.encrypt_many([value])[0] for value in chunk]
    for bad in (-1, 2**65):
        with pytest.raises(ValueError, match="65 bits"):
            fast.encrypt_many([0, bad])
        with pytest.raises(ValueError, match="65 bits"):
            fast.decrypt_many([0, bad])
        with pytest.raises(ValueError, match="65 bits"):
            fast.decrypt_one(bad)


def test_one_permutation_serves_many_threads() -> None:
    fast = Radix32Permutation(KEY)
    chunk = list(range(2000))
    encrypted = fast.encrypt_many(chunk)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fast.decrypt_one, encrypted)) == chunk
        assert all(e == encrypted for e in pool.map(fast.encrypt_many, [chunk] * 16))
