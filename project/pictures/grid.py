"""Images side by side with a few lines of text under each.

Shape letters: N images, C channels, H rows, W columns.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from project.pictures.canvas import MARGIN, add_text, new_figure, shortened

ENLARGED, LARGEST = 112, 160  # an image is drawn at least, and at most, as wide or high as this, in pixels
CAPTION = 8  # font size in points
LINE = 14  # height of a line of text in pixels
TOP = 44  # height of the title in pixels


def draw_grid(
    images: NDArray[np.uint8], captions: Sequence[Sequence[str]], title: str, columns: int, keep_end: bool = False
) -> Figure:
    """Images [N, H, W, C], each with lines of text under it.

    Args:
        images: Of any number of channels: fewer than 3 are shown as their mean, of more the first 3 are shown.
        captions: The lines of each image; shortened to the image's width.
        title: Above the images.
        columns: Number of images in a row.
        keep_end: Keep the end of the last line when it is shortened, as the name of a file needs.
    """
    num_lines = max(map(len, captions), default=0)
    height, width = _drawn_size(*images.shape[1:3])
    down, right = height + num_lines * LINE + MARGIN, width + MARGIN
    rows = -(-len(images) // columns)
    figure = new_figure(min(columns, len(images)) * right + MARGIN, TOP + rows * down, title)
    page = np.full((round(figure.bbox.height), round(figure.bbox.width), 3), 255, np.uint8)
    for index, (image, lines) in enumerate(zip(images, captions, strict=True)):
        top, left = TOP + index // columns * down, MARGIN + index % columns * right
        page[top : top + height, left : left + width] = _resized(image, height, width)
        short = [
            shortened(line, width + MARGIN // 2, CAPTION, keep_end and number == num_lines - 1)
            for number, line in enumerate(lines)
        ]
        add_text(figure, left, top + height + 3, "\n".join(short), CAPTION, linespacing=1.1)
    figure.figimage(page)  # pixel for pixel, as one artist
    return figure


def _drawn_size(height: int, width: int) -> tuple[int, int]:
    longest = max(height, width)
    if longest < ENLARGED * 2 / 3:
        factor = -(-ENLARGED // longest)  # a whole number, so that all pixels are equal
        return height * factor, width * factor
    scale = min(1, LARGEST / longest)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """An image [H, W, C] as [height, width, 3]."""
    channels = image.shape[2]
    colours = image[..., :3] if channels >= 3 else np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    enlarged = height >= image.shape[0]
    how = Image.Resampling.NEAREST if enlarged else Image.Resampling.BOX
    return np.asarray(Image.fromarray(np.ascontiguousarray(colours)).resize((width, height), how))
