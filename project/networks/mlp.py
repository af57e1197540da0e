"""The article's multi-layer perceptron."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Literal

from torch import Tensor, nn

Activation = Literal["relu", "tanh", "sigmoid", "gelu", "none"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "none": nn.Identity,
}


class MLP(nn.Sequential):
    """Fully connected layers with a nonlinearity between them."""

    def __init__(
        self,
        num_classes: int,
        image_shape: tuple[int, int, int] = (3, 32, 32),
        hidden: Sequence[int] = (128, 64),
        activation: Activation = "relu",
        relu_on_logits: bool = False,
    ) -> None:
        """Build the layers.

        Args:
            num_classes: Number of logits; linked from the data.
            image_shape: (C, H, W) of an image, flattened to C*H*W inputs; linked from the data.
            hidden: Units of each hidden layer, each at least 1; empty for one linear layer.
            activation: Function after each hidden layer; with none, the network is a linear function.
            relu_on_logits: Apply a ReLU to the logits too, as in the article. It sets negative logits to 0.
        """
        if any(units < 1 for units in hidden):
            raise ValueError(f"MLP's hidden layers {list(hidden)} must have at least 1 unit each")
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise((prod(image_shape), *hidden)):
            layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
        layers.append(nn.Linear((prod(image_shape), *hidden)[-1], num_classes))
        if relu_on_logits:
            layers.append(nn.ReLU())
        super().__init__(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to logits [N, num_classes]."""
        logits: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return logits
