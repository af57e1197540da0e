"""Equal shares of all classes in the training, however many images each has.

Shape letters: M images of a set, K classes.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from project.data.augmentation import BALANCE, mix_seed
from project.system.errors import UserError

Balance = Literal["none", "oversample", "weights"]


def check_balance(balance: Balance, counts: Sequence[int], class_names: Sequence[str]) -> None:
    """Raises UserError if a class that has to be balanced has no training images."""
    empty = [name for name, count in zip(class_names, counts, strict=True) if not count]
    if empty and balance != "none":
        problem = f"class {empty[0]} has no training images"
        raise UserError(f"--data.balance {balance}: {problem}; leave it out by --data.classes, or leave this out")


def class_weights(counts: Sequence[int]) -> Tensor:
    """The weight [K] float32 of each class: inversely proportional to its number of images, with mean 1 over them."""
    images = torch.tensor(counts, dtype=torch.float64)
    return (images.sum() / (len(counts) * images)).float()


def draw_by_class(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """The places [M] int64 of the images that an epoch has, with equally many of each class, which come class by class.

    The numbers of two classes differ by at most 1, and so do those of two images of a class. The choice is a function
    of (seed, epoch).

    Args:
        labels: [M] int64 on the CPU, with at least one image of each class.
        seed: Of the run.
        epoch: From 0.
    """
    generator = torch.Generator().manual_seed(mix_seed(seed, epoch, BALANCE))
    num_images, counts = len(labels), labels.bincount()
    order = torch.randperm(num_images, generator=generator)
    by_class = order[labels[order].argsort(stable=True)]
    shares = torch.full_like(counts, num_images // len(counts))
    shares[torch.randperm(len(counts), generator=generator)[: num_images % len(counts)]] += 1
    drawn = torch.arange(len(counts)).repeat_interleave(shares)
    number_in_class = torch.arange(num_images) - (shares.cumsum(0) - shares)[drawn]
    return by_class[(counts.cumsum(0) - counts)[drawn] + number_in_class % counts[drawn]]
