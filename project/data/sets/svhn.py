"""The Street View House Numbers: 99,289 colour photographs of digits, 32x32 pixels (Netzer et al., 2011)."""

from pathlib import Path
from typing import Any

import torch
from torchvision import datasets

from project.data.download import RemoteFile, RemoteFiles
from project.data.images import Images
from project.data.module import ImageDataModule
from project.data.normalisation import kept_constants

FOLDER = "SVHN"


class SVHN(ImageDataModule):
    """House numbers: 73,257 images for training and validation, 26,032 for the test; the extra ones are not used.

    The normalisation is measured over the 73,257 at first use and kept in SVHN/normalisation.json.
    """

    class_names = tuple("0123456789")
    image_shape = (3, 32, 32)
    training_images = 73_257

    def __init__(self, data_dir: str = "data", **options: Any) -> None:
        """Check the options; nothing is read yet.

        Args:
            data_dir: Folder that holds, or will hold, SVHN/train_32x32.mat and SVHN/test_32x32.mat; each is fetched
                once (247 MB together) where it is missing.
        """
        super().__init__(**options)
        self.data_dir = Path(data_dir)

    def prepare_data(self) -> None:
        parts = (datasets.SVHN.split_list[part] for part in ("train", "test"))
        RemoteFiles(FOLDER, [RemoteFile([url], md5) for url, _, md5 in parts]).prepare(self.data_dir)

    def load(self) -> tuple[Images, Images]:
        images, test = self._read("train"), self._read("test")
        over = datasets.SVHN.split_list["train"][2]
        self.mean, self.std = kept_constants(self.data_dir / FOLDER, over, images.pixels)
        return images, test

    def _read(self, part: str) -> Images:
        official = datasets.SVHN(self.data_dir / FOLDER, split=part)
        pixels = torch.from_numpy(official.data).permute(0, 2, 3, 1).contiguous()
        return Images(pixels, torch.from_numpy(official.labels).long())
