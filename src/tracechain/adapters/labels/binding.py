"""Sheets that are drawn some at a time, made one PDF: they are kept on disk until all are there.

They lie in a folder that only we may read, for there may be PINs on them; it goes when the file
was sent or its reader has left. In memory, one large order would take it from everybody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tracechain.adapters.labels.joining import join
from tracechain.app.ports import DrawnLabels, FilePart
from tracechain.domain.errors import Unavailable

NAME = "labels.pdf"
_CHUNK = 1 << 20


async def bound(
    drawn: AsyncGenerator[DrawnLabels, None], joining: asyncio.Lock
) -> AsyncGenerator[DrawnLabels, None]:
    """How many labels were drawn, as they are; then the file of all of them.

    Files are joined one at a time, under the lock. Raises Unavailable LABELS_UNAVAILABLE where
    there is no room for them.
    """
    try:
        with TemporaryDirectory(prefix="tracechain-labels-") as folder:
            parts: list[Path] = []
            async for labels, files in drawn:
                for _, data in files:
                    parts.append(Path(folder, f"{len(parts)}.pdf"))
                    await _finished(asyncio.to_thread(parts[-1].write_bytes, data))
                yield DrawnLabels(labels, [])
            whole = Path(folder, NAME)
            async with joining:
                await _finished(join(parts, whole))
            with await asyncio.to_thread(whole.open, "rb") as file:
                while data := await asyncio.to_thread(file.read, _CHUNK):
                    yield DrawnLabels(0, [FilePart(NAME, data)])
    except OSError as error:
        raise Unavailable(
            "LABELS_UNAVAILABLE", f"the sheets cannot be made one file: {error}"
        ) from error


async def _finished(work: Coroutine[Any, Any, object]) -> None:
    """Does work to its end, also where we are cancelled meanwhile: it is done in a folder that
    is removed then."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait([task])
