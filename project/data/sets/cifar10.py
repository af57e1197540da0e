"""CIFAR-10."""

import torch
from torchvision import datasets

from project.data.download import Archive, RemoteFile
from project.data.downloaded import DownloadedDataModule
from project.data.images import ImagesInMemory


class CIFAR10(DownloadedDataModule):
    """60,000 colour photographs of 32x32 pixels in 10 classes; a download of 170 MB.

    50,000 images are for training and validation, 10,000 for the test. Their folder is cifar-10-batches-py.
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

    @property
    def source(self) -> Archive:
        files = self.torchvision_class
        md5s = dict([*files.train_list, *files.test_list])
        md5s[files.meta["filename"]] = files.meta["md5"]
        return Archive(RemoteFile([files.url], files.tgz_md5), files.base_folder, md5s)

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        return self._read(train=True), self._read(train=False)

    def _read(self, train: bool) -> ImagesInMemory:
        images = self.torchvision_class(self.data_dir, train=train)
        return ImagesInMemory(torch.from_numpy(images.data).contiguous(), torch.tensor(images.targets))
