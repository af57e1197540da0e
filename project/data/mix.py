"""Mixing of training images and their labels: mixup and CutMix.

Shape letters: N images of a batch, K classes, C channels, H rows, W columns.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import v2

from project.data.augmentation import mix_seed
from project.system.errors import UserError
from project.system.hardware import copy_to


@dataclass(frozen=True)
class Mix:
    """Mixing of each training image with another image of its batch, and of their labels in the same shares.

    Args:
        mixup: Mix whole images by mixup, with shares from Beta(mixup, mixup): 0.2 for photographs, up to 1 for small
            images (Zhang et al., arXiv 1710.09412). null for none.
        cutmix: Paste a rectangle of the other image by CutMix, with areas from Beta(cutmix, cutmix): 1 (Yun et al.,
            arXiv 1905.04899). null for none. With mixup too, each is used half of the times.
        probability: Probability that a batch is mixed, above 0, at most 1. The papers mix every batch; CutMix's program
            mixes half of them on CIFAR.
        each: batch: one share or rectangle for all images of a batch, as in the papers; image: one for each image.
    """

    mixup: float | None = None
    cutmix: float | None = None
    probability: float = 1.0
    each: Literal["batch", "image"] = "batch"


class BatchMix:
    """Mixes batches of N images; image i is mixed with image i - 1. The choices are a function of a seed."""

    def __init__(self, mix: Mix, num_classes: int, batch_size: int) -> None:
        """Check the options.

        Raises:
            UserError: an option is out of range.
        """
        alphas = {"mixup": mix.mixup, "cutmix": mix.cutmix}
        self.alphas = {name: alpha for name, alpha in alphas.items() if alpha is not None}
        if not self.alphas:
            raise UserError("--data.mix: mixes nothing; give mixup or cutmix, as in '{mixup: 0.2}'")
        for name, alpha in self.alphas.items():
            if alpha <= 0:
                raise UserError(f"--data.mix.{name} {alpha}: give a number above 0")
        if not 0 < mix.probability <= 1:
            raise UserError(f"--data.mix.probability {mix.probability}: give a number above 0, at most 1")
        if batch_size < 2:
            raise UserError(f"--data.batch_size {batch_size}: --data.mix mixes the images of a batch; give at least 2")
        self.mix, self.num_classes = mix, num_classes
        kinds = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
        self.transforms = [kinds[name](alpha=alpha, num_classes=num_classes) for name, alpha in self.alphas.items()]

    def apply(self, images: Tensor, labels: Tensor, *seed: int) -> tuple[Tensor, Tensor]:
        """Mix images [N, C, H, W] and labels [N] int64, of which the labels become shares [N, K] float32.

        It sets the state of torch's generator.

        Args:
            images: Normalised.
            labels: Of the images.
            seed: Whole numbers that identify the batch.
        """
        rng = np.random.default_rng(mix_seed(*seed))
        if self.mix.each == "image":
            return self._mix_each(images, labels, rng)
        if rng.random() >= self.mix.probability:
            return images, self._shares(labels)
        transform = self.transforms[rng.integers(len(self.transforms))]
        torch.default_generator.manual_seed(int(rng.integers(2**63)))
        mixed, shares = transform(images, labels)
        return mixed.contiguous(memory_format=torch.channels_last), shares

    def _mix_each(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mix with a choice for each image."""
        count, _, *size = images.shape
        names = rng.choice(list(self.alphas), count)
        drawn = {name: rng.beta(alpha, alpha, count) for name, alpha in self.alphas.items()}
        kept = np.ones((count, *size))  # the share of the image in each pixel
        if "mixup" in drawn:
            kept = np.where((names == "mixup")[:, None, None], drawn["mixup"][:, None, None], kept)
        if "cutmix" in drawn:
            inside = (names == "cutmix")[:, None, None] & _rectangles(drawn["cutmix"], size, rng)
            kept = np.where(inside, 0.0, kept)
        kept = np.where((rng.random(count) < self.mix.probability)[:, None, None], kept, 1.0)
        own = copy_to(torch.from_numpy(kept).to(images.dtype), images.device)
        labels = self._shares(labels)
        shares = copy_to(torch.from_numpy(kept.mean((1, 2))).to(labels.dtype), images.device)[:, None]
        return images.roll(1, 0).lerp(images, own[:, None]), labels.roll(1, 0).lerp(labels, shares)

    def _shares(self, labels: Tensor) -> Tensor:
        return nn.functional.one_hot(labels, self.num_classes).float()


def _rectangles(kept: NDArray[np.float64], size: list[int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """[N, H, W], true inside of CutMix's rectangles, as torchvision chooses them.

    Args:
        kept: [N], the share of the area outside, before a rectangle is cut at the border of the image.
        size: H and W.
        rng: Draws the centres.
    """
    half = 0.5 * np.sqrt(1 - kept)
    within: list[NDArray[np.bool_]] = []
    for length in reversed(size):
        centre, reach = rng.integers(length, size=len(kept)), (half * length).astype(int)
        places = np.arange(length)
        within.append((places >= (centre - reach)[:, None]) & (places < (centre + reach)[:, None]))
    columns, rows = within
    return np.logical_and(rows[:, :, None], columns[:, None, :])
