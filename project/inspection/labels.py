"""Labels that a trained network contradicts most. Some may be wrong; the others are mistakes of the network.

Only images on which the network was not trained say something of their labels: it may know the others by heart.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from project.inspection.images import PARTS, Images
from project.use.predictor import Predictor

NOT_TRAINED_ON = ("validation", "test")


class Suspect(NamedTuple):
    """An image that the network takes for another class."""

    image: int
    """Its place among all images."""
    predicted: int
    """The most probable class."""
    probability: float
    """Of that class."""
    label_probability: float
    """Of the class of the label."""


def find_suspects(predictor: Predictor, images: Images) -> list[Suspect]:
    """The validation and test images that the network takes for another class, the most suspicious one first."""
    first = len(images.sets[0])
    answers = [predictor.probabilities(pixels.movedim(-1, 1)).cpu() for pixels in _evaluation_pixels(images)]
    if not answers:
        return []
    probabilities, labels = torch.cat(answers), images.labels[first:]
    (most, predicted), of_label = probabilities.max(1), _of_label(probabilities, labels)
    return [
        Suspect(first + place, int(predicted[place]), most[place].item(), of_label[place].item())
        for place in rank(probabilities, labels).tolist()
    ]


def rank(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The places of the images that are predicted as another class, the most suspicious one first.

    That is the one whose label has the lowest probability. Of 250 swapped labels among 5,000 validation images, 201
    were among the first 250 suspects of a run of convnet.yaml. By the ratio of the probabilities of the predicted class
    and of the label they were 195, and by their difference 165.

    Args:
        probabilities: [N, K].
        labels: [N].
    """
    of_label = _of_label(probabilities, labels)
    order = of_label.argsort(stable=True)
    return order[(of_label < probabilities.max(1).values)[order]]


def _evaluation_pixels(images: Images) -> Iterator[Tensor]:
    return (pixels for part, pixels in images if PARTS[part] in NOT_TRAINED_ON)


def _of_label(probabilities: Tensor, labels: Tensor) -> Tensor:
    """[N], the probability of each image's label."""
    return probabilities.gather(1, labels[:, None])[:, 0]
