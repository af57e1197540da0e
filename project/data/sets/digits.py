"""Handwritten digits that come with scikit-learn: a data set that needs no download."""

import torch
from sklearn.datasets import load_digits

from project.data.images import Images
from project.data.module import SPLIT_SEED, ImageDataModule


class Digits(ImageDataModule):
    """1,797 handwritten digits (Alpaydin and Kaynak, 1998), their 8x8 grey pixels shown as 3x32x32.

    360 of them, chosen by a fixed seeded permutation, are the test set.
    """

    class_names = tuple("0123456789")
    image_shape = (3, 32, 32)
    # Measured over the 1,437 images that are not the test set's.
    mean = (0.30495,) * 3
    std = (0.37563,) * 3
    training_images = 1437

    def load(self) -> tuple[Images, Images]:
        digits = load_digits()
        grey = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)
        pixels = grey.repeat_interleave(4, 1).repeat_interleave(4, 2)[..., None].expand(-1, -1, -1, 3).contiguous()
        images = Images(pixels, torch.from_numpy(digits.target).long())
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
        return images[order[: self.training_images]], images[order[self.training_images :]]
