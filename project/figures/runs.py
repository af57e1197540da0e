"""Runs of `main.py fit` whose measurements a picture is drawn from, kept as they end."""

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from project.benchmarks.runs import CONFIGS
from project.cli.main import main
from project.system.errors import NotFiniteError
from project.system.files import atomic_write

KEPT = Path("lightning_logs/figures")
Row = dict[str, float]


class Kept:
    """What was measured for a picture before it was cut short, in lightning_logs/figures/<name>.json."""

    def __init__(self, name: str) -> None:
        self.file = KEPT / f"{name}.json"
        self.values: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}

    def once(self, key: str, measure: Callable[[], Any]) -> Any:
        """The value under `key`, measured if it is not there yet."""
        if key not in self.values:
            self.values[key] = measure()
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.file) as unfinished:
                unfinished.write_text(json.dumps(self.values, indent=1) + "\n")
        return self.values[key]


def fit(experiment: str, words: Sequence[str]) -> tuple[dict[str, Any], list[Row]]:
    """results.json, and the rows of metrics.csv, of one run on the CPU in this process.

    Raises NotFiniteError where the loss does not stay finite, and SystemExit for any other error, which is printed.
    """
    command = ["fit", "--config", str(CONFIGS / f"{experiment}.yaml"), "--trainer.accelerator", "cpu", *words]
    with tempfile.TemporaryDirectory() as folder:
        _quietly([*command, "--trainer.default_root_dir", folder])
        (results,) = Path(folder).rglob("results.json")
        with (results.parent / "metrics.csv").open() as file:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        return json.loads(results.read_text()), rows


def _quietly(command: list[str]) -> None:
    said = StringIO()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(said):
            main(command)
    except SystemExit as stop:
        if isinstance(stop.__context__, NotFiniteError):
            raise stop.__context__ from None
        print(said.getvalue(), end="", file=sys.stderr)
        raise
