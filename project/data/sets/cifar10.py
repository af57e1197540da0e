"""CIFAR-10."""

from pathlib import Path
from typing import Any

import torch
from torchvision import datasets

from project.data.download import Archive, RemoteFile
from project.data.images import ImagesInMemory
from project.data.module import ImageDataModule


class CIFAR10(ImageDataModule):
    """CIFAR-10: colour photographs of 32x32 pixels in 10 classes.

    50,000 images are for training and validation, 10,000 for the test.
    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
    https://www.cs.toronto.edu/~kriz/cifar.html, which states no licence.
    """

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
    # Measured over the 50,000 training images; the article takes MNIST's values by mistake.
    mean: tuple[float, ...] = (0.49140, 0.48216, 0.44653)
    std: tuple[float, ...] = (0.24703, 0.24349, 0.26159)
    training_images = 50_000
    torchvision_class = datasets.CIFAR10

    def __init__(self, data_dir: str = "data", **options: Any) -> None:
        """Check the options. The images are not read yet.

        Args:
            data_dir: Directory of the folder cifar-10-batches-py, which is downloaded once (170 MB) if it is missing.
        """
        super().__init__(**options)
        self.data_dir = Path(data_dir)

    def prepare_data(self) -> None:
        """Download the images if they are missing. Raises UserError if a file is damaged or cannot be fetched."""
        source = self.torchvision_class
        md5s = dict([*source.train_list, *source.test_list])
        md5s[source.meta["filename"]] = source.meta["md5"]
        archive = RemoteFile([source.url], source.tgz_md5)
        Archive(archive, source.base_folder, md5s).prepare(self.data_dir)

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        return self._read(train=True), self._read(train=False)

    def _read(self, train: bool) -> ImagesInMemory:
        images = self.torchvision_class(self.data_dir, train=train)
        return ImagesInMemory(torch.from_numpy(images.data).contiguous(), torch.tensor(images.targets))
