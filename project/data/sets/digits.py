"""The handwritten digits of scikit-learn."""

from functools import cache

import torch

from project.data.division import SPLIT_SEED
from project.data.images import ImagesInMemory
from project.data.module import ImageDataModule


class Digits(ImageDataModule):
    """1,797 handwritten digits of scikit-learn in 10 classes; no download.

    1,437 images are for training and validation, 360 for the test; a permutation with a fixed seed selects these. The
    8x8 grey pixels are enlarged to 3x32x32, so that they fit any experiment's network.
    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, licence CC BY 4.0.
    """

    class_names = tuple("0123456789")
    image_shape = (3, 32, 32)
    # Measured over the 1,437 images.
    mean = (0.30495,) * 3
    std = (0.37563,) * 3
    training_images = 1437

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        images = _all_images()
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
        return images[order[: self.training_images]], images[order[self.training_images :]]


@cache  # scikit-learn reads them from a text, which takes longer than an epoch of training
def _all_images() -> ImagesInMemory:
    from sklearn.datasets import load_digits  # takes a fifth of a second to import

    digits = load_digits()
    grey = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)
    pixels = grey.repeat_interleave(4, 1).repeat_interleave(4, 2)[..., None].expand(-1, -1, -1, 3).contiguous()
    return ImagesInMemory(pixels, torch.from_numpy(digits.target).long())
