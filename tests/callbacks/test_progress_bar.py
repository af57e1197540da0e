"""The progress bar on narrow terminals, and on those without UTF-8."""

import io
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

from project.callbacks.progress_bar import EpochBar


@pytest.mark.parametrize(("columns", "encoding"), [(60, "ascii"), (60, "utf-8"), (80, "utf-8"), (200, "utf-8")])
def test_the_bar_is_one_line(columns: int, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    trainer: Any = None
    written = io.BytesIO()
    console = Console(file=io.TextIOWrapper(written, encoding), width=columns, force_terminal=True, no_color=True)
    bar = Progress(*EpochBar().configure_columns(trainer), console=console)
    bar.add_task("Epoch 10/10", total=1000, completed=250)
    console.print(bar.get_renderable())
    console.file.flush()
    (line,) = written.getvalue().decode(encoding).splitlines()
    assert "250/1000" in line
    assert "\x1b[3" not in line
    assert 0 < line.count("-" if encoding == "ascii" else "\u2501") <= 40
