"""The protocols that a network may follow in addition to `forward`. All are optional, and none has to be inherited.

Shape letters: N images of a batch, C channels, H rows, W columns.
"""

from collections.abc import Sequence
from typing import Protocol, TypeGuard, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class InitializedFromImages(Protocol):
    """A network that computes some of its weights from training images."""

    def initialize(self, images: Tensor) -> None:
        """Set these weights from normalised training images [N, C, H, W], at most 1,000.

        Called once, before the first step of a run. A run that starts from a checkpoint does not call it.
        """


@runtime_checkable
class NormalisesImages(Protocol):
    """A network that has a normalisation of its own, as pretrained networks have."""

    def renormalise_from(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Prepare for images that the data normalises in this way.

        Called before each fit, validation, test and prediction.

        Args:
            mean: Of each channel [C], of pixels in [0, 1].
            std: The standard deviation of the same; above 0.
        """


@runtime_checkable
class AuxiliaryHeads(Protocol):
    """A network whose `forward` gives a tuple in training: its logits, and those of each auxiliary head, [N, classes].

    In evaluation it gives the first logits alone.
    """

    auxiliary_weight: float
    """Factor of the loss of each auxiliary head in the loss that training minimises; read in every training step."""


class HasBackbone(Protocol):
    """A network of a backbone and new layers. Finetuning trains the new layers first; without this, the last layer."""

    backbone: nn.Module
    """The pretrained part. Finetuning freezes it, and later trains it at a lower learning rate."""


def has_backbone(network: nn.Module) -> TypeGuard[HasBackbone]:
    """Whether the network follows HasBackbone: from Python 3.12 on, isinstance does not see modules in a module."""
    return isinstance(getattr(network, "backbone", None), nn.Module)
