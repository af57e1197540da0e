"""Arrays of the user's own, from a NumPy file or from Python."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

from project.data.arrays import ArrayDataModule


class Arrays(ArrayDataModule):
    """Images and labels of your own in a NumPy file (.npz), of one size.

    The file has the arrays images and labels; or x_train, y_train, x_test and y_test, as Keras' mnist.npz; or
    train_images, train_labels, val_images and so on; and optionally class_names. Images are [N, H, W], [N, H, W, C] or
    [N, C, H, W], whole numbers from 0 to 255 or floats from 0 to 1. Labels are whole numbers or names. Without test
    images, a tenth is for the test, in proportion by class, at least one of each class. In Python,
    Arrays.of(images, labels) takes the arrays themselves.
    """

    def __init__(self, file: str = "data/arrays.npz", **options: Any) -> None:
        """Read the file and check it and the options.

        Args:
            file: Path of the NumPy file. Python objects in it are not loaded.
        """
        self.file = Path(file)
        super().__init__(**options)

    @property
    def origin(self) -> str:
        return f"--data.file {self.file}"

    def arrays(self) -> Mapping[str, Any]:
        try:
            file = np.load(self.file, allow_pickle=False)
            if not isinstance(file, NpzFile):
                raise ValueError
        except (ValueError, EOFError, BadZipFile, UnpicklingError) as error:
            raise ValueError("it is damaged, or no .npz file; numpy.savez writes one") from error
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from error
        with file:
            return {name: self._array(file, name) for name in file.files}

    def _array(self, file: NpzFile, name: str) -> Any:
        try:
            return file[name]
        except ValueError as error:
            problem = f"{name} has Python objects, which are not loaded, since that could run code"
            raise ValueError(f"{problem}; save names as text: labels.astype(str)") from error
        except (OSError, BadZipFile, zlib.error) as error:
            raise ValueError(f"{name} is damaged") from error

    @staticmethod
    def of(images: Any, labels: Any, test_images: Any = None, test_labels: Any = None, **options: Any) -> "_Given":
        """The data set of arrays, tensors or lists.

        Args:
            images: [N, H, W], [N, H, W, C] or [N, C, H, W], whole numbers from 0 to 255 or floats from 0 to 1.
            labels: [N] whole numbers or names.
            test_images: Test images, of the same shape; None takes a tenth of the images.
            test_labels: Their labels.
            options: Of every data set, such as batch_size.
        """
        arrays = {"images": images, "labels": labels, "test_images": test_images, "test_labels": test_labels}
        return _Given({name: array for name, array in arrays.items() if array is not None}, **options)


class _Given(ArrayDataModule):
    """Arrays that are given in Python."""

    def __init__(self, given: Mapping[str, Any], **options: Any) -> None:
        self._given = given
        super().__init__(**options)

    @property
    def origin(self) -> str:
        return "Arrays.of"

    def arrays(self) -> Mapping[str, Any]:
        return self._given
