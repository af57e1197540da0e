"""What a run leaves: its figures in results.json, its settings, its metrics. Reading them needs no torch."""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project.runs.directories import CONFIG
from project.system.files import atomic_write
from project.system.yaml_text import load_yaml

RESULTS = "results.json"
METRICS = "metrics.csv"
TEST = "test.npz"
BY_CLASS = ("balanced_accuracy", "f1_macro")  # each class counts the same in these
SAME_ACCURACY = 0.01  # the terminal leaves them out where the balanced accuracy is as near to the accuracy


@dataclass(frozen=True)
class Result:
    """What a command leaves for the program that called main([...])."""

    directory: Path | None = None
    """Of the run, after a fit that kept checkpoints."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Of a fit those of results.json; of validate and test what they measured, such as test/accuracy in [0, 1]."""
    predictions: Path | None = None
    """The CSV file that predict wrote."""

    def metrics(self) -> list[dict[str, float]]:
        """The rows of the run's metrics.csv, each with the figures that it has, in the order of the steps."""
        rows = read_metrics(self.directory) if self.directory else []
        return [{name: float(value) for name, value in row.items() if value} for row in rows]


def read_results(run: Path) -> dict[str, Any] | None:
    """The figures of a finished run; None if the run has not finished."""
    file = run / RESULTS
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def read_settings(run: Path) -> dict[str, Any]:
    """The options of a run's first start, nested as in its config.yaml."""
    settings: dict[str, Any] = load_yaml((run / CONFIG).read_text("utf-8"))
    return settings


def read_metrics(run: Path) -> list[dict[str, str]]:
    """The rows of the run's metrics.csv as text, without a last row that a kill has cut; none if there is no file."""
    file = run / METRICS
    whole_lines = file.read_text("utf-8").rpartition("\n")[0] if file.exists() else ""
    return list(csv.DictReader(whole_lines.splitlines()))


def write_results(run: Path, figures: Mapping[str, Any]) -> Path:
    """Write results.json, which is read as the sign that the run has finished, and return its path."""
    file = run / RESULTS
    with atomic_write(file) as unfinished:
        unfinished.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return file


def write_test(run: Path, arrays: Mapping[str, Any]) -> None:
    """Write test.npz, which numpy.load reads: the label and the logits of each test image.

    Args:
        run: The run directory.
        arrays: NumPy arrays by their names; see project.callbacks.evaluation_logits. Without any, the file of an
            earlier test is deleted.
    """
    if not arrays:
        (run / TEST).unlink(missing_ok=True)
        return
    import numpy as np  # reading results needs no NumPy

    with atomic_write(run / TEST) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **arrays)


def format_figures(figures: Mapping[str, Any]) -> list[str]:
    """A line for each figure, with as many digits as are worth reading; the files have all of them.

    Figures that are not one number or text, such as those of each class, are left out. So are the balanced accuracy and
    the macro F1 of images for which the balanced accuracy is within a point of the accuracy.
    """
    flat = {name: value for name, value in figures.items() if value is not None and not isinstance(value, Mapping)}
    return [f"{name} {_format(name, value)}" for name, value in flat.items() if _says_more(name, flat)]


def _says_more(name: str, figures: Mapping[str, Any]) -> bool:
    """Whether a figure in which each class counts the same is far enough from the accuracy; true for other figures."""
    stage, _, figure = name.rpartition("/")
    if figure not in BY_CLASS:
        return True
    accuracy, balanced = (figures.get(f"{stage}/{other}", math.inf) for other in ("accuracy", "balanced_accuracy"))
    return not abs(accuracy - balanced) < SAME_ACCURACY


def _format(name: str, value: Any) -> str:
    if "accuracy" in name:
        return f"{100 * value:.2f} %"
    if "seconds" in name:
        return f"{value:.1f}"
    return str(value) if isinstance(value, (int, str)) else f"{value:.4f}"
