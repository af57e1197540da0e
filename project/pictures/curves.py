"""The curves of a run: loss, accuracy and learning rate over the epochs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from project.pictures.canvas import BLUE, NORMAL, ORANGE, add_axes, new_figure

Rows = Sequence[Mapping[str, float]]
WIDTH, HEIGHT = 330, 260  # of a panel in pixels
LEFT, TOP, GAP = 66, 70, 76
# Each panel's title, and its curves: the name of the metric, its legend, its colour and its factor.
LOSS = (("train/loss", "training", BLUE, 1), ("val/loss", "validation", ORANGE, 1))
ACCURACY = (("train/accuracy", "training", BLUE, 100), ("val/accuracy", "validation", ORANGE, 100))
RATE = (("train/lr", "", BLUE, 1),)
PANELS = (("loss", LOSS), ("accuracy in %", ACCURACY), ("learning rate", RATE))


def draw_curves(rows: Rows, title: str) -> Figure:
    """Loss and accuracy of training and validation, and the learning rate, over the epochs.

    Args:
        rows: Of metrics.csv in the order of the steps, each with the metrics that were logged then.
        title: Above the panels.
    """
    figure = new_figure(LEFT + len(PANELS) * (WIDTH + GAP) - GAP + 20, TOP + HEIGHT + 46, title)
    epochs = _epochs(rows)
    for number, (name, curves) in enumerate(PANELS):
        axes = add_axes(figure, LEFT + number * (WIDTH + GAP), TOP, WIDTH, HEIGHT)
        axes.set_title(name, fontsize=NORMAL)
        axes.set_xlabel("epoch", fontsize=NORMAL)
        axes.grid(color="0.9")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for metric, legend, colour, factor in curves:
            _plot(axes, rows, epochs, metric, legend, colour, factor)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=NORMAL)
    return figure


def _epochs(rows: Rows) -> np.ndarray:
    """Of each row the number of epochs that were done, with fractions between the ends of epochs."""
    ends = {0.0: 0.0} | {row["step"] + 1: row["epoch"] for row in rows if "train/loss" in row}
    steps = [row["step"] + 1 for row in rows]
    return np.interp(steps, list(ends), list(ends.values()))


def _plot(axes: Axes, rows: Rows, epochs: np.ndarray, metric: str, legend: str, colour: str, factor: float) -> None:
    points = [(epoch, factor * row[metric]) for epoch, row in zip(epochs, rows, strict=True) if metric in row]
    if points:
        mark = "o" if len(points) <= 40 else None
        axes.plot(*zip(*points, strict=True), color=colour, marker=mark, markersize=3, label=legend, linewidth=1.3)
