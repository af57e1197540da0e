"""A small convolutional network that learns fast, with a fixed whitening of its input."""

import torch
from torch import Tensor, nn

from project.networks.convolution import Convolution


class WhitenedConvNet(nn.Module):
    """Whitening convolution, then three groups of two 3x3 convolutions, then one linear layer.

    The family of airbench (Jordan, arXiv 2404.00498): the first layer decorrelates patches of the image and is computed
    from the training images, not learned; convolutions begin as the identity on their first channels; batch
    normalisation has no scale. Images may have any size from 16 pixels a side: the last features are pooled to 1x1.
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: tuple[int, int, int] = (3, 32, 32),
        widths: tuple[int, int, int] = (64, 256, 256),
        patch: int = 2,
    ) -> None:
        """Build the layers.

        Args:
            num_classes: Number of logits; linked from the data.
            image_shape: (C, H, W) of an image; H and W at least 16; linked from the data.
            widths: Output channels of the three groups; each at least 1.
            patch: Side in pixels of the whitened patches, 1 to 4; the first layer has 2 C patch^2 channels.
        """
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 16:
            raise ValueError(f"WhitenedConvNet needs images of at least 16x16 pixels, not {height}x{width}")
        if min(widths) < 1 or not 1 <= patch <= 4:
            raise ValueError(f"WhitenedConvNet's widths {tuple(widths)} must be at least 1, its patch {patch} 1 to 4")
        self.whitening = Whitening(channels, patch)
        groups = zip((self.whitening.out_channels, *widths), widths, strict=False)
        self.groups = nn.Sequential(*(_group(before, after) for before, after in groups))
        self.head = nn.Linear(widths[-1], num_classes, bias=False)
        with torch.no_grad():
            self.head.weight.div_(widths[-1])  # the first logits are nearly equal, whatever the features

    def initialize(self, images: Tensor) -> None:
        """Compute the whitening from normalised training images [N, C, H, W]."""
        self.whitening.fit(images)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to logits [N, num_classes]."""
        features: Tensor = self.groups(nn.functional.gelu(self.whitening(images)))
        # Not amax((2, 3)): compiled on CUDA its gradients are not finite (torch 2.11 on an H200).
        logits: Tensor = self.head(features.flatten(2).max(2).values)
        return logits


class Whitening(nn.Conv2d):
    """Patches of the image in the basis of their principal components, each of variance 1, with both signs."""

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__(channels, 2 * channels * patch**2, patch, bias=False)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Tensor, floor: float = 5e-4) -> None:
        """Set the weights from `images` [N, C, H, W]; `floor` is added to each component's variance.

        All devices give the same weights: the CPU computes them in float64, and a rule chooses each component's sign.
        """
        side, _ = self.kernel_size
        patches = images.cpu().double().unfold(2, side, 1).unfold(3, side, 1)  # [N, C, H', W', side, side]
        covariance = patches.permute(1, 4, 5, 0, 2, 3).flatten(3).flatten(0, 2).cov()
        # Grey images have several components of variance 0. A little noise decides which, the same on all devices,
        # and none is exactly 0 in all images, which would make batch normalisation's gradients infinite.
        noise = torch.randn(covariance.shape, generator=torch.Generator().manual_seed(0), dtype=covariance.dtype)
        covariance += 1e-10 * covariance.diagonal().mean() * (noise + noise.T)
        variances, components = torch.linalg.eigh(covariance)
        rows = (with_fixed_signs(components) / (variances.clamp(min=0) + floor).sqrt()).T.reshape(
            -1, *self.weight.shape[1:]
        )
        self.weight.copy_(torch.cat((rows, -rows)))


def with_fixed_signs(vectors: Tensor) -> Tensor:
    """Columns [D, K] with the signs that make the first of each column's largest entries positive.

    The largest are those of at least nine tenths of the largest size. In components of images two entries often differ
    by their sign alone, and rounding would decide which of them is the largest.
    """
    sizes = vectors.abs()
    first = (sizes >= 0.9 * sizes.amax(0)).int().argmax(0, keepdim=True)
    return vectors * vectors.gather(0, first).sign()


def _group(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        *(_convolution(before, after), nn.MaxPool2d(2), _normalisation(after), nn.GELU()),
        *(_convolution(after, after), _normalisation(after), nn.GELU()),
    )


def _convolution(before: int, after: int) -> nn.Conv2d:
    convolution = Convolution(before, after)
    nn.init.dirac_(convolution.weight[:before])
    return convolution


def _normalisation(channels: int) -> nn.BatchNorm2d:
    """Without a scale, because the next layer can replace it. The running averages follow fast, for short runs."""
    normalisation = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    normalisation.weight.requires_grad_(False)
    return normalisation
