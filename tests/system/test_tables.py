"""A table gives every name back exactly, and no cell of it is a formula."""

import csv
import os
from pathlib import Path

import pytest

from project.system.tables import TableWriter, open_text, path_text, read_text

WIDE = "\uff1d"  # =
TEXTS = ["cat", "=1+1", "+x", "-1", "@SUM(A1)", "\t=1", "\n=1", " =1", "\u200b=1", f"{WIDE}1", "'", "'=1", "", "é"]
TEXTS += ['a,"b"\r\n;=c']


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back(text: str) -> None:
    with open_text(Path("table.csv")) as file:
        TableWriter(file, ["name", text]).write([text, 0.5])
    with open("table.csv", newline="", encoding="utf-8") as file:
        (_, header), (cell, number) = csv.reader(file)
    assert read_text(header) == read_text(cell) == text
    assert float(number) == 0.5
    assert not cell.lstrip("\t\n \u200b").startswith(tuple(f"=+-@{WIDE}"))
    assert not cell.startswith(tuple("=+-@\t\n"))


@pytest.mark.parametrize("name", [b"=1+1.png", b"-x.png", b"@a/b.png", b"\xff=\xfe.png", b'a\nb,".png', b"plain.png"])
def test_paths_mean_the_same_file(name: bytes) -> None:
    path = os.fsdecode(name)
    with open_text(Path("table.csv")) as file:
        TableWriter(file, ["name"]).write([path_text(path)])
    with open("table.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        _, (cell,) = csv.reader(file)
    assert Path(cell) == Path(path)
    assert os.fsencode(Path(cell)) == name
    assert cell[0] not in "=+-@"
