"""The base class of data sets that are downloaded."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

from project.data.download import Archive, RemoteFiles
from project.data.module import ImageDataModule


class DownloadedDataModule(ImageDataModule):
    """An image data set whose files are downloaded once. A subclass defines `source` and `load`."""

    def __init__(self, data_dir: str = "data", **options: Any) -> None:
        """Check the options. The images are not read yet.

        Args:
            data_dir: Directory of the data set's folder. Files that are missing in the folder are downloaded once.
        """
        super().__init__(**options)
        self.data_dir = Path(data_dir)

    @property
    @abstractmethod
    def source(self) -> Archive | RemoteFiles:
        """The files of the data set, with their addresses and MD5 sums."""

    def prepare_data(self) -> None:
        """Download the files if they are missing. Raises UserError if one is damaged or cannot be fetched."""
        self.source.prepare(self.data_dir)
