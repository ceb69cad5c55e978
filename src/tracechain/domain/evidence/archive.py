"""The file around a bundle: a zip archive that can be written in one way only.

Promises that the same members in the same order are the same bytes, and that bytes which are not
exactly those are refused: no gap, comment, extra field, second directory or other time has a place
where something could hide, or be altered unseen. Members are stored, not compressed: what deflate
writes is another thing for each library, and what reads it must be trusted with bombs.

PKWARE APPNOTE 6.3.10, sections 4.3.7 (local file header), 4.3.12 (central directory) and 4.3.16
(its end); no zip64.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from zlib import crc32

from tracechain.domain.errors import InvalidArgument

MAX_ARCHIVE_BYTES = 64 << 20
MAX_MEMBERS = 0xFFFE
_NAME = re.compile(rb"[a-z0-9_.-]{1,40}(?:/[a-z0-9_.-]{1,40})?")
_LOCAL, _CENTRAL, _END = 0x04034B50, 0x02014B50, 0x06054B50
_VERSION = 20
# 1980-01-01 00:00, the earliest that there is: the time of an export is in its manifest.
_TIME, _DATE = 0, 0x21
_LOCAL_HEAD = struct.Struct("<IHHHHHIIIHH")
_CENTRAL_HEAD = struct.Struct("<IHHHHHHIIIHHHHHII")
_END_HEAD = struct.Struct("<IHHHHIIH")


def pack(members: Mapping[str, bytes]) -> bytes:
    """The archive of these members, in this order.

    Raises InvalidArgument MALFORMED_BUNDLE: a name that is none, too many, too large.
    """
    parts: list[bytes] = []
    directory: list[bytes] = []
    at = 0
    for text, content in members.items():
        name = text.encode()
        if not _NAME.fullmatch(name):
            raise _malformed("is a name that no member has", text)
        about = (0, 0, _TIME, _DATE, crc32(content), len(content), len(content), len(name))
        head = _LOCAL_HEAD.pack(_LOCAL, _VERSION, *about, 0)
        entry = _CENTRAL_HEAD.pack(_CENTRAL, _VERSION, _VERSION, *about, 0, 0, 0, 0, 0, at)
        parts += (head, name, content)
        directory += (entry, name)
        at += len(head) + len(name) + len(content)
        if at > MAX_ARCHIVE_BYTES:
            raise _malformed(f"has more than {MAX_ARCHIVE_BYTES} bytes")
    count, size = len(members), sum(map(len, directory))
    if count > MAX_MEMBERS:
        raise _malformed(f"has more than {MAX_MEMBERS} members")
    return b"".join((*parts, *directory, _END_HEAD.pack(_END, 0, 0, count, count, size, at, 0)))


def unpack(data: bytes) -> dict[str, bytes]:
    """The members of an archive, in its order. Raises InvalidArgument MALFORMED_BUNDLE: these are
    not the bytes that `pack` makes of any members."""
    if len(data) > 2 * MAX_ARCHIVE_BYTES:
        raise _malformed(f"has {len(data)} bytes, at most {2 * MAX_ARCHIVE_BYTES} are taken")
    members: dict[str, bytes] = {}
    at = 0
    while data.startswith(b"PK\x03\x04", at) and len(data) - at >= _LOCAL_HEAD.size:
        head = _LOCAL_HEAD.unpack_from(data, at)
        size, name_size = head[7], head[9]
        start = at + _LOCAL_HEAD.size
        at = start + name_size + size
        name = data[start : start + name_size]
        if at > len(data) or not _NAME.fullmatch(name):
            raise _malformed(f"has no whole member at byte {start - _LOCAL_HEAD.size}")
        content = data[start + name_size : at]
        text = name.decode()
        if text in members:
            raise _malformed("is there twice", text)
        if crc32(content) != head[6]:
            raise InvalidArgument.of(text, "MEMBER_ALTERED", "is not what its checksum says")
        members[text] = content
    # Every byte that was passed over above is compared here.
    if pack(members) != data:
        raise _malformed("is no archive in the one form that a bundle has")
    return members


def _malformed(why: str, member: str = "bundle") -> InvalidArgument:
    return InvalidArgument.of(member, "MALFORMED_BUNDLE", why)
