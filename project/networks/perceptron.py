"""Rosenblatt's perceptron: one linear unit, and the criterion that it learns by."""

from math import prod

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """One linear unit for two classes: the second class if its score w.x + b is positive, else the first.

    Rosenblatt, "The perceptron", Psychological Review 65 (1958). Learns by PerceptronCriterion and SGD.
    """

    def __init__(self, num_classes: int, image_shape: tuple[int, int, int] = (3, 32, 32)) -> None:
        """Begin with weights of 0, as in Novikoff's bound on the number of mistakes (1962).

        Args:
            num_classes: Must be 2: choose two by --data.classes; linked from the data.
            image_shape: (C, H, W) of an image, flattened to C*H*W inputs; linked from the data.
        """
        super().__init__()
        if num_classes != 2:
            raise ValueError(
                f"Perceptron tells two classes apart, not {num_classes}: name two by --data.classes, as in '[cat, dog]'"
            )
        self.unit = nn.Linear(prod(image_shape), 1)
        nn.init.zeros_(self.unit.weight)
        nn.init.zeros_(self.unit.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to logits [N, 2], which are the negative score and the score."""
        score = self.unit(images.flatten(1))
        return torch.cat((-score, score), 1)


class PerceptronCriterion(nn.Module):
    """max(0, -y s), averaged over the batch: y is -1 for class 0 and +1 for class 1, s half the logits' difference.

    With SGD, a learning rate of 1 and a batch size of 1 its descent is Rosenblatt's rule: w + y x after a mistake, else
    w. A score of 0 is a mistake.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits [N, 2] and labels [N] to one number of at least 0. Raises ValueError for more classes."""
        if logits.shape[1] != 2:
            raise ValueError(f"it tells two classes apart, not {logits.shape[1]}: name two by --data.classes")
        margins = (2 * labels - 1) * (logits[:, 1] - logits[:, 0]) / 2
        return torch.where(margins <= 0, -margins, 0.0).mean()
