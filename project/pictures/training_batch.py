"""The images that a network is trained on."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from project.pictures.grid import draw_grid

NUM_IMAGES, COLUMNS = 32, 8


def draw_training_batch(images: NDArray[np.uint8], classes: Sequence[Sequence[str]], batch_size: int) -> Figure:
    """The first images [N, H, W, C] of a training batch, at most NUM_IMAGES of them, each with its classes.

    The images of mixed labels have two classes.
    """
    shown = images[:NUM_IMAGES]
    size = f"{images.shape[2]} x {images.shape[1]} pixels"
    title = f"First training batch as the network gets it: {len(shown)} of {batch_size} images, {size}"
    return draw_grid(shown, classes[:NUM_IMAGES], title, COLUMNS)
