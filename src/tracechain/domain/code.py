"""The anti-counterfeit code: its one spelling, its serial, its proof, its PIN.

Promises that a code which parses and verifies was issued by the holder of that key for exactly
that GTIN and serial, and that no other text does: one canonical spelling, low-S signatures,
canonical base64url, the algorithm taken from the key and never from the code. It does not promise
that the label is the original one: a printed code can be copied. Were parsing lax, one unit would
have many names and its scan history would fall apart; were verification lax, anybody could issue.

`https://{resolver}/01/{gtin14}/21/{serial}?91={token}` (GS1 Digital Link, AI 01, 21, 91).
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tracechain.domain.errors import InvalidArgument, Violation
from tracechain.domain.ff1 import Radix32Permutation
from tracechain.domain.identifiers import gs1_check_digit, gtin14

SERIAL_LENGTH = 13
MAX_BATCH_NUMBER = (1 << 33) - 1
MAX_BATCH_SIZE = 1 << 32
PIN_LENGTH = 8

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_INVALID = ord("!")  # in neither alphabet, so that both decoders stop at it


def _mapping(source: str, target: str) -> bytes:
    table = bytearray([_INVALID]) * 256
    for character, meaning in zip(source, target, strict=True):
        table[ord(character)] = ord(meaning)
    return bytes(table)


_TO_BASE32 = _mapping(_ALPHABET, "0123456789ABCDEFGHIJKLMNOPQRSTUV")
_B64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FROM_URLSAFE = _mapping(_B64 + "-_", _B64 + "+/")
_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")

_CODE_TAG = b"tracechain/code/v1\x00"
_MAC_TAG = b"tracechain/compact/v1\x00"
_PIN_TAG = b"tracechain/pin/v1\x00"

_VERSION = 1
_SIGNED_BYTES, _SIGNED_CHARS = 67, 90
_MAC_BYTES, _COMPACT_CHARS = 10, 16
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_HALF_BYTES = (_P256_ORDER // 2).to_bytes(32)
_P256_ORDER_BYTES = _P256_ORDER.to_bytes(32)
_ZERO32 = bytes(32)
_ECDSA_SIGN = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_ECDSA_VERIFY = ec.ECDSA(hashes.SHA256())
_CHUNK = 1024  # bounds the memory of one vectorised pass

_PIN_TYPED_MAX = 64
_PIN_FORGIVEN = str.maketrans("abcdefghjkmnpqrstvwxyzOoIiLl", "ABCDEFGHJKMNPQRSTVWXYZ001111", " -")

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class Algorithm(StrEnum):
    """What signs a code. The low nibble of a token's first byte claims one; the key decides."""

    ES256 = "ES256"
    ED25519 = "ED25519"


_NIBBLE = {Algorithm.ES256: 1, Algorithm.ED25519: 2}  # 3 is kept for SM2 with SM3
_HEADER = {_VERSION << 4 | nibble: algorithm for algorithm, nibble in _NIBBLE.items()}


class Profile(StrEnum):
    """SIGNED is verified by anybody, COMPACT (for small labels) by the service only."""

    SIGNED = "SIGNED"
    COMPACT = "COMPACT"


class CodeDefect(StrEnum):
    """What is wrong with a malformed code, for logs and messages."""

    SCHEME = "SCHEME"
    UNKNOWN_RESOLVER = "UNKNOWN_RESOLVER"
    STRUCTURE = "STRUCTURE"
    GTIN = "GTIN"
    GTIN_CHECK_DIGIT = "GTIN_CHECK_DIGIT"
    SERIAL = "SERIAL"
    TOKEN = "TOKEN"
    TOKEN_HEADER = "TOKEN_HEADER"


