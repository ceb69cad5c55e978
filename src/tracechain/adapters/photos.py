"""Photographs of reports, encoded anew by Pillow: what they tell beside the picture is left out.

What comes in is a stranger's: only three formats are opened, a picture with too many pixels is
refused by its head alone, and decoding is done in one thread, one picture at a time, so that the
most that pictures cost at once is one core and one canvas.
"""

from __future__ import annotations

import asyncio
import io
import warnings
from concurrent.futures import ThreadPoolExecutor

from tracechain.domain.errors import InvalidArgument

MAX_PIXELS = 40_000_000
_SIDE = 1600
_QUALITY = 80
_FORMATS = ("JPEG", "PNG", "WEBP")


class PillowPhotos:
    """See tracechain.app.reporting.PhotoCleaner."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "photos")

    async def clean(self, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, clean, data)

    def close(self) -> None:
        """Ends the thread once what it does is done."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def clean(data: bytes) -> bytes:
    """A JPEG of at most 1600 pixels a side, upright, without metadata. Raises InvalidArgument
    INVALID_PHOTO, PHOTO_TOO_LARGE."""
    # Here, since most services and all their restarts see no photograph.
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            warnings.simplefilter("ignore")
            if picture.width * picture.height > MAX_PIXELS:
                raise InvalidArgument.of(
                    "photo", "PHOTO_TOO_LARGE", f"has more than {MAX_PIXELS} pixels"
                )
            # A JPEG is decoded no larger than it is kept.
            picture.draft("RGB", (_SIDE, _SIDE))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            upright.thumbnail((_SIDE, _SIDE))
            # A canvas of its own: pixels go over, and nothing that hangs on the picture.
            canvas = Image.new("RGB", upright.size)
            canvas.paste(upright)
    except InvalidArgument:
        raise
    except Image.DecompressionBombError:
        raise InvalidArgument.of(
            "photo", "PHOTO_TOO_LARGE", f"has more than {MAX_PIXELS} pixels"
        ) from None
    except Exception:  # the kinds of a decoder are many; to a caller they are one
        raise InvalidArgument.of(
            "photo", "INVALID_PHOTO", "is no JPEG, PNG or WebP picture, or a damaged one"
        ) from None
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
