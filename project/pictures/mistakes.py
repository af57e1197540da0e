"""The most confident mistakes: images of which the network is sure, and wrong.

Shape letters: N images, K classes, C channels, H rows, W columns.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from project.pictures.grid import draw_grid

NUM_IMAGES, COLUMNS = 24, 8


def most_confident_mistakes(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """The indices of at most NUM_IMAGES images that are predicted wrongly, the highest probability first.

    Images whose probabilities [N, K] are NaN are left out.
    """
    wrong = np.flatnonzero((probabilities.argmax(1) != labels) & np.isfinite(probabilities).all(1))
    order = np.argsort(-probabilities[wrong].max(1, initial=0), kind="stable")
    return wrong[order[:NUM_IMAGES]]


def draw_mistakes(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    places: Sequence[str],
    class_names: Sequence[str],
    title: str,
) -> Figure:
    """Wrongly predicted images with their true class, the predicted class and its probability, and their place.

    Args:
        images: [N, H, W, C].
        labels: [N].
        probabilities: [N, K].
        places: Of each image its file's name, or its place in the set.
        class_names: [K].
        title: What was measured.
    """
    captions = [
        (f"true: {class_names[label]}", f"predicted: {class_names[row.argmax()]}", _percent(row.max()), place)
        for label, row, place in zip(labels, probabilities, places, strict=True)
    ]
    return draw_grid(images, captions, title, COLUMNS, keep_end=True)


def _percent(probability: float) -> str:
    """As many digits as tell it from 100 %: 99.98 % is not 100 %."""
    percent = 100 * probability
    return f"{percent:.1f} %" if percent < 99.95 else f"{np.floor(100 * percent) / 100:.2f} %"
