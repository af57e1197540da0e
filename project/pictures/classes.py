"""Bars of each class: recall, precision and F1."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from project.pictures.canvas import (
    BLUE,
    GREEN,
    MARGIN,
    NORMAL,
    ORANGE,
    add_axes,
    add_text,
    new_figure,
    shortened,
    text_style,
    text_width,
)

ALL, WEAKEST = 100, 50  # up to 100 classes are all drawn; of more, the 50 with the lowest F1
BARS = (("recall", "recall = accuracy of the class", BLUE), ("precision", "precision", ORANGE), ("f1", "F1", GREEN))
WIDTH, NAME_WIDTH = 440, 220  # of the bars and of a name in pixels
TOP, BELOW = 66, 50  # pixels
THICKNESS = 0.27  # of a bar, as a share of the class's row
COLUMN = 76  # width of a column of numbers in pixels


def draw_classes(per_class: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Three bars for each class, the class with the lowest F1 at the top.

    Args:
        per_class: Of each class's name: images, recall, precision and f1, the last three in [0, 1].
        title: What was measured.
    """
    weakest_first = sorted(per_class, key=lambda name: per_class[name]["f1"])
    shown = weakest_first if len(per_class) <= ALL else weakest_first[:WEAKEST]
    part = "" if len(shown) == len(per_class) else f"{len(shown)} of "
    labels = [f"{shortened(name, NAME_WIDTH, NORMAL)} ({per_class[name]['images']:,})" for name in shown]
    left = max(text_width(label, NORMAL) for label in labels) + 20
    height = len(shown) * min(44, max(17, 440 // len(shown)))
    title += f": {part}{len(per_class):,} classes, the lowest F1 first (in brackets: images)"
    figure = new_figure(left + WIDTH + len(BARS) * COLUMN + MARGIN, TOP + height + BELOW, title)
    axes = add_axes(figure, left, TOP, WIDTH, height)
    places = np.arange(len(shown))
    for number, (key, legend, colour) in enumerate(BARS):
        values = np.array([100 * per_class[name][key] for name in shown])
        axes.add_collection(_bars(values, places + (number - 1) * THICKNESS, legend, colour))
        end = left + WIDTH + (number + 1) * COLUMN
        add_text(figure, end, TOP - 18, key.replace("f1", "F1"), NORMAL, ha="right")
        for place, value in zip(places, values, strict=True):
            middle = TOP + (place + 0.5) * height / len(shown)
            add_text(figure, end, middle, f"{value:.1f}", NORMAL, ha="right", va="center_baseline")
    axes.set(xlim=(0, 100), ylim=(len(shown) - 0.5, -0.5))
    axes.set_yticks(places, labels, **text_style("".join(labels), NORMAL))
    axes.set_xlabel("%", fontsize=NORMAL)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.85")
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=NORMAL, frameon=False, borderaxespad=0)
    return figure


def _bars(values: NDArray[Any], places: NDArray[Any], legend: str, colour: str) -> PolyCollection:
    """Horizontal bars from 0 to each value, as one artist."""
    zeros, lower, upper = np.zeros_like(values), places - THICKNESS / 2, places + THICKNESS / 2
    corners = [(zeros, lower), (values, lower), (values, upper), (zeros, upper)]
    polygons = np.stack([np.stack(corner, 1) for corner in corners], 1)
    return PolyCollection(list(polygons), facecolors=colour, label=legend)