_DESCRIPTIONS = {
    CodeDefect.SCHEME: "a code begins with https://",
    CodeDefect.UNKNOWN_RESOLVER: "the code is for another resolver",
    CodeDefect.STRUCTURE: "a code has the form /01/{gtin14}/21/{serial}?91={token}",
    CodeDefect.GTIN: "the GTIN has 14 digits",
    CodeDefect.GTIN_CHECK_DIGIT: "the check digit of the GTIN is wrong",
    CodeDefect.SERIAL: "a serial has 13 upper-case Crockford base32 characters",
    CodeDefect.TOKEN: "the token is no canonical base64url of a known length",
    CodeDefect.TOKEN_HEADER: "the token names an unknown version or algorithm",
}


class MalformedCode(InvalidArgument):
    """Not the canonical spelling of any code; `detail` says where it departs."""

    def __init__(self, detail: CodeDefect) -> None:
        super().__init__([Violation("code", "MALFORMED_CODE", _DESCRIPTIONS[detail])])
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ScannedCode:
    """A well-formed code. Nothing here is proved yet; `algorithm` is only the token's claim."""

    gtin: str
    serial: str
    serial_value: int
    profile: Profile
    key_id: int
    algorithm: Algorithm | None
    proof: bytes


def encode_serial(value: int) -> str:
    """65 bits as 13 characters of Crockford base32, upper case."""
    if value < 0 or value >> 65:
        raise ValueError("a serial has 65 bits")
    pairs = _PAIRS
    return (
        _ALPHABET[value >> 60]
        + pairs[value >> 50 & 1023]
        + pairs[value >> 40 & 1023]
        + pairs[value >> 30 & 1023]
        + pairs[value >> 20 & 1023]
        + pairs[value >> 10 & 1023]
        + pairs[value & 1023]
    )


def decode_serial(text: str) -> int:
    """The inverse; only the spelling that `encode_serial` gives."""
    if len(text) == SERIAL_LENGTH:
        try:
            return int(text.encode("ascii").translate(_TO_BASE32), 32)
        except ValueError:
            pass
    raise MalformedCode(CodeDefect.SERIAL)


def format_code(resolver: str, gtin: str, serial: str, token: str) -> str:
    """The one spelling of a code."""
    return f"https://{resolver}/01/{gtin}/21/{serial}?91={token}"


def code_length(resolver: str, profile: Profile) -> int:
    """How many characters each code of a profile has."""
    token = _SIGNED_CHARS if profile is Profile.SIGNED else _COMPACT_CHARS
    return len(format_code(resolver, "0" * 14, "0" * SERIAL_LENGTH, "A" * token))


def parse_code(text: str, resolver: str) -> ScannedCode:
    """The code spelled by `text`, or MalformedCode: no other exception, whatever the text."""
    prefix = f"https://{resolver}/01/"
    at = len(prefix)
    if (
        not text.startswith(prefix)
        or text[at + 14 : at + 18] != "/21/"
        or text[at + 31 : at + 35] != "?91="
    ):
        raise MalformedCode(_misspelling(text, resolver))
    gtin = text[at : at + 14]
    try:
        expected = gs1_check_digit(gtin[:13])
    except ValueError:
        raise MalformedCode(CodeDefect.GTIN) from None
    if gtin[13] != expected:
        digit = gtin[13] in "0123456789"
        raise MalformedCode(CodeDefect.GTIN_CHECK_DIGIT if digit else CodeDefect.GTIN)
    serial = text[at + 18 : at + 31]
    value = decode_serial(serial)
    characters = len(text) - at - 35
    # A final group of two characters carries four bits too many; they have one spelling, zero.
    if characters == _SIGNED_CHARS and text[-1] in "AQgw":
        raw = _token_bytes(text[at + 35 :], b"==")
        algorithm = _HEADER.get(raw[0])
        if algorithm is None:
            raise MalformedCode(CodeDefect.TOKEN_HEADER)
        key_id = raw[1] << 8 | raw[2]
        return ScannedCode(gtin, serial, value, Profile.SIGNED, key_id, algorithm, raw[3:])
    if characters == _COMPACT_CHARS:
        raw = _token_bytes(text[at + 35 :], b"")
        key_id = raw[0] << 8 | raw[1]
        return ScannedCode(gtin, serial, value, Profile.COMPACT, key_id, None, raw[2:])
    raise MalformedCode(CodeDefect.TOKEN)


