"""What the networks of libraries have in common: their own image size and normalisation, and new last layers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Preset:
    """How the images were prepared with which the weights of a network were trained."""

    side: int
    """In pixels."""
    interpolation: str
    """Of torch.nn.functional.interpolate."""
    mean: tuple[float, ...]
    """Of each channel, of pixels in [0, 1]."""
    std: tuple[float, ...]


class PretrainedNetwork(nn.Module):
    """A network of a library whose last layer is a new one.

    The network resizes and normalises images as its weights were trained. Grey images become three equal channels.
    `backbone` is the network without its last layer. `heads` are the new last layer and those of auxiliary heads, all
    of them linear. project.networks.pretrained loads the weights; the command line calls it for runs that start neither
    from a checkpoint nor from --model.weights.
    """

    scale: Tensor
    offset: Tensor
    name: str
    weights: str | None

    def __init__(self, backbone: nn.Module, sizes: Sequence[int], num_classes: int, preset: Preset) -> None:
        """Add the heads.

        Args:
            backbone: From images [N, 3, side, side] to features [N, size]; in training also to a tuple of these.
            sizes: Number of features for each head.
            num_classes: Number of logits.
            preset: How the network expects images.
        """
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleList(nn.Linear(size, num_classes) for size in sizes)
        self.side, self.interpolation = preset.side, preset.interpolation
        self.mean, self.std = preset.mean, preset.std
        self.register_buffer("scale", torch.ones(3, 1, 1))
        self.register_buffer("offset", torch.zeros(3, 1, 1))

    def renormalise_from(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Expect images whose pixels in [0, 1] were normalised by `mean` and `std` [C] of each channel."""
        own_mean, own_std = torch.tensor(self.mean), torch.tensor(self.std)
        self.scale.copy_((torch.tensor(std) / own_std)[:, None, None])
        self.offset.copy_(((torch.tensor(mean) - own_mean) / own_std)[:, None, None])

    def input(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] as the backbone takes them, [N, 3, side, side]."""
        images = images * self.scale + self.offset
        if images.shape[2:] == (self.side, self.side):
            return images
        return nn.functional.interpolate(images, (self.side, self.side), mode=self.interpolation, antialias=True)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Images [N, C, H, W] to logits [N, num_classes]. With auxiliary heads, in training, a tuple of such logits."""
        features = self.backbone(self.input(images))
        if isinstance(features, Tensor):
            logits: Tensor = self.heads[0](features)
            return logits
        return tuple(head(part) for head, part in zip(self.heads, features, strict=True))


def check_channels(network: str, channels: int) -> None:
    """Raises ValueError for images that are neither grey nor have three channels."""
    if channels not in (1, 3):
        raise ValueError(f"{network} needs images of 1 or 3 channels, not {channels}")
