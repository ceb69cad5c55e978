"""GS1 keys, the unified social credit code, and the one spelling of every EPC.

Promises that text which passes is well formed (length, character set, check digit) and that two
spellings of one GS1 identity, EPC URN or Digital Link on any domain, come out as one canonical
URI. Event hashes, custody and recalls all compare these strings: were two spellings to survive,
a recalled unit would answer as another one; were two identities to share a spelling, one unit
would carry the other's history. What is not a GS1 identity is kept byte for byte.

Rules: GS1 General Specifications 3 and 7.9, Digital Link URI Syntax, Tag Data Standard 2.0
section 6, CBV 2.0 section 8.9 (the event hash), GB 32100-2015.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tracechain.domain.errors import InvalidArgument

_BASE = "https://id.gs1.org/"
_SGTIN_LINK = _BASE + "01/"
_SPECIAL_82 = "!\"%&'()*+,-./:;<=>?_"
_DIGITS = "0123456789"
_ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CSET_82 = frozenset(_ALNUM + _SPECIAL_82)
_CSET_39 = frozenset(_ALNUM[:36] + "#-/")
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_VALUE = {character: value for value, character in enumerate(_USCC_ALPHABET)}
_USCC_WEIGHTS = tuple(pow(3, i, 31) for i in range(17))
# Characters a URN must escape (TDS 2.0 table 6-1): spelled raw, the URN is not one.
_URN_RESERVED = frozenset('"&/<>?#')
# Digital Link URI Syntax table 7-1, plus what the URN escapes; the event hash does the same.
_DL_ENCODE = str.maketrans({c: f"%{ord(c):02X}" for c in '!"#%&()*+,/:<>?'})
_ESCAPE = re.compile(r"%(..?)?", re.DOTALL)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\x00-\x1f\x7f]+")
_GTIN_LENGTHS = frozenset((8, 12, 13, 14))


def _is_digits(text: str) -> bool:
    return text.isdigit() and text.isascii()


def _check_digit(digits: str) -> str:
    """The check digit of text already known to be ASCII digits."""
    raw = digits.encode()
    total = 2 * sum(raw[::-2]) + sum(raw) - (96 * ((len(raw) + 1) // 2) + 48 * len(raw))
    return _DIGITS[-total % 10]


def gs1_check_digit(digits: str) -> str:
    """The check digit that belongs after `digits` (GS1 General Specifications 7.9.1)."""
    if not _is_digits(digits):
        raise ValueError("a check digit is computed over ASCII digits only")
    return _check_digit(digits)


def _verify_check_digit(digits: str, field: str, reason: str) -> None:
    expected = _check_digit(digits[:-1])
    if digits[-1] != expected:
        raise InvalidArgument.of(
            field, reason, f"the check digit of {digits} is {digits[-1]}, it should be {expected}"
        )


def gtin14(text: str, field: str = "gtin") -> str:
    """A GTIN-8, -12, -13 or -14 as 14 digits (AI 01; GS1 General Specifications 3.3.2)."""
    if len(text) not in _GTIN_LENGTHS or not _is_digits(text):
        raise InvalidArgument.of(field, "INVALID_GTIN", "a GTIN has 8, 12, 13 or 14 digits")
    padded = text.rjust(14, "0")
    _verify_check_digit(padded, field, "INVALID_GTIN_CHECK_DIGIT")
    return padded


def gln(text: str, field: str = "gln") -> str:
    """A global location number, 13 digits (AI 410-417)."""
    if len(text) != 13 or not _is_digits(text):
        raise InvalidArgument.of(field, "INVALID_GLN", "a GLN has 13 digits")
    _verify_check_digit(text, field, "INVALID_GLN_CHECK_DIGIT")
    return text


def sscc(text: str, field: str = "sscc") -> str:
    """A serial shipping container code, 18 digits (AI 00)."""
    if len(text) != 18 or not _is_digits(text):
        raise InvalidArgument.of(field, "INVALID_SSCC", "an SSCC has 18 digits")
    _verify_check_digit(text, field, "INVALID_SSCC_CHECK_DIGIT")
    return text


def uscc(text: str, field: str = "uscc") -> str:
    """A unified social credit code, 18 characters with check character (GB 32100-2015)."""
    values = [_USCC_VALUE.get(character, -1) for character in text]
    if len(text) != 18 or -1 in values or not _is_digits(text[2:8]):
        raise InvalidArgument.of(
            field,
            "INVALID_USCC",
            "a unified social credit code has 18 characters of 0-9 and A-Z without I, O, S, V, Z,"
            " the third to the eighth being digits",
        )
    total = sum(w * v for w, v in zip(_USCC_WEIGHTS, values[:17], strict=True))
    expected = _USCC_ALPHABET[-total % 31]
    if text[17] != expected:
        raise InvalidArgument.of(
            field,
            "INVALID_USCC_CHECK_CHARACTER",
            f"the check character of {text} is {text[17]}, it should be {expected}",
        )
    return text


def lot(text: str, field: str = "lot") -> str:
    """A batch or lot number: 1 to 20 characters of set 82 (AI 10)."""
    if not 0 < len(text) <= 20 or not _CSET_82.issuperset(text):
        raise InvalidArgument.of(
            field, "INVALID_LOT", "a lot has 1 to 20 characters of GS1 character set 82"
        )
    return text


def serial(text: str, field: str = "serial") -> str:
    """A serial number: 1 to 20 characters of set 82 (AI 21)."""
    if not 0 < len(text) <= 20 or not _CSET_82.issuperset(text):
        raise InvalidArgument.of(
            field, "INVALID_SERIAL", "a serial has 1 to 20 characters of GS1 character set 82"
        )
    return text


class EpcKind(StrEnum):
    """What an EPC names. GTIN is a class of goods, LGTIN a lot; OTHER is no GS1 identity."""

    SGTIN = "SGTIN"
    LGTIN = "LGTIN"
    GTIN = "GTIN"
    SSCC = "SSCC"
    SGLN = "SGLN"
    PGLN = "PGLN"
    GRAI = "GRAI"
    GIAI = "GIAI"
    GSRN = "GSRN"
    GSRNP = "GSRNP"
    GDTI = "GDTI"
    GCN = "GCN"
    CPI = "CPI"
    ITIP = "ITIP"
    UPUI = "UPUI"
    GINC = "GINC"
    GSIN = "GSIN"
    BIC = "BIC"
    ADI = "ADI"
    USDOD = "USDOD"
    IMOVN = "IMOVN"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Epc:
    """One identity; `uri` is its canonical spelling, and equal `uri` means equal `Epc`.

    `gtin` is set for SGTIN, LGTIN, GTIN, ITIP and UPUI; `lot` for a lot; `serial` for whatever
    has a serial part (GRAI, GDTI, GCN, CPI too: without it they name a class), decoded. The lot
    that a Digital Link gives beside a serial is no part of the identity and is dropped.
    """

    kind: EpcKind
    uri: str
    gtin: str | None = None
    lot: str | None = None
    serial: str | None = None


def _unescape(match: re.Match[str]) -> str:
    code = match[1] or ""
    if len(code) != 2 or not code.isalnum() or not code.isascii():
        raise ValueError("bad percent-encoding")
    return chr(int(code, 16))


def _decode(text: str, limit: int, cset: frozenset[str] = _CSET_82, *, urn: bool = True) -> str:
    """`text` percent-decoded, within `limit` and `cset`; ValueError otherwise."""
    if not (text.isalnum() and text.isascii() and cset is _CSET_82):
        if urn and not _URN_RESERVED.isdisjoint(text):
            raise ValueError("unescaped reserved character")
        if "%" in text:
            text = _ESCAPE.sub(_unescape, text)
        if not cset.issuperset(text):
            raise ValueError("character outside the GS1 set")
    if not 0 < len(text) <= limit:
        raise ValueError("wrong length")
    return text


def _encode(text: str) -> str:
    return text if text.isalnum() else text.translate(_DL_ENCODE)


def _joined(prefix: str, reference: str, length: int) -> str:
    """Company prefix and reference as one run of digits, without its check digit."""
    digits = prefix + reference
    if len(digits) != length or not 6 <= len(prefix) <= 12 or not _is_digits(digits):
        raise ValueError("wrong number of digits")
    return digits


@lru_cache(maxsize=4096)  # a capture names few products and many serials
def _joined_gtin(prefix: str, reference: str) -> str:
    digits = reference[:1] + prefix + reference[1:]
    if len(digits) != 13 or not 6 <= len(prefix) <= 12 or not _is_digits(digits):
        raise ValueError("wrong number of digits")
    return digits + _check_digit(digits)


# --- EPC URNs (TDS 2.0 section 6.3). Each takes what follows the scheme; ValueError: malformed. ---


def _urn_sgtin(body: str) -> Epc:
    prefix, reference, escaped = body.split(".", 2)
    gtin = _joined_gtin(prefix, reference)
    value = _decode(escaped, 20)
    return Epc(EpcKind.SGTIN, f"{_BASE}01/{gtin}/21/{_encode(value)}", gtin, None, value)


def _urn_lgtin(body: str) -> Epc:
    prefix, reference, escaped = body.split(".", 2)
    gtin = _joined_gtin(prefix, reference)
    value = _decode(escaped, 20)
    return Epc(EpcKind.LGTIN, f"{_BASE}01/{gtin}/10/{_encode(value)}", gtin, value)


def _urn_upui(body: str) -> Epc:
    prefix, reference, escaped = body.split(".", 2)
    gtin = _joined_gtin(prefix, reference)
    value = _decode(escaped, 28)
    return Epc(EpcKind.UPUI, f"{_BASE}01/{gtin}/235/{_encode(value)}", gtin, None, value)


def _urn_itip(body: str) -> Epc:
    prefix, reference, piece, total, escaped = body.split(".", 4)
    gtin = _joined_gtin(prefix, reference)
    if len(piece) != 2 or len(total) != 2 or not _is_digits(piece + total):
        raise ValueError("piece and total have two digits each")
    key = f"{_BASE}8006/{gtin}{piece}{total}"
    value = _decode(escaped, 20)
    return Epc(EpcKind.ITIP, f"{key}/21/{_encode(value)}", gtin, None, value)


def _urn_sscc(body: str) -> Epc:
    prefix, reference = body.split(".")
    _joined(prefix, reference, 17)
    digits = reference[0] + prefix + reference[1:]
    return Epc(EpcKind.SSCC, f"{_BASE}00/{digits}{_check_digit(digits)}")


def _urn_sgln(body: str) -> Epc:
    prefix, reference, escaped = body.split(".", 2)
    digits = _joined(prefix, reference, 12)
    return _sgln(digits + _check_digit(digits), _decode(escaped, 20))


def _sgln(number: str, extension: str | None) -> Epc:
    uri = f"{_BASE}414/{number}"
    if extension is None or extension == "0":
        return Epc(EpcKind.SGLN, uri)
    return Epc(EpcKind.SGLN, f"{uri}/254/{_encode(extension)}", serial=extension)


def _urn_digits(kind: EpcKind, ai: str, length: int) -> Callable[[str], Epc]:
    def parse(body: str) -> Epc:
        prefix, reference = body.split(".")
        digits = _joined(prefix, reference, length)
        return Epc(kind, f"{_BASE}{ai}/{digits}{_check_digit(digits)}")

    return parse


def _urn_asset(kind: EpcKind, ai: str) -> Callable[[str], Epc]:
    def parse(body: str) -> Epc:
        prefix, reference = body.split(".", 1)
        _joined(prefix, "", len(prefix))
        value = prefix + _decode(reference, 30 - len(prefix))
        return Epc(kind, f"{_BASE}{ai}/{_encode(value)}")

    return parse


def _urn_appended(kind: EpcKind, ai: str, zero: str, limit: int) -> Callable[[str], Epc]:
    def parse(body: str) -> Epc:
        prefix, reference, escaped = body.split(".", 2)
        digits = _joined(prefix, reference, 12)
        value = _decode(escaped, limit)
        return _appended(kind, f"{_BASE}{ai}/{zero}{digits}{_check_digit(digits)}", value)

    return parse


def _appended(kind: EpcKind, key: str, value: str | None) -> Epc:
    if value is None:
        return Epc(kind, key)
    if kind is EpcKind.GCN and not _is_digits(value):
        raise ValueError("the serial of a coupon is numeric")
    return Epc(kind, key + _encode(value), serial=value)


def _urn_cpi(body: str) -> Epc:
    prefix, rest = body.split(".", 1)
    reference, number = rest.rsplit(".", 1)
    return _cpi(prefix, _decode(reference, 30 - len(prefix), _CSET_39), number)


def _cpi(prefix: str, reference: str, number: str | None) -> Epc:
    _joined(prefix, "", len(prefix))
    uri = f"{_BASE}8010/{prefix}{_encode(reference)}"
    if number is None:
        return Epc(EpcKind.CPI, uri)
    if not 0 < len(number) <= 12 or not _is_digits(number):
        raise ValueError("the serial of a part has 1 to 12 digits")
    return Epc(EpcKind.CPI, f"{uri}/8011/{number}", serial=number)


def _pattern(kind: EpcKind, parts: int, parse: Callable[[str], Epc]) -> Callable[[str], Epc]:
    """An ID pattern with a wildcard serial: the class (CBV 2.0 section 8.9, idpat)."""

    def pattern(body: str) -> Epc:
        pieces = body.split(".")
        if len(pieces) != parts or pieces[-1] != "*" or "*" in pieces[:-1]:
            raise ValueError("only the serial may be a wildcard")
        one = parse(f"{body[:-1]}1")
        uri = one.uri[:-1]
        for qualifier in ("/21/", "/235/", "/8011/"):
            uri = uri.removesuffix(qualifier)
        return Epc(kind, uri, one.gtin)

    return pattern


_grai = _urn_appended(EpcKind.GRAI, "8003", "0", 16)
_gdti = _urn_appended(EpcKind.GDTI, "253", "", 17)
_sgcn = _urn_appended(EpcKind.GCN, "255", "", 12)
_URNS: Mapping[str, Mapping[str, Callable[[str], Epc]]] = {
    "id": {
        "sgtin": _urn_sgtin,
        "upui": _urn_upui,
        "itip": _urn_itip,
        "sscc": _urn_sscc,
        "sgln": _urn_sgln,
        "pgln": _urn_digits(EpcKind.PGLN, "417", 12),
        "gsrn": _urn_digits(EpcKind.GSRN, "8018", 17),
        "gsrnp": _urn_digits(EpcKind.GSRNP, "8017", 17),
        "gsin": _urn_digits(EpcKind.GSIN, "402", 16),
        "giai": _urn_asset(EpcKind.GIAI, "8004"),
        "ginc": _urn_asset(EpcKind.GINC, "401"),
        "grai": _grai,
        "gdti": _gdti,
        "sgcn": _sgcn,
        "cpi": _urn_cpi,
    },
    "class": {"lgtin": _urn_lgtin},
    "idpat": {
        "sgtin": _pattern(EpcKind.GTIN, 3, _urn_sgtin),
        "upui": _pattern(EpcKind.GTIN, 3, _urn_upui),
        "itip": _pattern(EpcKind.ITIP, 5, _urn_itip),
        "grai": _pattern(EpcKind.GRAI, 3, _grai),
        "gdti": _pattern(EpcKind.GDTI, 3, _gdti),
        "sgcn": _pattern(EpcKind.GCN, 3, _sgcn),
        "cpi": _pattern(EpcKind.CPI, 3, _urn_cpi),
    },
}
# Pure identities with no Digital Link: the URN is their canonical spelling.
_URN_ONLY = {kind.value.lower(): kind for kind in EpcKind if kind.name in
             ("BIC", "ADI", "USDOD", "IMOVN")}  # fmt: skip

# --- Digital Links. Each takes the key's value and its decoded qualifiers, checked for order. ---

_Qualifiers = Mapping[str, str]


def _sized(text: str, length: int) -> str:
    if len(text) != length or not _is_digits(text):
        raise ValueError("wrong number of digits")
    return text


def _link_gtin(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
    if len(value) not in _GTIN_LENGTHS or not _is_digits(value):
        raise ValueError("no GTIN")
    gtin = gtin14(value, field)
    key = f"{_BASE}01/{gtin}"
    if (number := qualifiers.get("21")) is not None:
        return Epc(EpcKind.SGTIN, f"{key}/21/{_encode(number)}", gtin, None, number)
    if (tpx := qualifiers.get("235")) is not None:
        return Epc(EpcKind.UPUI, f"{key}/235/{_encode(tpx)}", gtin, None, tpx)
    if (batch := qualifiers.get("10")) is not None:
        return Epc(EpcKind.LGTIN, f"{key}/10/{_encode(batch)}", gtin, batch)
    return Epc(EpcKind.GTIN, key, gtin)


def _link_itip(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
    _sized(value, 18)
    gtin = gtin14(value[:14], field)
    key = f"{_BASE}8006/{value}"
    if (number := qualifiers.get("21")) is not None:
        return Epc(EpcKind.ITIP, f"{key}/21/{_encode(number)}", gtin, None, number)
    if (batch := qualifiers.get("10")) is not None:
        return Epc(EpcKind.ITIP, f"{key}/10/{_encode(batch)}", gtin, batch)
    return Epc(EpcKind.ITIP, key, gtin)


def _link_sscc(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
    return Epc(EpcKind.SSCC, f"{_BASE}00/{sscc(_sized(value, 18), field)}")


def _link_sgln(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
    return _sgln(gln(_sized(value, 13), field), qualifiers.get("254"))


def _link_pgln(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
    return Epc(EpcKind.PGLN, f"{_BASE}417/{gln(_sized(value, 13), field)}")


def _link_digits(kind: EpcKind, ai: str, length: int) -> Callable[[str, _Qualifiers, str], Epc]:
    def parse(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
        _verify_check_digit(_sized(value, length), field, "INVALID_EPC")
        return Epc(kind, f"{_BASE}{ai}/{value}")

    return parse


def _link_asset(kind: EpcKind, ai: str) -> Callable[[str, _Qualifiers, str], Epc]:
    def parse(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
        decoded = _decode(value, 30, urn=False)
        _sized(decoded[:4], 4)  # a company prefix comes first: /401/denied is a plain page
        return Epc(kind, f"{_BASE}{ai}/{_encode(decoded)}")

    return parse


def _link_appended(
    kind: EpcKind, ai: str, length: int, limit: int
) -> Callable[[str, _Qualifiers, str], Epc]:
    def parse(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
        key, rest = _sized(value[:length], length), value[length:]
        if length == 14 and key[0] != "0":
            raise ValueError("a GRAI opens with a zero")
        number = _decode(rest, limit, urn=False) if rest else None
        epc = _appended(kind, f"{_BASE}{ai}/{key}", number)
        _verify_check_digit(key, field, "INVALID_EPC")
        return epc

    return parse


def _link_cpi(value: str, qualifiers: _Qualifiers, field: str) -> Epc:
    decoded = _decode(value, 30, _CSET_39, urn=False)
    _sized(decoded[:6], 6)
    return _cpi(decoded[:6], decoded[6:], qualifiers.get("8011"))


_LINKS: Mapping[str, tuple[Callable[[str, _Qualifiers, str], Epc], tuple[tuple[str, ...], ...]]] = {
    "01": (_link_gtin, (("22", "10", "21"), ("235",))),
    "00": (_link_sscc, ()),
    "414": (_link_sgln, (("254",), ("7040",))),
    "417": (_link_pgln, (("7040",),)),
    "253": (_link_appended(EpcKind.GDTI, "253", 13, 17), ()),
    "255": (_link_appended(EpcKind.GCN, "255", 13, 12), ()),
    "8003": (_link_appended(EpcKind.GRAI, "8003", 14, 16), ()),
    "8004": (_link_asset(EpcKind.GIAI, "8004"), (("7040",),)),
    "401": (_link_asset(EpcKind.GINC, "401"), ()),
    "402": (_link_digits(EpcKind.GSIN, "402", 17), ()),
    "8017": (_link_digits(EpcKind.GSRNP, "8017", 18), (("8019",),)),
    "8018": (_link_digits(EpcKind.GSRN, "8018", 18), (("8019",),)),
    "8006": (_link_itip, (("22", "10", "21"),)),
    "8010": (_link_cpi, (("8011",),)),
}
_QUALIFIER_LIMITS = {"22": 20, "10": 20, "21": 20, "235": 28, "254": 20, "7040": 4,
                     "8011": 12, "8019": 10}  # fmt: skip


def _digital_link(uri: str, field: str) -> Epc:
    """The identity of a Digital Link on any domain and stem; ValueError: it is none."""
    segments = uri[uri.index("://") + 3 :].split("?", 1)[0].split("#", 1)[0].split("/")
    at = len(segments) - 2
    # Read pairs from the right, so that a stem of any shape is left over on the left.
    while at > 0 and segments[at] in _QUALIFIER_LIMITS:
        at -= 2
    if at <= 0 or not segments[0] or segments[at] not in _LINKS:
        raise ValueError("no GS1 key")
    parse, sequences = _LINKS[segments[at]]
    names = segments[at + 2 :: 2]
    if names and not any(_in_order(names, sequence) for sequence in sequences):
        raise ValueError("qualifiers that do not belong to this key")
    qualifiers = {
        name: _decode(value, _QUALIFIER_LIMITS[name], urn=False)
        for name, value in zip(names, segments[at + 3 :: 2], strict=True)
    }
    return parse(segments[at + 1], qualifiers, field)


def _in_order(names: list[str], sequence: tuple[str, ...]) -> bool:
    rest = iter(sequence)
    return all(name in rest for name in names)


def parse_epc(uri: str, field: str = "epc") -> Epc:
    """The identity that `uri` names, in the canonical form of CBV 2.0 section 8.9.

    InvalidArgument: INVALID_EPC if this is no absolute URI, or an EPC URN that breaks its own
    syntax; a reason of the key (INVALID_GTIN_CHECK_DIGIT ...) if a Digital Link is well formed
    but for its check digit. A link that is a GS1 one only at first sight is OTHER.
    """
    try:
        return _known(uri)
    except InvalidArgument:
        return _parse(uri, field)  # the same error, at the caller's field


# An event names the same few places and things again and again, and each step parses them.
@lru_cache(maxsize=16_384)
def _known(uri: str) -> Epc:
    return _parse(uri, "epc")


def _parse(uri: str, field: str) -> Epc:
    if uri.startswith(_SGTIN_LINK) and uri[36:40] == "/21/":
        number = uri[40:]  # what a capture is full of, already canonical
        if number.isalnum() and number.isascii() and len(number) <= 20 and _is_digits(uri[22:36]):
            return Epc(EpcKind.SGTIN, uri, gtin14(uri[22:36], field), None, number)
    if uri[:8].lower() == "urn:epc:":
        try:
            if uri.startswith("urn:epc:id:sgtin:"):
                return _urn_sgtin(uri[17:])
            _, _, group, scheme, body = uri.split(":", 4)
            known = _URNS.get(group)
            if known is not None and (parse := known.get(scheme)) is not None:
                return parse(body)
        except ValueError as error:
            raise InvalidArgument.of(field, "INVALID_EPC", f"malformed EPC URN: {error}") from None
        kind = _URN_ONLY.get(scheme, EpcKind.OTHER) if group == "id" else EpcKind.OTHER
        return Epc(kind, _absolute(uri, field))
    if uri[:8].lower() == "https://" or uri[:7].lower() == "http://":
        try:
            return _digital_link(uri, field)
        except ValueError:
            pass
    return Epc(EpcKind.OTHER, _absolute(uri, field))


def _absolute(uri: str, field: str) -> str:
    if _ABSOLUTE.fullmatch(uri) is None:
        raise InvalidArgument.of(field, "INVALID_EPC", "an EPC is an absolute URI")
    return uri


def canonical_uri(uri: str) -> str:
    """`parse_epc(uri).uri`, or `uri` itself where that would raise."""
    try:
        return parse_epc(uri).uri
    except InvalidArgument:
        return uri
