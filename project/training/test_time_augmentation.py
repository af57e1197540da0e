"""Test-time augmentation: the mean logits of several views of an image."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

Views = Literal["plain", "mirror", "mirror_shift"]
Network = Callable[[Tensor], Tensor]


def views_logits(network: Network, images: Tensor, views: Views, plain: Tensor) -> Tensor:
    """Return the mean logits [N, num_classes] of several `views` of images [N, C, H, W].

    mirror: the mean of the image and its mirror image. mirror_shift: half of that mean, and half of the same mean for
    the image moved by a pixel up and left, and down and right, with reflected borders (Jordan, arXiv 2404.00498,
    section 3.5).

    Args:
        plain: The logits [N, num_classes] of the images themselves.
    """
    if views == "plain":
        return plain
    mirrored = (plain + network(images.flip(3))) / 2
    if views == "mirror":
        return mirrored
    height, width = images.shape[2:]
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="reflect")
    moved = (padded[:, :, place : place + height, place : place + width] for place in (0, 2))
    first, second = (views_logits(network, view, "mirror", network(view)) for view in moved)
    return mirrored / 2 + (first + second) / 4
