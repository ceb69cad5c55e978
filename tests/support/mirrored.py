"""What a mirror's folder holds, looked at as its readers do."""

from __future__ import annotations

from pathlib import Path

from tests.support.log_server import tree_files
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.note import Note
from tracechain.domain.log.tiles import bundles


def kept(folder: Path) -> dict[str, bytes]:
    """What a file server would serve of a folder, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".mirror" not in path.parts
    }


def assert_whole(folder: Path) -> None:
    """Every reader of the folder's checkpoint finds the tree that it speaks of."""
    files = kept(folder)
    if "checkpoint" not in files:
        return
    found = Checkpoint.parse(Note.parse(files["checkpoint"]).text)
    entries: list[bytes] = []
    for bundle in bundles(found.size):
        # Section Partial Tiles: a full one stands in for a partial one.
        full = files.get(bundle.path.partition(".p/")[0])
        some = bundle.entries(files[bundle.path]) if bundle.path in files else None
        if some is None:
            assert full is not None
            some = type(bundle)(bundle.index).entries(full)[: bundle.width]
        entries.extend(some)
    want, root = tree_files(entries)
    assert root == found.root
    for path, content in want.items():
        full_path = path.partition(".p/")[0]
        have = files[path] if path in files else files[full_path][: len(content)]
        assert have == content
