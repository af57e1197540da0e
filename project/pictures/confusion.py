"""The confusion matrix: which classes are taken for which.

Shape letters: N images, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from project.pictures.canvas import (
    MARGIN,
    MATRIX,
    NORMAL,
    SMALL,
    add_axes,
    add_text,
    new_figure,
    shortened,
    text_style,
    text_width,
)

NAMED, COUNTED = 100, 20  # largest numbers of classes whose names, and whose counts, have a place at the matrix
SIDE, LARGE_SIDE = 560, 1000  # of the matrix in pixels
NAME_WIDTH, LISTED_WIDTH = 150, 200  # of a name at the matrix and in the list, in pixels
FREQUENT = 20  # confusions that are listed
TOP, LABEL = 48, 46  # height of the title, and of an axis with its label, in pixels
FIGURE_SPACE = "\u2007"  # as wide as a digit
BAR = 100  # width of the colour bar with its text in pixels


def draw_confusion(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], class_names: Sequence[str], title: str
) -> Figure:
    """The confusion matrix of labels [N] and predicted classes [N]: a row for each true class.

    A bar explains the colours. Up to 20 classes have the numbers of images in the cells. For more, the most frequent
    confusions are listed. Up to 100 classes have their names at the matrix. More than 1,000 are drawn as blocks of
    neighbouring classes.
    """
    correct, counted = int((labels == predicted).sum()), len(class_names) <= COUNTED
    title += f": {correct:,} of {len(labels):,} images correct ({100 * correct / max(1, len(labels)):.2f} %)"
    listed = "" if counted else _frequent_confusions(labels, predicted, class_names)
    axes = _axes(class_names, title, BAR + text_width(listed, NORMAL))
    counts = _counts(labels, predicted, len(class_names))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    last = len(class_names) - 0.5
    norm = PowerNorm(1 / 3, 0, 1)  # a confusion of one image in a hundred is seen
    extent = (-0.5, last, last, -0.5)
    image = axes.imshow(shares, cmap=MATRIX, norm=norm, interpolation="nearest", extent=extent)
    _explain(image, listed)
    if counted:
        _write_counts(axes, counts, shares)
    return axes.figure  # type: ignore[return-value]


def _axes(class_names: Sequence[str], title: str, free_width: float) -> Axes:
    """The axes of the matrix with the names of the classes, in a figure with `free_width` pixels at the right."""
    num_classes = len(class_names)
    named = num_classes <= NAMED
    size = NORMAL if num_classes <= COUNTED else SMALL
    side = num_classes * min(90, max(12, SIDE // num_classes)) if named else LARGE_SIDE
    names = [shortened(name, NAME_WIDTH, size) for name in class_names] if named else []
    name_width = max((text_width(name, size) for name in names), default=40)
    upright = name_width < side / num_classes - 4 or not named
    below = 14 if upright else name_width
    figure = new_figure(name_width + LABEL + side + MARGIN + free_width, TOP + side + below + LABEL, title)
    axes = add_axes(figure, name_width + LABEL, TOP, side, side)
    axes.set_xlabel("predicted class", fontsize=NORMAL)
    axes.set_ylabel("true class", fontsize=NORMAL)
    if named:
        style: dict[str, Any] = text_style("".join(names), size)
        axes.set_yticks(range(num_classes), names, **style)
        axes.set_xticks(range(num_classes), names, rotation=0 if upright else 90, **style)
        axes.tick_params(length=2, pad=2)
    return axes


def _counts(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Numbers of images, true classes by predicted ones; at most LARGE_SIDE rows and columns."""
    block = -(-num_classes // LARGE_SIDE)
    rows = -(-num_classes // block)
    cells = labels // block * rows + predicted // block
    return np.bincount(cells, minlength=rows * rows).reshape(rows, rows)


def _write_counts(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.17 else "black"
        text = str(counts[row, column])
        size = SMALL if len(counts) > 12 or len(text) > 5 else NORMAL
        axes.text(column, row, text, color=colour, ha="center", va="center", fontsize=size, parse_math=False)


def _explain(image: AxesImage, listed: str) -> None:
    """Add the bar of colours and the list of confusions at the right."""
    figure, box = image.axes.figure, image.axes.bbox
    assert isinstance(figure, Figure)
    bar = figure.colorbar(image, cax=add_axes(figure, box.x1 + MARGIN, TOP, 14, min(box.height, 300)))
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1], labels=["0 %", "1 %", "5 %", "20 %", "50 %", "100 %"])
    bar.set_label("share of the true class's images", fontsize=NORMAL)
    add_text(figure, box.x1 + BAR, TOP, listed, NORMAL, linespacing=1.5)


def _frequent_confusions(labels: NDArray[np.int64], predicted: NDArray[np.int64], names: Sequence[str]) -> str:
    """A line for each: its number of images, the true and the predicted class."""
    wrong = labels != predicted
    pairs, counts = np.unique(np.stack((labels[wrong], predicted[wrong])), axis=1, return_counts=True)
    lines = ["most frequent confusions: images, true → predicted"]
    for index in np.argsort(-counts, kind="stable")[:FREQUENT]:
        number = f"{counts[index]:,}".rjust(6, FIGURE_SPACE)
        lines.append(
            f"{number}  " + " → ".join(shortened(names[name], LISTED_WIDTH, NORMAL) for name in pairs[:, index])
        )
    return "\n".join(lines)