def _token_bytes(token: str, padding: bytes) -> bytes:
    try:
        standard = token.encode("ascii").translate(_FROM_URLSAFE)
        return binascii.a2b_base64(standard + padding, strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError alike
        raise MalformedCode(CodeDefect.TOKEN) from None


def _misspelling(text: str, resolver: str) -> CodeDefect:
    if not text.startswith("https://"):
        return CodeDefect.SCHEME
    host = text[8:].split("/", 1)[0]
    return CodeDefect.STRUCTURE if host == resolver else CodeDefect.UNKNOWN_RESOLVER


def _token_text(raw: bytes) -> str:
    text = binascii.b2a_base64(raw, newline=False).translate(_TO_URLSAFE)
    return text.rstrip(b"=").decode("ascii")


def signed_payload(gtin: str, serial: str) -> bytes:
    """What the signature of a code covers: a domain tag, the GTIN, the serial."""
    return _tagged(_CODE_TAG, gtin, serial)


def verify_signature(
    algorithm: Algorithm, public_key: PublicKey, payload: bytes, raw_signature: bytes
) -> bool:
    """Whether `raw_signature` is the signature of `payload`: the one primitive for codes.

    ES256 is raw r||s (IEEE P1363) with 0 < r < n and 0 < s <= n/2: of the two signatures that
    the curve allows, the high one is refused, so that nobody can respell a code. Ed25519 is
    RFC 8032. A key of another kind than `algorithm` verifies nothing.
    """
    if len(raw_signature) != 64:
        return False
    try:
        if algorithm is Algorithm.ES256 and isinstance(public_key, ec.EllipticCurvePublicKey):
            r, s = raw_signature[:32], raw_signature[32:]
            if not _ZERO32 < r < _P256_ORDER_BYTES or not _ZERO32 < s <= _P256_HALF_BYTES:
                return False
            public_key.verify(_der(r, s), payload, _ECDSA_VERIFY)
            return True
        if algorithm is Algorithm.ED25519 and isinstance(public_key, ed25519.Ed25519PublicKey):
            public_key.verify(raw_signature, payload)
            return True
    except InvalidSignature:
        pass
    return False


def _der(r: bytes, s: bytes) -> bytes:
    """An ECDSA-Sig-Value (RFC 3279 section 2.2.3) of two positive 32-byte numbers."""
    first, second = _der_integer(r), _der_integer(s)
    return bytes((0x30, len(first) + len(second))) + first + second


def _der_integer(number: bytes) -> bytes:
    number = number.lstrip(b"\x00")
    if number[0] & 0x80:
        number = b"\x00" + number
    return bytes((0x02, len(number))) + number


def _raw_low_s(der: bytes) -> bytes:
    """r||s of a P-256 signature as the signer returned it, s brought into the lower half."""
    middle = 4 + der[3]
    r, s = der[4:middle][-32:], der[middle + 2 :][-32:].rjust(32, b"\x00")
    if s > _P256_HALF_BYTES:
        s = (_P256_ORDER - int.from_bytes(s)).to_bytes(32)
    return r.rjust(32, b"\x00") + s


def _require_fit(algorithm: Algorithm, key: object, es256: type, ed: type) -> None:
    wanted = es256 if algorithm is Algorithm.ES256 else ed
    curve = getattr(key, "curve", None)
    if not isinstance(key, wanted) or (curve is not None and curve.name != "secp256r1"):
        raise InvalidArgument.of("key", "INVALID_KEY", f"this is no key for {algorithm}")


def _require_key_id(key_id: int) -> None:
    if not 0 <= key_id <= 0xFFFF:
        raise InvalidArgument.of("key_id", "INVALID_KEY", "a key id has two bytes")


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """The public side of one key id: the algorithm is bound here, never read from a token."""

    key_id: int
    algorithm: Algorithm
    public_key: PublicKey

    def __post_init__(self) -> None:
        _require_key_id(self.key_id)
        _require_fit(
            self.algorithm, self.public_key, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey
        )

    @classmethod
    def from_der(cls, key_id: int, algorithm: Algorithm, spki: bytes) -> VerifyingKey:
        """From a SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7)."""
        try:
            key = serialization.load_der_public_key(spki)
        except Exception:  # the loader's own kinds are many; to a caller they are one
            raise InvalidArgument.of("key", "INVALID_KEY", "no public key in DER") from None
        if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
            raise InvalidArgument.of("key", "INVALID_KEY", f"this is no key for {algorithm}")
        return cls(key_id, algorithm, key)

    def verify(self, code: ScannedCode) -> bool:
        """Whether this key issued `code` (signed profile)."""
        return (
            code.key_id == self.key_id
            and code.profile is Profile.SIGNED
            and code.algorithm is self.algorithm
            and verify_signature(
                self.algorithm,
                self.public_key,
                signed_payload(code.gtin, code.serial),
                code.proof,
            )
        )


def _position(value: int) -> tuple[int, int]:
    return value >> 32, value & 0xFFFFFFFF


class CodeKey:
    """The secret side of one key id: it signs, places serials, and derives MACs and PINs.

    Serial, MAC and PIN keys come from `root_secret` by HKDF-SHA256 (RFC 5869) under labels of
    their own, so that losing one says nothing of the others. Safe to share between threads.
    """

    __slots__ = ("_mac_key", "_permutation", "_pin_key", "_private", "algorithm", "key_id")

    def __init__(
        self, key_id: int, algorithm: Algorithm, private_key_der: bytes, root_secret: bytes
    ) -> None:
        _require_key_id(key_id)
        if len(root_secret) != 32:
            raise InvalidArgument.of("root_secret", "INVALID_KEY", "a root secret has 32 bytes")
        try:
            private = serialization.load_der_private_key(private_key_der, None)
        except Exception:  # and whatever it was, its text may not carry key material
            raise InvalidArgument.of("key", "INVALID_KEY", "no PKCS #8 private key") from None
        _require_fit(algorithm, private, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
        assert isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
        self.key_id = key_id
        self.algorithm = algorithm
        self._private = private
        self._permutation = Radix32Permutation(_derive(root_secret, key_id, b"serial"))
        self._mac_key = _derive(root_secret, key_id, b"mac")
        self._pin_key = _derive(root_secret, key_id, b"pin")

    def __repr__(self) -> str:
        return f"CodeKey(key_id={self.key_id}, algorithm={self.algorithm})"

    @property
    def verifying_key(self) -> VerifyingKey:
        return VerifyingKey(self.key_id, self.algorithm, self._private.public_key())

    def issue(
        self, gtin: str, batch_number: int, first_index: int, count: int, profile: Profile
    ) -> list[tuple[str, str]]:
        """(serial, token) for `count` units of a batch from `first_index` on; deterministic."""
        if gtin14(gtin) != gtin:
            raise InvalidArgument.of("gtin", "INVALID_GTIN", "a code takes all 14 digits")
        if not 1 <= batch_number <= MAX_BATCH_NUMBER:
            raise ValueError("a batch number has 33 bits and is not zero")
        if first_index < 0 or count < 0 or first_index + count > MAX_BATCH_SIZE:
            raise ValueError("an index has 32 bits")
        prove = self._sign_all if profile is Profile.SIGNED else self._mac_all
        first = (batch_number << 32) + first_index
        codes: list[tuple[str, str]] = []
        for start in range(first, first + count, _CHUNK):
            chunk = range(start, min(start + _CHUNK, first + count))
            serials = [encode_serial(value) for value in self._permutation.encrypt_many(chunk)]
            codes += zip(serials, prove(gtin, serials), strict=True)
        return codes

    def _sign_all(self, gtin: str, serials: list[str]) -> list[str]:
        head = bytes((_VERSION << 4 | _NIBBLE[self.algorithm],)) + self.key_id.to_bytes(2)
        prefix = signed_payload(gtin, "")
        payloads = [prefix + serial.encode() for serial in serials]
        # Signing lets go of the interpreter lock. Nothing else may happen in between: with other
        # work in this loop two threads wait for each other at every code and gain nothing.
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            ed_sign = self._private.sign
            signatures = [ed_sign(payload) for payload in payloads]
        else:
            ec_sign = self._private.sign
            ders = [ec_sign(payload, _ECDSA_SIGN) for payload in payloads]
            signatures = [_raw_low_s(der) for der in ders]
        return [_token_text(head + signature) for signature in signatures]

    def _mac_all(self, gtin: str, serials: list[str]) -> list[str]:
        head = self.key_id.to_bytes(2)
        return [_token_text(head + self._mac(gtin, serial)) for serial in serials]

    def _mac(self, gtin: str, serial: str) -> bytes:
        return hmac.digest(self._mac_key, _tagged(_MAC_TAG, gtin, serial), "sha256")[:_MAC_BYTES]

    def would_issue(self, code: ScannedCode) -> bool:
        """Whether `code` (signed profile) is, to the bit, what this key makes; constant time in
        the proof. Signatures here are deterministic (RFC 6979, RFC 8032), and making one takes
        less than half of the time of checking it. False says nothing: an equation has more
        solutions than the one that we make, so who is told False asks `VerifyingKey.verify`."""
        if (
            code.key_id != self.key_id
            or code.profile is not Profile.SIGNED
            or code.algorithm is not self.algorithm
        ):
            return False
        return hmac.compare_digest(code.proof, self._sign(signed_payload(code.gtin, code.serial)))

    def _sign(self, payload: bytes) -> bytes:
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(payload)
        return _raw_low_s(self._private.sign(payload, _ECDSA_SIGN))

    def verify_compact(self, code: ScannedCode) -> bool:
        """Whether this key issued `code` (compact profile); constant time in the proof."""
        return (
            code.key_id == self.key_id
            and code.profile is Profile.COMPACT
            and hmac.compare_digest(code.proof, self._mac(code.gtin, code.serial))
        )

    def position(self, serial_value: int) -> tuple[int, int]:
        """(batch number, index) that a serial was made from.

        Every 65-bit value has a position: the caller checks that this batch is one of the GTIN's
        under this key and that the index lies below its issued quantity. Batch 0 is never issued.
        """
        return _position(self._permutation.decrypt_one(serial_value))

    def positions(self, serial_values: Sequence[int]) -> list[tuple[int, int]]:
        """`position` of each, all in one go, which takes a fraction of the time."""
        return [_position(value) for value in self._permutation.decrypt_many(serial_values)]

    def pin(self, gtin: str, serial: str) -> str:
        """The PIN under the scratch layer: 8 Crockford symbols, 40 bits, derived and not stored."""
        mac = hmac.digest(self._pin_key, _tagged(_PIN_TAG, gtin, serial), "sha256")
        value = int.from_bytes(mac[:5])
        return "".join(_PAIRS[value >> shift & 1023] for shift in (30, 20, 10, 0))

    def check_pin(self, gtin: str, serial: str, text: str) -> bool:
        """Whether a person typed the PIN of this unit; constant time in the PIN.

        Case, spaces, hyphens and Crockford's look-alikes (O for 0, I and L for 1) are forgiven.
        The caller limits the tries.
        """
        if len(text) > _PIN_TYPED_MAX:
            return False
        typed = text.translate(_PIN_FORGIVEN).encode("utf-8", "replace")
        return hmac.compare_digest(typed, self.pin(gtin, serial).encode())


def _tagged(tag: bytes, gtin: str, serial: str) -> bytes:
    return b"%b%b\x00%b" % (tag, gtin.encode("ascii"), serial.encode("ascii"))


def _derive(root_secret: bytes, key_id: int, label: bytes) -> bytes:
    info = b"tracechain/key/v1/" + label + b"\x00" + key_id.to_bytes(2)
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(root_secret)
