"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017): 70,000 grey images of 28x28 pixels each."""

import gzip
import tempfile
from pathlib import Path
from typing import Any

from torch import nn
from torchvision import datasets

from project.data.download import RemoteFile, RemoteFiles
from project.data.images import Images
from project.data.module import ImageDataModule
from project.data.normalisation import kept_constants


class MNIST(ImageDataModule):
    """Handwritten digits: 60,000 images for training and validation, 10,000 for the test.

    Their 28x28 grey pixels are shown as 3x32x32 with a black border of 2 pixels, so that any experiment's network takes
    them. The normalisation is measured over the 60,000 at first use and kept beside the files.
    """

    class_names = tuple("0123456789")
    image_shape = (3, 32, 32)
    training_images = 60_000
    official = datasets.MNIST

    def __init__(self, data_dir: str = "data", **options: Any) -> None:
        """Check the options; nothing is read yet.

        Args:
            data_dir: Folder that holds, or will hold, MNIST/raw with its four .gz files; each is fetched once (11 MB
                together) where it is missing.
        """
        super().__init__(**options)
        self.data_dir = Path(data_dir)

    @property
    def _folder(self) -> Path:
        return Path(self.official.__name__) / "raw"

    def prepare_data(self) -> None:
        official = self.official
        files = [RemoteFile([mirror + name for mirror in official.mirrors], md5) for name, md5 in official.resources]
        RemoteFiles(str(self._folder), files).prepare(self.data_dir)

    def load(self) -> tuple[Images, Images]:
        with tempfile.TemporaryDirectory() as unpacked:  # the packed files have the MD5 sums
            self._unpack(Path(unpacked) / self._folder)
            images, test = (self._read(Path(unpacked), train) for train in (True, False))
        over = self.official.resources[0][1]
        self.mean, self.std = kept_constants(self.data_dir / self._folder, over, images.pixels)
        return images, test

    def _unpack(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, _ in self.official.resources:
            with gzip.open(self.data_dir / self._folder / name) as packed:
                (folder / name.removesuffix(".gz")).write_bytes(packed.read())

    def _read(self, root: Path, train: bool) -> Images:
        official = self.official(root, train=train)
        grey = nn.functional.pad(official.data, (2, 2, 2, 2))
        return Images(grey[..., None].expand(-1, -1, -1, 3).contiguous(), official.targets.long())


class FashionMNIST(MNIST):
    """Articles of clothing in MNIST's format: 60,000 images for training and validation, 10,000 for the test.

    Their 28x28 grey pixels are shown as 3x32x32 with a black border of 2 pixels, so that any experiment's network takes
    them. The normalisation is measured over the 60,000 at first use and kept beside the files.
    """

    class_names = tuple(datasets.FashionMNIST.classes)
    official = datasets.FashionMNIST

    def __init__(self, data_dir: str = "data", **options: Any) -> None:
        """Check the options; nothing is read yet.

        Args:
            data_dir: Folder that holds, or will hold, FashionMNIST/raw with its four .gz files; each is fetched once
                (30 MB together) where it is missing.
        """
        super().__init__(data_dir, **options)
