"""JSON read strictly: what is doubtful is refused with a reason, never guessed at."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from tracechain.domain.errors import InvalidArgument

MAX_DEPTH = 32
# Beyond this a float no longer holds every whole number.
_MAX_INTEGER = 1 << 53


def read_json(data: bytes) -> Any:
    """The value of a JSON text.

    Of a key that an object names twice the last counts, as in every common reader (RFC 8259
    section 4); one of GS1's own examples does that. Raises InvalidArgument: INVALID_UTF8,
    INVALID_JSON, JSON_TOO_DEEP, INVALID_NUMBER.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument.of("", "INVALID_UTF8", f"is no UTF-8 at byte {error.start}") from None
    return read_text(text, "")


def read_text(text: str, field: str, max_depth: int = MAX_DEPTH) -> Any:
    """The same for text that was decoded before; violations are at `field`."""
    _check_depth(text, field, max_depth)

    def constant(name: str) -> NoReturn:
        raise InvalidArgument.of(field, "INVALID_NUMBER", f"{name} is no JSON number")

    def whole(digits: str) -> int:
        if len(digits) > 17 or abs(int(digits)) > _MAX_INTEGER:
            raise InvalidArgument.of(
                field, "INVALID_NUMBER", "a number beyond 2^53 loses digits; send it as text"
            )
        return int(digits)

    def real(digits: str) -> float:
        number = float(digits)
        if number in (float("inf"), float("-inf")):
            raise InvalidArgument.of(field, "INVALID_NUMBER", f"{digits[:30]} is too large")
        return number

    try:
        return json.loads(
            text, parse_constant=constant, parse_int=whole, parse_float=real
        )  # fmt: skip
    except json.JSONDecodeError as error:
        raise InvalidArgument.of(
            field, "INVALID_JSON", f"line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except RecursionError:
        raise InvalidArgument.of(field, "JSON_TOO_DEEP", "is nested too deeply") from None


def _check_depth(text: str, field: str, max_depth: int) -> None:
    """Counts brackets outside of strings: no parser is let loose on a nesting bomb."""
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > max_depth:
                raise InvalidArgument.of(
                    field, "JSON_TOO_DEEP", f"is nested more than {max_depth} levels deep"
                )
        elif character in "]}":
            depth -= 1


def dump(value: Any) -> str:
    """Compact JSON text; Chinese as it is, unpaired surrogates escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text
