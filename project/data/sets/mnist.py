"""MNIST and Fashion-MNIST."""

import gzip
import tempfile
from pathlib import Path

from torch import nn
from torchvision import datasets

from project.data.download import RemoteFile, RemoteFiles
from project.data.downloaded import DownloadedDataModule
from project.data.images import ImagesInMemory
from project.data.normalisation import cached_mean_and_std


class MNIST(DownloadedDataModule):
    """70,000 grey images of handwritten digits in 10 classes; a download of 11 MB.

    60,000 images are for training and validation, 10,000 for the test. The 28x28 grey pixels become 3x32x32 with a
    black border of 2 pixels, so that they fit any experiment's network. The mean and standard deviation of the 60,000
    are measured at first use and saved in normalisation.json in their folder, MNIST/raw.
    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998),
    http://yann.lecun.com/exdb/mnist, licence CC BY-SA 3.0.
    """

    class_names = tuple("0123456789")
    image_shape = (3, 32, 32)
    training_images = 60_000
    torchvision_class = datasets.MNIST

    @property
    def source(self) -> RemoteFiles:
        official = self.torchvision_class
        files = [RemoteFile([mirror + name for mirror in official.mirrors], md5) for name, md5 in official.resources]
        return RemoteFiles(f"{official.__name__}/raw", files)

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        with tempfile.TemporaryDirectory() as unpacked:  # only the packed files have MD5 sums, so these stay
            self._unpack(Path(unpacked) / self.source.folder)
            images, test = (self._read(Path(unpacked), train) for train in (True, False))
        _, md5 = self.torchvision_class.resources[0]
        self.mean, self.std = cached_mean_and_std(self.data_dir / self.source.folder, md5, images.pixels)
        return images, test

    def _unpack(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, _ in self.torchvision_class.resources:
            with gzip.open(self.data_dir / self.source.folder / name) as packed:
                (folder / name.removesuffix(".gz")).write_bytes(packed.read())

    def _read(self, root: Path, train: bool) -> ImagesInMemory:
        images = self.torchvision_class(root, train=train)
        grey = nn.functional.pad(images.data, (2, 2, 2, 2))
        return ImagesInMemory(grey[..., None].expand(-1, -1, -1, 3).contiguous(), images.targets.long())


class FashionMNIST(MNIST):
    """70,000 grey images of clothing in 10 classes; a download of 30 MB.

    60,000 images are for training and validation, 10,000 for the test. The 28x28 grey pixels become 3x32x32 with a
    black border of 2 pixels, so that they fit any experiment's network. The mean and standard deviation of the 60,000
    are measured at first use and saved in normalisation.json in their folder, FashionMNIST/raw.
    Source: Xiao et al., "Fashion-MNIST" (2017), arXiv 1708.07747, https://github.com/zalandoresearch/fashion-mnist,
    licence MIT.
    """

    class_names = tuple(datasets.FashionMNIST.classes)
    torchvision_class = datasets.FashionMNIST
