"""Format-preserving encryption FF1 (NIST SP 800-38G, algorithms 7 and 8) over AES.

Promises a permutation: distinct positions in a batch give distinct serials, and only the holder
of the key goes back. `FF1` is the standard as written and is held to NIST's nine samples;
`Radix32Permutation` is the one case that serials need, 13 numerals of radix 32 with no tweak, in
the order of ten times faster, and tests hold it equal to `FF1`. Were the two to differ, or were
either no permutation, printed codes would stop resolving or two units would share one serial.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

_ROUNDS = 10
_MASK30 = (1 << 30) - 1
_MASK35 = (1 << 35) - 1


def _ecb(key: bytes) -> CipherContext:
    # ECB is the bare block cipher here: FF1 builds its own mode from single blocks.
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()


class FF1:
    """The general cipher: any radix up to 2**16, any tweak. Safe to share between threads."""

    def __init__(self, key: bytes, radix: int) -> None:
        if not 2 <= radix <= 1 << 16:
            raise ValueError("the radix of FF1 is 2 to 65536")
        algorithms.AES(key)  # refuses a key of the wrong length here, not at first use
        self._key = key
        self._radix = radix

    def encrypt(self, numerals: Sequence[int], tweak: bytes = b"") -> list[int]:
        """FF1.Encrypt (algorithm 7)."""
        u, v = self._halves(numerals)
        a, b = self._number(numerals[:u]), self._number(numerals[u:])
        prf = self._prf(u, v, tweak)
        for i in range(_ROUNDS):
            m = v if i % 2 else u
            a, b = b, (a + prf(i, b)) % self._radix**m
        return self._string(a, u) + self._string(b, v)

    def decrypt(self, numerals: Sequence[int], tweak: bytes = b"") -> list[int]:
        """FF1.Decrypt (algorithm 8)."""
        u, v = self._halves(numerals)
        a, b = self._number(numerals[:u]), self._number(numerals[u:])
        prf = self._prf(u, v, tweak)
        for i in reversed(range(_ROUNDS)):
            m = v if i % 2 else u
            a, b = (b - prf(i, a)) % self._radix**m, a
        return self._string(a, u) + self._string(b, v)

    def _halves(self, numerals: Sequence[int]) -> tuple[int, int]:
        n = len(numerals)
        if self._radix**n < 1_000_000:  # SP 800-38G revision 1: a smaller domain can be searched
            raise ValueError("the domain of FF1 has at least a million members")
        if not all(0 <= numeral < self._radix for numeral in numerals):
            raise ValueError("a numeral lies outside the radix")
        return n // 2, n - n // 2

    def _number(self, numerals: Sequence[int]) -> int:
        value = 0
        for numeral in numerals:
            value = value * self._radix + numeral
        return value

    def _string(self, value: int, length: int) -> list[int]:
        numerals = []
        for _ in range(length):
            value, numeral = divmod(value, self._radix)
            numerals.append(numeral)
        return numerals[::-1]

    def _prf(self, u: int, v: int, tweak: bytes) -> _RoundFunction:
        return _RoundFunction(self._key, self._radix, u, v, tweak)


class _RoundFunction:
    """Steps 3 to 6.v of algorithm 7: the round number and one half in, the number y out."""

    def __init__(self, key: bytes, radix: int, u: int, v: int, tweak: bytes) -> None:
        self._width = ((radix**v - 1).bit_length() + 7) // 8
        self._size = 4 * ((self._width + 3) // 4) + 4
        self._tweak = tweak + bytes((-len(tweak) - self._width - 1) % 16)
        self._aes = _ecb(key)
        self._p = self._aes.update(
            b"\x01\x02\x01"
            + radix.to_bytes(3)
            + b"\x0a"
            + (u % 256).to_bytes(1)
            + (u + v).to_bytes(4)
            + len(tweak).to_bytes(4)
        )

    def __call__(self, i: int, half: int) -> int:
        q = self._tweak + i.to_bytes(1) + half.to_bytes(self._width)
        mac = self._p
        for at in range(0, len(q), 16):
            mac = self._aes.update(_xor(mac, q[at : at + 16]))
        stream = mac
        for j in range(1, (self._size + 15) // 16):
            stream += self._aes.update(_xor(mac, j.to_bytes(16)))
        return int.from_bytes(stream[: self._size])


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


class _PerThread(threading.local):
    """One ECB context for each thread: a context may not be shared at the same moment."""

    def __init__(self, key: bytes) -> None:
        self.update = _ecb(key).update


class Radix32Permutation:
    """FF1 with radix 32, 13 numerals and the empty tweak, on the 65-bit number they spell.

    With these parameters a round is one AES block: P is constant, so AES(P) is computed once;
    Q is ten zero bytes, the round, and the half in five bytes; of the 12 bytes of S only the low
    35 or 30 bits survive the modulus, which is a power of two. Safe to share between threads.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        parameters = bytes((1, 2, 1, 0, 0, 32, 10, 6, 0, 0, 0, 13, 0, 0, 0, 0))
        self._p = int.from_bytes(_ecb(key).update(parameters))
        # Rounds come off in pairs, from the last: (block of the odd round, of the even one).
        self._pairs = tuple((self._p ^ i << 40, self._p ^ (i - 1) << 40) for i in range(9, 0, -2))
        self._thread = _PerThread(key)

    def encrypt_many(self, values: Sequence[int]) -> list[int]:
        """Every value encrypted, each round in one AES call over the whole sequence.

        All values live side by side in one big integer, 128 bits each, so that additions, masks
        and exclusive ors are single operations: no lane can carry into the next, as no half
        exceeds 36 bits. Memory is some 200 bytes a value; callers feed chunks of about 1000.
        """
        return self._many(values, range(_ROUNDS))

    def decrypt_many(self, values: Sequence[int]) -> list[int]:
        """The inverse of `encrypt_many`, in the same way."""
        return self._many(values, range(_ROUNDS - 1, -1, -1))

    def _many(self, values: Sequence[int], rounds: range) -> list[int]:
        n = len(values)
        if n == 0:
            return []
        if min(values) < 0 or max(values) >> 65:
            raise ValueError("a value has 65 bits")
        lanes = struct.Struct(">" + "8xQ" * n)
        size = 16 * n
        ones = int.from_bytes((bytes(15) + b"\x01") * n)
        p, numbers = ones * self._p, ones << 40
        masks = ones * _MASK30, ones * _MASK35
        # One above every half: what is taken from it borrows from no other lane.
        above = ones << 35
        a = int.from_bytes(lanes.pack(*[value >> 35 for value in values]))
        b = int.from_bytes(lanes.pack(*[value & _MASK35 for value in values]))
        update = _ecb(self._key).update
        for i in rounds:
            half = b if rounds.step > 0 else a
            y = int.from_bytes(update((p ^ i * numbers ^ half).to_bytes(size))) >> 32
            mask = masks[i & 1]
            if rounds.step > 0:
                a, b = b, a + (y & mask) & mask
            else:
                a, b = b + above - (y & mask) & mask, a
        high, low = lanes.unpack(a.to_bytes(size)), lanes.unpack(b.to_bytes(size))
        return [left << 35 | right for left, right in zip(high, low, strict=True)]

    def decrypt_one(self, value: int) -> int:
        """The inverse for one value."""
        if value < 0 or value >> 65:
            raise ValueError("a value has 65 bits")
        a, b = value >> 35, value & _MASK35
        update = self._thread.update
        number = int.from_bytes
        for odd, even in self._pairs:
            b -= number(update((odd ^ a).to_bytes(16, "big"))[4:12], "big") & _MASK35
            b &= _MASK35
            a -= number(update((even ^ b).to_bytes(16, "big"))[8:12], "big") & _MASK30
            a &= _MASK30
        return a << 35 | b
