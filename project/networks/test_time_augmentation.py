"""Test-time augmentation: the mean logits of several views of an image, and their probabilities."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from project.checkpoints.checks import Views as Views

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


def views_probabilities(network: Network, images: Tensor, calibration: Mapping[str, Any]) -> Tensor:
    """Return the probabilities [N, num_classes] of images [N, C, H, W].

    Args:
        calibration: Of a checkpoint: the views, and the temperature by which their mean logits are divided. Without
            any, these are the probabilities of the images themselves.
    """
    logits = views_logits(network, images, calibration.get("views", "plain"), network(images))
    temperature: float = calibration.get("temperature", 1.0)
    return (logits.float() / temperature).softmax(1)
