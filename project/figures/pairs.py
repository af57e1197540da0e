"""The perceptron on each pair of CIFAR-10's classes."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np

from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.data import CIFAR10
from project.figures.drawing import panels, save
from project.figures.measurements import Measurements, fit


def accuracy(pair: tuple[str, str], options: tuple[str, ...]) -> float:
    """The accuracy of a perceptron on the test images of two classes, in [0, 1]."""
    results, _ = fit(fit_arguments([CONFIGS / "perceptron.yaml"], ["--data.classes", json.dumps(pair), *options]))
    return float(results["test/accuracy"])


def draw(directory: Path | None = None, data_dir: str = "data", fit_options: tuple[str, ...] = ()) -> Path:
    """Draw a square for each pair."""
    measurements = Measurements("pairs")
    options = ("--data.data_dir", data_dir, *fit_options)
    for number, pair in enumerate(combinations(CIFAR10.class_names, 2), start=1):
        value = measurements.get(" ".join(pair), accuracy, pair, options)
        print(f"  {number} of 45: {' and '.join(pair)} {value:.1%}", flush=True)
    return _table(measurements.values, directory)


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
