"""The most confident mistakes: images of which the network is sure, and wrong.

Shape letters: N images, C channels, H rows, W columns.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from project.pictures.grid import draw_grid

NUM_IMAGES, COLUMNS = 24, 8


def most_confident_mistakes(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], confidence: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The indices of at most NUM_IMAGES images that are predicted wrongly, the highest confidence first.

    Images whose confidence [N] is NaN are left out.
    """
    wrong = np.flatnonzero((predicted != labels) & np.isfinite(confidence))
    return wrong[np.argsort(-confidence[wrong], kind="stable")[:NUM_IMAGES]]


def draw_mistakes(
    images: NDArray[np.uint8],
    classes: Sequence[str],
    predicted: Sequence[str],
    confidence: NDArray[np.float64],
    places: Sequence[str],
    title: str,
) -> Figure:
    """Wrongly predicted images with their true class, the predicted class and its probability, and their place.

    Args:
        images: [N, H, W, C].
        classes: Of each image the name of its true class.
        predicted: Of each image the name of the predicted class.
        confidence: [N], the probability of the predicted class.
        places: Of each image its file's name, or its place in the set.
        title: What was measured.
    """
    captions = [
        (f"true: {true}", f"predicted: {other}", _percent(probability), place)
        for true, other, probability, place in zip(classes, predicted, confidence, places, strict=True)
    ]
    return draw_grid(images, captions, title, COLUMNS, keep_end=True)


def _percent(probability: float) -> str:
    """As many digits as tell it from 100 %: 99.98 % is not 100 %."""
    percent = 100 * probability
    return f"{percent:.1f} %" if percent < 99.95 else f"{np.floor(100 * percent) / 100:.2f} %"
