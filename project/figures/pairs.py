"""The perceptron on each pair of CIFAR-10's classes."""

import json
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from itertools import combinations
from pathlib import Path

import numpy as np

from project.benchmarks.runs import CONFIGS
from project.cli import main
from project.data import CIFAR10
from project.figures.drawing import panels, save

KEPT = Path("lightning_logs/figures/pairs.json")  # what was measured before it was cut short


def accuracy(pair: tuple[str, str], data_dir: str, further: tuple[str, ...] = ()) -> float:
    """On the test images of two classes."""
    words = ["fit", "--config", str(CONFIGS / "perceptron.yaml"), "--data.data_dir", data_dir]
    words += ["--data.classes", json.dumps(pair), "--trainer.accelerator", "cpu", *further]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        main([*words, "--trainer.default_root_dir", folder])
        (file,) = Path(folder).rglob("results.json")
        return float(json.loads(file.read_text())["test/accuracy"])


def draw(folder: Path | None = None, data_dir: str = "data", further: tuple[str, ...] = ()) -> Path:
    """A square for each pair."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    measured: dict[str, float] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for pair in combinations(CIFAR10.class_names, 2):
        if " ".join(pair) not in measured:
            measured[" ".join(pair)] = accuracy(pair, data_dir, further)
            KEPT.write_text(json.dumps(measured, indent=1) + "\n")
            print(f"  {len(measured)} of 45: {' and '.join(pair)} {measured[' '.join(pair)]:.1%}", flush=True)
    return _table(measured, folder)


def _table(measured: dict[str, float], folder: Path | None) -> Path:
    names = list(CIFAR10.class_names)
    square = np.full((len(names), len(names)), np.nan)
    for pair, value in measured.items():
        first, second = (names.index(name) for name in pair.split())
        square[max(first, second), min(first, second)] = 100 * value
    figure, (axis,) = panels(1, height=6.2)
    picture = axis.imshow(square[1:, :-1], cmap="cividis", vmin=50, vmax=100)
    for row, column in np.argwhere(~np.isnan(square[1:, :-1])):
        value = square[1 + row, column]
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color="white" if value < 78 else "black")
    axis.set_xticks(range(len(names) - 1), names[:-1], rotation=40, ha="right")
    axis.set_yticks(range(len(names) - 1), names[1:])
    axis.set_title("a perceptron's test accuracy in % on two classes (50 is chance)")
    figure.colorbar(picture, shrink=0.8)
    return save(figure, "pairs", folder)
