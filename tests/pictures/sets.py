"""Made-up results of a test, of any number of classes."""

import numpy as np
from numpy.typing import NDArray


def labels_and_probabilities(
    num_images: int, num_classes: int, sharpness: float = 4.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels [N] and probabilities [N, K] of a network that is right more often the larger `sharpness` is."""
    random = np.random.default_rng(num_classes)
    labels = random.integers(0, num_classes, num_images)
    logits = random.normal(size=(num_images, num_classes))
    logits[np.arange(num_images), labels] += sharpness
    exponentials = np.exp(logits)
    return labels, exponentials / exponentials.sum(1, keepdims=True)
