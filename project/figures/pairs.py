"""The perceptron on each pair of CIFAR-10's classes. Its accuracies are saved in a file, one by one."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_this_process
from project.data import CIFAR10
from project.figures.drawing import MEASUREMENTS, panels, save
from project.system.files import atomic_write

FILE = MEASUREMENTS / "pairs.json"


def accuracy(pair: tuple[str, str], options: tuple[str, ...]) -> float:
    """The accuracy of a perceptron on the test images of two classes, in [0, 1]."""
    words = ["--data.classes", json.dumps(pair), "--trainer.accelerator", "cpu", *options]
    results, _ = fit_in_this_process(fit_arguments([CONFIGS / "perceptron.yaml"], words))
    return float(results["test/accuracy"])


def draw(directory: Path | None = None, data_dir: str = "data", fit_options: tuple[str, ...] = ()) -> Path:
    """Draw a square for each pair."""
    accuracies = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    for number, pair in enumerate(combinations(CIFAR10.class_names, 2), start=1):
        if (name := " ".join(pair)) not in accuracies:
            accuracies[name] = accuracy(pair, ("--data.data_dir", data_dir, *fit_options))
            FILE.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(FILE) as unfinished:
                unfinished.write_text(json.dumps(accuracies, indent=1) + "\n", "utf-8")
        print(f"  {number} of 45: {' and '.join(pair)} {accuracies[name]:.1%}", flush=True)
    return _table(accuracies, directory)


def _table(accuracies: dict[str, float], directory: Path | None) -> Path:
    names = list(CIFAR10.class_names)
    square = np.full((len(names), len(names)), np.nan)
    for pair, value in accuracies.items():
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
    return save(figure, "pairs", directory)
