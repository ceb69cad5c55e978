"""PDFs made one, on disk: what that takes, and what is noticed where the disk is full."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pypdfium2
import pytest

from tests.support.labels import made_labels, planned
from tracechain.adapters.labels.drawing import draw_labels
from tracechain.domain.label import LabelFormat

# Joins files under a limit on what may be written; says the memory it took.
SCRIPT = """
import resource, sys
from pathlib import Path
import pikepdf
from tracechain.adapters.labels.joining import join_pages

whole, room, *parts = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(room),) * 2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    join_pages([*map(Path, parts)], Path(whole))
except OSError as error:
    sys.exit(str(error))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("part") / "0.pdf"
    path.write_bytes(draw_labels(planned(LabelFormat.PDF), made_labels(96))[0].data)
    return path


def joined(part: Path, count: int, room: int) -> tuple[Path, subprocess.CompletedProcess[str]]:
    whole = part.with_name("whole.pdf")
    copies = [part.with_name(f"{number}.pdf") for number in range(count)]
    for copy in copies[1:]:
        shutil.copy(part, copy)
    command = [sys.executable, "-c", SCRIPT, whole, str(room), *copies]
    return whole, subprocess.run(command, capture_output=True, text=True, check=False)


def test_many_sheets_are_joined_in_little_memory(part: Path) -> None:
    whole, ran = joined(part, 150, 1 << 30)
    assert ran.stderr == ""
    size = whole.stat().st_size
    assert size > 140 * part.stat().st_size
    # In KiB. An open PDF to which pages are appended takes more than the file.
    assert int(ran.stdout) << 10 < 0.65 * size
    with pypdfium2.PdfDocument(whole) as document:
        assert len(document) == 600


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_noticed(part: Path, share: float) -> None:
    """qpdf itself says nothing where the disk is full."""
    size = joined(part, 3, 1 << 30)[0].stat().st_size
    _, ran = joined(part, 3, int(size * share))
    assert ran.stderr == "whole.pdf was cut off\n"
    assert ran.stdout == ""
