"""`tracechain labels` over a running service: of an order, of a file, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.support.command import Command, Ran, serving
from tests.support.labels import codes_in, pdf_images, svg_image
from tests.support.service import gln_of, gtin_of, uscc_of
from tests.support.zpl import print_zpl

GTIN = gtin_of(601)
LOT = "LH/07_A"
QUANTITY = 30


@dataclass
class Plant:
    """A running service, an issuer with a batch, and files of its codes."""

    server: str
    api_key: str
    folder: Path

    @property
    def codes(self) -> list[dict[str, str]]:
        """What `tracechain issue` wrote."""
        with (self.folder / "codes.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def uris(self, first: int = 0, count: int = QUANTITY) -> list[str]:
        """Codes of the order, in order."""
        return [row["uri"] for row in self.codes[first : first + count]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("plant")
    with serving(folder) as (_, server):
        yield folder, server, {}


@pytest.fixture
def plant(made: tuple[Path, str, dict[str, str]], run: Command) -> Plant:
    """Made by the commands that make it, once."""
    folder, server, keys = made
    if not keys:

        def ok(*arguments: str | Path, **environment: str) -> Ran:
            ran = run(*arguments, "--json", server=server, **environment)
            assert ran.status == 0, ran.err
            return ran

        operator = ok(
            "keys", "operator", gln_of(901), "--uscc", uscc_of(901), "--region", "210000",
            "--zh", "平台", data_dir=str(folder),
        ).json["api_key"]  # fmt: skip
        ok(
            "register", "party", gln_of(902), "--uscc", uscc_of(902), "--region", "210102",
            "--kind", "issuer", "--zh", "老窖", api_key=operator,
        )  # fmt: skip
        issuer = ok("keys", "credential", gln_of(902), "--role", "issuer", api_key=operator).json[
            "apiKey"
        ]
        ok("keys", "create", gln_of(902), api_key=issuer)
        ok("register", "product", GTIN, "--zh", "浓香型白酒", "--en", "Baijiu", api_key=issuer)
        for lot in (LOT, "OTHER"):
            ok(
                "register", "batch", f"{GTIN}/{lot}", "--quantity", "100", "--produced",
                "2026-07-14", "--expires", "2028-07-14", api_key=issuer,
            )  # fmt: skip
        for name, more in (
            ("codes.csv", ["--pins"]),
            ("codes.jsonl", ["--pins", "--format", "jsonl"]),
            ("plain.csv", []),
        ):
            ok(
                "issue", f"{GTIN}/{LOT}", str(QUANTITY), "--order", "first", "-o", folder / name,
                *more, api_key=issuer,
            )  # fmt: skip
        ok(
            "issue", f"{GTIN}/OTHER", "2", "--order", "o", "-o", folder / "other.csv",
            api_key=issuer,
        )  # fmt: skip
        ok(
            "issue", f"{GTIN}/{LOT}", "2", "--order", "c", "-o", folder / "compact.csv",
            "--profile", "compact", api_key=issuer,
        )  # fmt: skip
        keys["issuer"] = issuer
    return Plant(server, keys["issuer"], folder)


Labels = Callable[..., Ran]


@pytest.fixture
def labels(plant: Plant, run: Command) -> Labels:
    """Runs `tracechain labels` as the issuer."""

    def labels(*arguments: str | Path, server: str = plant.server) -> Ran:
        return run("labels", *arguments, server=server, api_key=plant.api_key)

    return labels


OF_ORDER = (f"{GTIN}/{LOT}", "--order", "first")


def test_an_order_and_its_file_give_the_same_sheets(
    plant: Plant, labels: Labels, tmp_path: Path
) -> None:
    sheets = tmp_path / "order.PDF"
    ran = labels(*OF_ORDER, "--pins", "-o", sheets)
    assert ran.status == 0, ran.err
    assert "30 labels" in ran.out
    assert "level Q" in ran.out
    assert [len(codes_in(page)) for page in pdf_images(sheets.read_bytes())] == [24, 6]
    found = [uri for page in pdf_images(sheets.read_bytes()) for uri in codes_in(page)]
    assert sorted(found) == sorted(plant.uris())
    # PINs are on it: nobody else reads it.
    assert sheets.stat().st_mode & 0o777 == 0o600
    for name in ("codes.csv", "codes.jsonl"):
        drawn = tmp_path / f"{name}.pdf"
        ran = labels("--codes", plant.folder / name, "--pins", "-o", drawn)
        assert ran.status == 0, ran.err
        assert drawn.read_bytes() == sheets.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "codes.csv.pdf", "codes.jsonl.pdf", "order.PDF",
    ]  # fmt: skip


def test_files_in_a_folder_and_in_an_archive(plant: Plant, labels: Labels, tmp_path: Path) -> None:
    part = ("--offset", "20", "--count", "4")
    ran = labels(*OF_ORDER, *part, "-o", tmp_path / "svg", "--json")
    assert ran.status == 0, ran.err
    assert (ran.json["labelCount"], ran.json["file"]) == ("4", str(tmp_path / "svg"))
    wanted = {row["serial"]: row["uri"] for row in plant.codes[20:24]}
    drawn = {path.stem: svg_image(path.read_bytes()) for path in (tmp_path / "svg").iterdir()}
    assert {name: codes_in(image) for name, image in drawn.items()} == {
        serial: [uri] for serial, uri in wanted.items()
    }
    for source in (OF_ORDER, ("--codes", plant.folder / "plain.csv")):
        ran = labels(
            *source, *part, "--format", "png", "--error-correction", "h", "-o", tmp_path / "a.zip"
        )
        assert ran.status == 0, ran.err
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            assert archive.testzip() is None
            assert archive.namelist() == [f"{serial}.png" for serial in wanted]
            for serial, uri in wanted.items():
                image = Image.open(io.BytesIO(archive.read(f"{serial}.png")))
                assert codes_in(image) == [uri]
        (tmp_path / "a.zip").unlink()


def test_a_roll_for_a_label_printer_and_its_warning(
    plant: Plant, labels: Labels, tmp_path: Path
) -> None:
    roll = tmp_path / "roll.zpl"
    ran = labels("--codes", plant.folder / "codes.csv", "--count", "3", "--pins", "-o", roll)
    assert ran.status == 0, ran.err
    assert "left out" in ran.out
    printed = print_zpl(roll.read_bytes())
    assert [codes_in(one.image.convert("L")) for one in printed] == [
        [uri] for uri in plant.uris(0, 3)
    ]
    assert f"(10) {LOT}" in [text for *_, text in printed[0].texts]
    ran = labels(*OF_ORDER, "--count", "1", "--layout", "45x23", "-o", tmp_path / "small.pdf")
    assert ran.status == 0, ran.err
    assert "0.396 mm" in ran.out
    assert "可能无法识读" in ran.out


def test_codes_are_issued_first_where_that_is_asked_for(
    plant: Plant, labels: Labels, tmp_path: Path
) -> None:
    for name in ("one.pdf", "again.pdf"):
        ran = labels(
            f"{GTIN}/{LOT}", "--order", "new", "--issue", "3", "-o", tmp_path / name, "--json"
        )
        assert ran.status == 0, ran.err
        assert ran.json["labelCount"] == "3"
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "again.pdf").read_bytes()
    ran = labels(
        f"{GTIN}/{LOT}", "--order", "more", "--issue", "1000", "-o", tmp_path / "x.pdf", "--json"
    )
    assert (ran.status, ran.error["reason"]) == (1, "QUANTITY_EXCEEDED")
    assert not (tmp_path / "x.pdf").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "WHICH_CODES"),
        ([f"{GTIN}/{LOT}"], "WHICH_CODES"),
        ([*OF_ORDER, "--codes", "codes.csv"], "WHICH_CODES"),
        (["--codes", "codes.csv", "--issue", "3"], "WHICH_CODES"),
        ([f"{GTIN}/{LOT}", "--order", "none"], "ORDER_NOT_FOUND"),
        ([f"{GTIN}/NONE", "--order", "first"], "BATCH_NOT_FOUND"),
        ([*OF_ORDER, "--layout", "a5"], "UNKNOWN_LAYOUT"),
        ([*OF_ORDER, "--layout", "20x10"], "LABEL_TOO_SMALL"),
        (["--codes", "codes.csv", "--layout", "a5"], "UNKNOWN_LAYOUT"),
        (["--codes", "codes.csv", "--layout", "20x10"], "LABEL_TOO_SMALL"),
        (["--codes", "codes.csv", "--offset", "30"], "INVALID_OFFSET"),
        (["--codes", "codes.csv", "--offset", "29", "--count", "2"], "INVALID_QUANTITY"),
        (["--codes", "plain.csv", "--pins"], "NO_PINS"),
        (["--codes", "missing.csv"], "FILE_ERROR"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why_and_leaves_nothing(
    plant: Plant, labels: Labels, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    given = [plant.folder / one if one.endswith(".csv") else one for one in arguments]
    ran = labels(*given, "-o", tmp_path / "out.pdf", "--json")
    assert (ran.status, ran.error["reason"]) == (1, reason), ran.err
    assert list(tmp_path.iterdir()) == []


def _spoiled(plant: Plant) -> dict[str, tuple[bytes, str]]:
    """Files that are not as we wrote them, and the reason that each is refused for."""
    text = (plant.folder / "codes.csv").read_text()
    lines = text.splitlines(keepends=True)
    other = (plant.folder / "other.csv").read_text().splitlines(keepends=True)
    compact = (plant.folder / "compact.csv").read_text().splitlines(keepends=True)
    plain = (plant.folder / "plain.csv").read_text().splitlines(keepends=True)
    row = plant.codes[2]
    uri = row["uri"]
    forged = uri[:-20] + ("A" if uri[-20] != "A" else "B") + uri[-19:]
    another = uri.replace(row["serial"], plant.codes[3]["serial"])
    return {
        "nothing": (b"", "NO_CODES"),
        "header alone": (lines[0].encode(), "NO_CODES"),
        "forged": (text.replace(uri, forged).encode(), "CODE_NOT_OURS"),
        "borrowed signature": (text.replace(uri, another).encode(), "CODE_NOT_OURS"),
        "other resolver": (text.replace(uri, uri.replace("id.", "lD.")).encode(), "CODE_NOT_OURS"),
        "serials changed": (
            text.replace(f",{row['serial']},", f",{plant.codes[3]['serial']},").encode(),
            "CODE_NOT_OURS",
        ),
        "cut off": (text[:-40].encode(), "NOT_A_CODE_FILE"),
        "no such column": (b"a,b\n1,2\n", "NOT_A_CODE_FILE"),
        "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "NOT_A_CODE_FILE"),
        "no JSON": (b'{"uri": "https://x"\n', "NOT_A_CODE_FILE"),
        "JSON of another kind": (b'{"index": 0, "uri": 5}\n', "CODE_NOT_OURS"),
        "endless line": (b'{"uri": "' + b"x" * 20_000, "NOT_A_CODE_FILE"),
        "two lots": ("".join([*plain, f"9{other[1]}"]).encode(), "CODES_MIXED"),
        "a line twice": ("".join([*plain, plain[-1]]).encode(), "CODE_REPEATED"),
        "two files": ("".join([*plain, *plain[1:]]).encode(), "CODE_REPEATED"),
        "no index": (b"index,serial,uri\n,x,y\n", "NOT_A_CODE_FILE"),
        "two profiles": ("".join([*plain, compact[1]]).encode(), "CODES_MIXED"),
        "wrong PIN": (text.replace(row["pin"], "IOIOIOIO").encode(), "NOT_A_CODE_FILE"),
    }


def test_a_file_that_is_not_as_it_was_written_is_refused_before_anything_is_drawn(
    plant: Plant, labels: Labels, tmp_path: Path
) -> None:
    for name, (data, reason) in _spoiled(plant).items():
        (tmp_path / "given").write_bytes(data)
        pins = ["--pins"] if name == "wrong PIN" else []
        ran = labels("--codes", tmp_path / "given", *pins, "-o", tmp_path / "o.pdf", "--json")
        assert (name, ran.status, ran.error["reason"]) == (name, 1, reason)
        assert [path.name for path in tmp_path.iterdir()] == ["given"]
    # The line is named, and so is the cure where there is one.
    (tmp_path / "given").write_bytes(_spoiled(plant)["forged"][0])
    ran = labels("--codes", tmp_path / "given", "-o", tmp_path / "o.pdf")
    assert "line 4" in ran.err
    # As a spreadsheet saves it, with a mark in front and other line ends, it is still the same.
    saved = (plant.folder / "plain.csv").read_text().replace("\n", "\r\n")
    (tmp_path / "given").write_bytes(b"\xef\xbb\xbf" + saved.encode())
    ran = labels("--codes", tmp_path / "given", "--count", "1", "-o", tmp_path / "s.pdf")
    assert ran.status == 0, ran.err
    # Compact codes are proved by the service alone: they pass, and are printed.
    ran = labels("--codes", plant.folder / "compact.csv", "-o", tmp_path / "o.pdf")
    assert ran.status == 0, ran.err


def test_nothing_is_written_over(plant: Plant, labels: Labels, tmp_path: Path) -> None:
    (tmp_path / "o.pdf").write_text("mine")
    ran = labels(*OF_ORDER, "-o", tmp_path / "o.pdf", "--json")
    assert (ran.status, ran.error["reason"]) == (1, "FILE_EXISTS")
    assert (tmp_path / "o.pdf").read_text() == "mine"
    # What a run that was killed left beside is no hindrance.
    (tmp_path / "svg.part").mkdir()
    (tmp_path / "svg.part" / "old.svg").write_text("old")
    ran = labels(*OF_ORDER, "--count", "2", "-o", tmp_path / "svg")
    assert ran.status == 0, ran.err
    assert len(list((tmp_path / "svg").iterdir())) == 2


def test_without_a_service_there_are_no_labels(labels: Labels, tmp_path: Path) -> None:
    ran = labels(*OF_ORDER, "-o", tmp_path / "o.pdf", "--json", server="127.0.0.1:1")
    assert (ran.status, json.loads(ran.err)["error"]["code"]) == (1, "UNAVAILABLE")
    assert list(tmp_path.iterdir()) == []
