"""The Street View House Numbers."""

import torch
from torchvision import datasets

from project.data.download import RemoteFile, RemoteFiles
from project.data.downloaded import DownloadedDataModule
from project.data.images import ImagesInMemory
from project.data.normalisation import cached_mean_and_std

FOLDER = "SVHN"


class SVHN(DownloadedDataModule):
    """99,289 colour photographs of digits from house numbers, 32x32 pixels, in 10 classes; a download of 247 MB.

    73,257 images are for training and validation, 26,032 for the test; the extra images are not used. The digits
    are the 10 classes. The folder SVHN has train_32x32.mat and test_32x32.mat. The mean and standard deviation of the
    73,257 are measured at first use and saved in SVHN/normalisation.json.
    Source: Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning" (2011),
    http://ufldl.stanford.edu/housenumbers, for non-commercial use only.
    """

    class_names = tuple("0123456789")
    image_shape = (3, 32, 32)
    training_images = 73_257

    @property
    def source(self) -> RemoteFiles:
        splits = (datasets.SVHN.split_list[split] for split in ("train", "test"))
        return RemoteFiles(FOLDER, [RemoteFile([url], md5) for url, _, md5 in splits])

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        images, test = self._read("train"), self._read("test")
        _, _, md5 = datasets.SVHN.split_list["train"]
        self.mean, self.std = cached_mean_and_std(self.data_dir / FOLDER, md5, images.pixels)
        return images, test

    def _read(self, split: str) -> ImagesInMemory:
        images = datasets.SVHN(self.data_dir / FOLDER, split=split)
        pixels = torch.from_numpy(images.data).permute(0, 2, 3, 1).contiguous()
        return ImagesInMemory(pixels, torch.from_numpy(images.labels).long())
