"""The reliability diagram: how often the network is right when it is that sure.

Shape letter: N images.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from project.pictures.canvas import BLUE, MARGIN, NORMAL, VERMILION, add_axes, new_figure

BINS = 15
STYLES: tuple[dict[str, Any], ...] = ({"color": BLUE, "marker": "o"}, {"color": VERMILION, "marker": "s"})
SIDE, BELOW = 400, 130  # of the diagram and of the numbers of images below it, in pixels
LEFT, TOP = 96, 110
FEWEST = 0.5  # lower end of the logarithmic axis of the numbers of images


class Bins(NamedTuple):
    """Images in bins of equal width by their confidence, the probability of the predicted class.

    Each is [BINS]: the number of images, their mean confidence, and the share of them that is correct. Empty bins
    have NaN in the last two.
    """

    images: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    def calibration_error(self) -> float:
        """Expected calibration error: the mean distance of accuracy and confidence over all images; NaN if none."""
        distance = np.nan_to_num(np.abs(self.accuracy - self.confidence)) * self.images
        return float(distance.sum() / self.images.sum()) if self.images.any() else float("nan")


def reliability_bins(correct: NDArray[np.bool_], confidence: NDArray[np.float64]) -> Bins:
    """The bins of images [N]; those whose confidence is NaN are left out."""
    finite = np.isfinite(confidence)
    correct, confidence = correct[finite], confidence[finite]
    numbers = np.minimum((confidence * BINS).astype(int), BINS - 1)
    images = np.bincount(numbers, minlength=BINS)
    divisors = np.where(images, images, np.nan)
    sums = (np.bincount(numbers, weights, BINS) for weights in (confidence, correct))
    return Bins(images, *(total / divisors for total in sums))


def draw_reliability(correct: NDArray[np.bool_], curves: Mapping[str, NDArray[np.float64]], title: str) -> Figure:
    """The reliability diagram of one or two sets of probabilities, with the number of images in each bin.

    Args:
        correct: [N], whether the predicted class of an image is the true one.
        curves: Of each name in the legend the confidence [N], the probability of the predicted class.
        title: What was measured.
    """
    figure = new_figure(LEFT + SIDE + 20, TOP + SIDE + BELOW + 66, title)
    diagram = add_axes(figure, LEFT, TOP, SIDE, SIDE)
    numbers = add_axes(figure, LEFT, TOP + SIDE + 14, SIDE, BELOW)
    diagram.plot((0, 1), (0, 1), color="0.5", linestyle="dashed", linewidth=1, label="as often correct as sure")
    largest = 1
    for (name, confidence), style in zip(curves.items(), STYLES, strict=False):
        bins = reliability_bins(correct, confidence)
        used, low, high = bins.images > 0, *_interval(bins)
        legend = f"{name}: expected calibration error {bins.calibration_error():.4f}"
        points: dict[str, Any] = {"linestyle": "none", "markersize": 5, "clip_on": False, "zorder": 3}
        diagram.plot(bins.confidence[used], bins.accuracy[used], label=legend, **points, **style)
        diagram.vlines(bins.confidence[used], low[used], high[used], color=style["color"], linewidth=1)
        edges = np.linspace(0, 1, BINS + 1)
        numbers.stairs(np.maximum(bins.images, FEWEST), edges, baseline=FEWEST, color=style["color"])
        largest = max(largest, bins.images.max())
    diagram.set(xlim=(0, 1), ylim=(0, 1), xticklabels=[])
    diagram.set_ylabel("share of correct images, with 95 % intervals", fontsize=NORMAL)
    diagram.legend(loc="lower left", bbox_to_anchor=((MARGIN - LEFT) / SIDE, 1), fontsize=NORMAL, frameon=False)
    numbers.set(xlim=(0, 1), yscale="log", ylim=(FEWEST, 2 * largest))
    powers = [10**power for power in range(len(str(largest)))]
    numbers.set_yticks(powers, [f"{power:,}" for power in powers])
    numbers.set_yticks([], minor=True)
    numbers.set_xlabel("probability of the predicted class", fontsize=NORMAL)
    numbers.set_ylabel("images in the bin\n(logarithmic)", fontsize=NORMAL)
    for axes in (diagram, numbers):
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    return figure


def _interval(bins: Bins) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's 95 % interval of the accuracy in each bin (Wilson 1927)."""
    normal = 1.96**2 / np.maximum(bins.images, 1)
    centre = bins.accuracy + normal / 2
    half = np.sqrt(normal * bins.accuracy * (1 - bins.accuracy) + normal**2 / 4)
    return (centre - half) / (1 + normal), (centre + half) / (1 + normal)
