"""The files that compare writes: a page and a CSV file."""

import csv
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from project.cli.main import main
from project.compare import pictures
from project.compare.charts import MOST_POINTS, points, ticks
from project.compare.comparison import compare
from project.system.tables import read_text
from tests.compare.runs import config, write_run

EVIL = "<script>alert(1)<"  # a directory's name cannot have a slash


@pytest.fixture
def runs() -> None:
    for seed in (0, 1):
        write_run(f"lightning_logs/try/version_{seed}", config(seed), {"test/accuracy": 0.5 + seed / 8})
    write_run(
        f"lightning_logs/{EVIL}/version_0", config(flip="=1+1"), {"test/accuracy": 0.25, "test/loss": float("nan")}
    )
    write_run("lightning_logs/-1/version_0", config(2, flip='"><img src=x>'))
    for run in Path("lightning_logs").glob("*/version_*"):
        (run / "pictures").mkdir()
        Image.new("RGB", (8, 8)).save(run / "pictures/confusion.png")
        Image.new("L", (4, 4)).save(run / "pictures/own_one.png")
        (run / "pictures/none.png").write_text("no picture")


class Page(HTMLParser):
    """Collects the tags, what they refer to, and the text of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def read(path: str = "page.html") -> Page:
    page = Page()
    page.feed(Path(path).read_text(encoding="utf-8"))
    return page


@pytest.mark.usefixtures("runs")
def test_the_page_has_everything_inside() -> None:
    of_search = Path("lightning_logs/try/pictures/history.png")  # of the whole study
    of_search.parent.mkdir()
    shutil.copy("lightning_logs/try/version_1/pictures/confusion.png", of_search)
    main(["compare", "--html", "page.html"])
    page = read()
    assert page.tags.count("script") == 1
    assert page.tags.count("img") == 1 + 8
    assert page.texts[page.texts.index("history") + 1 :][:2] == ["", "try"]
    assert all(reference.startswith(("data:image/png;base64,", "#")) for reference in page.references)
    assert not re.search(r"https?:|@import|url\(", Path("page.html").read_text())
    assert {f"{EVIL}/version_0", '"><img src=x>', "own one", "confusion", "=1+1"} <= set(page.texts)
    assert page.texts.index("confusion") < page.texts.index("own one")
    assert {"val/accuracy", "val/loss", "data.flip"} <= set(page.texts)
    assert page.tags.count("figure") == 1 + 8 + 2
    labels = [text for text in page.texts[page.texts.index("confusion") :] if "/version_" in text]
    assert labels[:4] == ["try/version_0", "try/version_1", f"{EVIL}/version_0", "-1/version_0"]
    assert "4 runs compared" in page.texts


@pytest.mark.usefixtures("runs")
def test_a_page_takes_pictures_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    size = Path("lightning_logs/try/version_1/pictures/confusion.png").stat().st_size
    groups = compare(["lightning_logs"]).groups
    found = pictures.read_pictures(groups, 2 * size - 1)
    assert len(found.shown) == 2
    assert found.left_out == 6
    assert [picture.name for picture in found.shown] == ["confusion", "own_one"]
    assert {picture.run.label for picture in found.shown} == {groups[0].runs[0].label}


@pytest.mark.usefixtures("runs")
def test_csv_has_a_row_for_each_run(error: Callable[..., str]) -> None:
    main(["compare", "--csv", "runs.csv"])
    with Path("runs.csv").open(newline="") as file:
        rows = {row["run"]: {name: read_text(cell) for name, cell in row.items()} for row in csv.DictReader(file)}
    assert len(rows) == 4
    assert rows["lightning_logs/try/version_1"]["group"] == "try/version_0-1"
    assert float(rows["lightning_logs/try/version_1"]["test/accuracy"]) == 0.625
    assert rows["lightning_logs/-1/version_0"]["state"] == "unfinished, epoch 3 of 10"
    assert rows[f"lightning_logs/{EVIL}/version_0"]["data.flip"] == "=1+1"
    assert "'=1+1" in Path("runs.csv").read_text()
    assert rows[f"lightning_logs/{EVIL}/version_0"]["test/loss"] == "nan"
    for option in ("csv", "html"):
        Path(f"runs.{option}").write_text("old")
        line = f"--{option} runs.{option}: it exists; name another, or replace it by --force"
        assert error("compare", f"--{option}", f"runs.{option}") == line
        assert Path(f"runs.{option}").read_text() == "old"
        main(["compare", f"--{option}", f"runs.{option}", "--force"])
        assert Path(f"runs.{option}").read_text() != "old"


def test_points_and_ticks() -> None:
    rows = [{"epoch": str(epoch), "loss": str(1 / epoch), "other": "x"} for epoch in range(1, 1000)]
    shown = points([*rows, {"epoch": "1000", "loss": "nan"}, {"epoch": "", "loss": "1"}], "loss", "epoch")
    assert len(shown) <= MOST_POINTS + 1
    assert shown[0] == (1, 1)
    assert shown[-1] == (999, 1 / 999)
    assert points(rows, "other", "epoch") == []
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(9.7, 10.4) == [9.8, 10, 10.2, 10.4]
    assert ticks(3, 3) == [3]
    assert ticks(1, 3, smallest_step=1) == [1, 2, 3]
