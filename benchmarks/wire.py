"""As much of HTTP/2 (RFC 9113) and HPACK (RFC 7541) as a unary gRPC client needs, as bytes.

A call's headers are sent once in full on each connection and are one byte each from then on, as
real clients do it. Answers are not decoded here; of a refusal the details are read, since a
measurement under overload stands or falls with what the refused were told. Loopback only.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.rpc import error_details_pb2, status_pb2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
REFUSED_STREAM = 7
HUGE = (1 << 31) - 1
FIRST_WINDOW = 65_535
FRAME_BYTES = 16_384
_MAX_STREAMS, _INITIAL_WINDOW, _TRUE_BINARY = 3, 4, 0xFE03
_DETAILS = b"grpc-status-details-bin"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def hello() -> bytes:
    """What a client says first: windows that are never full, and details of errors unencoded."""
    settings = b"".join(
        key.to_bytes(2, "big") + value.to_bytes(4, "big")
        for key, value in ((_INITIAL_WINDOW, HUGE), (_TRUE_BINARY, 1))
    )
    window = (HUGE - FIRST_WINDOW).to_bytes(4, "big")
    return PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW, 0, 0, window)


def server_settings(payload: bytes) -> tuple[int | None, int | None]:
    """The streams that the server takes at once, and the window of each; None where not told."""
    told = {
        int.from_bytes(payload[i : i + 2], "big"): int.from_bytes(payload[i + 2 : i + 6], "big")
        for i in range(0, len(payload), 6)
    }
    return told.get(_MAX_STREAMS), told.get(_INITIAL_WINDOW)


def header_blocks(path: str, metadata: Sequence[tuple[str, str]] = ()) -> tuple[bytes, bytes]:
    """The HPACK block of the first call of a connection, and that of each one after it."""
    entries = [
        (b":path", path.encode()),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *((key.encode(), value.encode()) for key, value in metadata),
    ]
    post_http = b"\x83\x86"
    first = b"".join(b"\x40" + _text(name) + _text(value) for name, value in entries)
    # What was added last has index 62.
    again = bytes(0x80 | 61 + len(entries) - i for i in range(len(entries)))
    return post_http + first, post_http + again


def _text(raw: bytes) -> bytes:
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest = len(raw) - 127
    out = b"\x7f"
    while rest >= 128:
        out += bytes([rest % 128 + 128])
        rest //= 128
    return out + bytes([rest]) + raw


def refusal(trailers: bytes) -> tuple[int, str, float | None]:
    """Code, ErrorInfo's reason and RetryInfo's seconds in the HPACK block of an error's trailers.

    (-1, "", None) where the error carries no details.
    """
    at = trailers.find(_DETAILS)
    if at < 0:
        return -1, "", None
    at += len(_DETAILS)
    size, at = trailers[at] & 0x7F, at + 1
    if size == 0x7F:
        shift = 0
        while True:
            size += (trailers[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not trailers[at - 1] & 0x80:
                break
    # A value that is sent as it is begins with a zero byte.
    status = status_pb2.Status.FromString(trailers[at : at + size].removeprefix(b"\x00"))
    reason, retry = "", None
    for detail in status.details:
        info, delay = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(delay):
            retry = delay.retry_delay.ToNanoseconds() / 1e9
    return status.code, reason, retry
