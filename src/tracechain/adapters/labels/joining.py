"""Many PDFs made one: `python -m tracechain.adapters.labels.joining`, a process for each file.

qpdf copies pages from file to file and keeps some ten kilobytes of each until it has written the
last. A process that ends gives all of that back; one that stays would not.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

from tracechain.adapters.child_process import ChildProcess, requests


async def join(parts: Sequence[Path], whole: Path) -> None:
    """Has a process make `whole` of the pages of all parts. Raises OSError where it cannot."""
    process = await ChildProcess.start(__name__, b"")
    try:
        failure = await process.ask(pickle.dumps((parts, whole)))
    finally:
        await process.close()
    if failure:
        raise OSError(failure.decode())


def join_pages(parts: Sequence[Path], whole: Path) -> None:
    """Writes the pages of all parts to one PDF. Raises OSError where that cannot be done."""
    # Imported here: the service itself joins nothing.
    import pikepdf

    first, *others = map(str, parts)
    # qpdf's own program: pages that are appended to an open PDF stay in memory with all they show.
    pikepdf.Job(
        ["qpdf", first, "--pages", ".", *others, "--", "--stream-data=preserve",
         "--remove-unreferenced-resources=no", "--remove-info", "--deterministic-id", str(whole)]
    ).run()  # fmt: skip
    try:
        # It does not say when the disk is full. What a PDF is read by stands at its end.
        pikepdf.open(whole, attempt_recovery=False).close()
    except pikepdf.PdfError as error:
        raise OSError(f"{whole.name} was cut off") from error


def main() -> None:
    """Works until its input ends; an answer is what went wrong, or nothing."""
    asked = requests()
    next(asked)
    for request, answer in asked:
        try:
            join_pages(*pickle.loads(request))
        except OSError as error:
            answer(str(error).encode())
        else:
            answer(b"")


if __name__ == "__main__":
    main()
