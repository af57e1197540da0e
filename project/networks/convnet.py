"""The article's convolutional network."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

Pooling = Literal["max", "average"]


class ConvNet(nn.Module):
    """Four 3x3 convolutions without padding, each followed by ReLU, then two linear layers.

    2x2 pooling follows the first, second and fourth convolution: 32 pixels a side become 30, 15, 13, 6, 4, 2, 1.
    With the default options these are the article's layers; 299,434 parameters for 3 channels and 10 classes.
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: tuple[int, int, int] = (3, 32, 32),
        widths: tuple[int, int, int, int] = (64, 128, 128, 64),
        hidden: int = 32,
        batch_norm: bool = False,
        pooling: Pooling = "max",
    ) -> None:
        """Build the layers.

        Args:
            num_classes: Number of logits; linked from the data.
            image_shape: (C, H, W) of an image; H and W at least 30; linked from the data.
            widths: Output channels of the four convolutions; each at least 1.
            hidden: Units of the first linear layer; at least 1.
            batch_norm: Batch normalisation after each convolution, which then has no bias. The article has none.
            pooling: Kind of the three 2x2 poolings, max or average.
        """
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 30:
            raise ValueError(f"ConvNet needs images of at least 30x30 pixels, not {height}x{width}")
        if min(*widths, hidden) < 1:
            raise ValueError(f"ConvNet's widths {tuple(widths)} and hidden {hidden} must be at least 1")
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise((channels, *widths))):
            layers.append(nn.Conv2d(before, after, 3, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(after))
            if number == 2:
                layers.append(nn.ReLU())
            elif pooling == "max":  # ReLU has a quarter of the pixels after the maximum, and gives the same numbers
                layers += (nn.MaxPool2d(2), nn.ReLU())
            else:
                layers += (nn.ReLU(), nn.AvgPool2d(2))
        self.features = nn.Sequential(*layers, nn.Flatten())
        flat = widths[-1] * _last_side(height) * _last_side(width)
        self.head = nn.Sequential(nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to logits [N, num_classes]."""
        logits: Tensor = self.head(self.features(images))
        return logits


def _last_side(side: int) -> int:
    """Pixels along one side that are left of `side` before the linear layers."""
    return ((((side - 2) // 2) - 2) // 2 - 4) // 2
