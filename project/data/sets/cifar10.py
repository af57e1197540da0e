"""CIFAR-10: 60,000 colour photographs of 32x32 pixels in ten classes (Krizhevsky, 2009)."""

from pathlib import Path
from typing import Any

import torch
from torchvision import datasets

from project.data.download import Archive, RemoteFile
from project.data.images import Images
from project.data.module import ImageDataModule


class CIFAR10(ImageDataModule):
    """CIFAR-10: 50,000 images for training and validation, 10,000 for the test."""

    class_names: tuple[str, ...] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    image_shape = (3, 32, 32)
    # Measured over the 50,000 training images; the article takes MNIST's constants by mistake.
    mean: tuple[float, ...] = (0.49140, 0.48216, 0.44653)
    std: tuple[float, ...] = (0.24703, 0.24349, 0.26159)
    training_images = 50_000
    official = datasets.CIFAR10

    def __init__(self, data_dir: str = "data", **options: Any) -> None:
        """Check the options; nothing is read yet.

        Args:
            data_dir: Folder that holds, or will hold, cifar-10-batches-py; fetched once (170 MB) where it is missing.
        """
        super().__init__(**options)
        self.data_dir = Path(data_dir)

    def prepare_data(self) -> None:
        official = self.official
        files = dict([*official.train_list, *official.test_list])
        files[official.meta["filename"]] = official.meta["md5"]
        archive = RemoteFile([official.url], official.tgz_md5)
        Archive(archive, official.base_folder, files).prepare(self.data_dir)

    def load(self) -> tuple[Images, Images]:
        return self._read(train=True), self._read(train=False)

    def _read(self, train: bool) -> Images:
        official = self.official(self.data_dir, train=train)
        return Images(torch.from_numpy(official.data).contiguous(), torch.tensor(official.targets))
