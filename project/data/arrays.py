"""A data set from arrays of images and labels: of a NumPy file, of Python, or of a class of the user's own."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray
from torch import Tensor

from project.data.array_names import CLASS_NAMES, IMAGES, LABELS, roles
from project.data.division import split_by_class
from project.data.images import ImageSet, ImagesInMemory
from project.data.module import ImageDataModule
from project.system.errors import UserError

IMAGES_AT_ONCE = 1000  # whose pixels are converted together
LISTED_LABELS = 10  # in an error


class ArrayDataModule(ImageDataModule):
    """A data set of your own in arrays. Its shape, classes, mean and standard deviation are measured.

    A subclass implements `arrays`. If it has options, its __init__ sets them before it calls that of this class. It may
    define class_names, mean and std. What is wrong ends in one line.
    """

    def __init__(self, **options: Any) -> None:
        """Read the arrays and check them and the options."""
        try:
            self._read(self.arrays())
        except ValueError as error:
            raise UserError(f"{self.origin}: {error}") from error
        super().__init__(**options)
        if "val" in self._parts and self.val_size:
            problem = f"{self.origin} has validation images of its own"
            raise UserError(f"--data.val_size {self.val_size}: {problem}; leave the option out")

    @abstractmethod
    def arrays(self) -> Mapping[str, Any]:
        """The images and labels, as {"images": images, "labels": labels}.

        Images are [M, H, W], [M, H, W, C] or [M, C, H, W]: whole numbers from 0 to 255, or floats from 0 to 1, which
        are rounded to 256 levels. Labels [M] are whole numbers or names. They may be NumPy arrays, tensors or lists.

        With names such as train_images, train_labels, test_images and test_labels, or x_train, y_train, x_test and
        y_test, the test images are given; otherwise a tenth of the images is for the test, in proportion by class. The
        same holds for validation images, such as val_images and val_labels. class_names are the names of the labels 0,
        1, 2 and so on.
        """

    @property
    def origin(self) -> str:
        """What an error line begins with."""
        return f"--data {type(self).__qualname__}"

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self._parts.clear()  # train, val and test have copies

    def load(self) -> tuple[ImageSet, ImageSet]:
        train, val = self._parts["train"], self._parts.get("val")
        if val is not None:
            pixels, labels = torch.cat([train.pixels, val.pixels]), torch.cat([train.labels, val.labels])
            train = ImagesInMemory(pixels, labels)
        return train, self._parts["test"]

    def split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        """Take the given validation images, or split them off in proportion by class."""
        if "val" in self._parts and self.val_size != 0:
            return self._select_classes(self._parts["train"]), self._select_classes(self._parts["val"])
        self._check_val_size(images)
        train, val = split_by_class(images.labels, self.val_size)
        return images[train], images[val]

    def _read(self, arrays: Any) -> None:
        """Convert the arrays, and set all that is measured. Raises ValueError with the problem."""
        if not isinstance(arrays, Mapping):
            raise ValueError(f'arrays gives {type(arrays).__name__}; give {{"images": images, "labels": labels}}')
        names = roles(arrays)
        if CLASS_NAMES in names:
            self.class_names = tuple(np.asarray(arrays[names.pop(CLASS_NAMES)]).astype(str).tolist())
        parts = dict.fromkeys(part for part, _ in names)
        values = {part: _label_values(arrays[names[part, LABELS]]) for part in parts}
        known = self._known_labels(values["train"])
        self._parts: dict[str, ImagesInMemory] = {}
        for part in parts:
            pixels, labels = to_pixels(arrays[names[part, IMAGES]]), _numbered(values[part], known, part)
            if len(pixels) != len(labels):
                raise ValueError(f"{len(pixels):,} images of {part} have {len(labels):,} labels; give each image one")
            self._parts[part] = ImagesInMemory(pixels, labels)
        train = self._parts["train"]
        if "test" not in self._parts:
            stay, test = split_by_class(train.labels)
            self._parts |= {"train": train[stay], "test": train[test]}
        self.training_images = sum(len(images) for part, images in self._parts.items() if part != "test")
        _, height, width, channels = train.shape
        self.image_shape = channels, height, width

    def _known_labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """The label of each class, and class_names if the class has none. Raises ValueError."""
        if not hasattr(self, "class_names"):
            known = np.unique(labels)
            self.class_names = tuple(str(label) for label in known)
        else:
            known = np.arange(len(self.class_names)) if labels.dtype.kind == "i" else np.array(self.class_names)
        if len(set(self.class_names)) < max(2, len(known)):
            raise ValueError(f"the classes are {', '.join(self.class_names)}; give two or more, each with its own name")
        return known


def _numbered(labels: NDArray[Any], known: NDArray[Any], part: str) -> Tensor:
    """The places [M] int64 in `known` of the labels. Raises ValueError for one that is not there."""
    if len(unknown := np.setdiff1d(labels, known)):
        every = f"{', '.join(map(str, known[:LISTED_LABELS]))}{', ...' * (len(known) > LISTED_LABELS)}"
        raise ValueError(f"a label of {part} is {unknown[0]}, and the {len(known)} classes have the labels {every}")
    order = known.argsort()
    return torch.from_numpy(order[np.searchsorted(known, labels, sorter=order)])


def to_pixels(images: Any) -> Tensor:
    """Images as ArrayDataModule takes them, as pixels [M, H, W, C] uint8.

    The channels of four dimensions are the smaller one of the second and the last, the last if they are equal.

    Raises:
        ValueError: the images have another shape or range.
    """
    array = _array(images)
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise ValueError(f"images {list(array.shape)}; give [N, H, W], [N, H, W, C] or [N, C, H, W]")
    if array.ndim == 3:
        array = array[..., None]
    elif array.shape[1] < array.shape[3]:
        array = np.moveaxis(array, 1, 3)
    low, high = array.min(), array.max()
    if problem := _range_problem(array.dtype.kind, low, high):
        raise ValueError(f"images of {array.dtype} from {low:g} to {high:g}; {problem}")
    factor = 1 if array.dtype.kind in "ui" else 255
    pixels, largest_change = np.empty(array.shape, np.uint8), 0.0
    for first in range(0, len(array), IMAGES_AT_ONCE):
        scaled = array[first : first + IMAGES_AT_ONCE] * factor
        pixels[first : first + IMAGES_AT_ONCE] = np.rint(scaled)
        if array.dtype.kind == "f":
            largest_change = max(largest_change, float(np.abs(np.rint(scaled) - scaled).max()))
    if array.dtype.kind == "f" and largest_change > 255 * np.finfo(array.dtype).eps:
        rank_zero_only(print)("the images are floats; they are rounded to the 256 levels of 8 bits", flush=True)
    return torch.from_numpy(pixels)


def _range_problem(kind: str, low: Any, high: Any) -> str:
    """What to do about pixels from `low` to `high`; empty if they are right."""
    if kind == "b":
        return ""
    if kind not in "uif" or not np.isfinite([low, high]).all():
        return "give finite numbers"
    if low == high:
        return "all pixels are equal"
    if kind in "ui":
        return "" if low >= 0 and high <= 255 else "give whole numbers from 0 to 255"
    if low < 0:
        return "give floats from 0 to 1, as they are before a normalisation"
    if high > 1:
        return f"give floats from 0 to 1: divide them by {255 if high > 16 else high:g}"
    return "" if high > 1.001 / 255 else "were they divided by 255 twice? Give floats from 0 to 1"


def _array(values: Any) -> NDArray[Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float().numpy() if values.dtype is torch.bfloat16 else values.numpy()
    return np.asarray(values)


def _label_values(labels: Any) -> NDArray[Any]:
    """Labels [M] of whole numbers or text. Raises ValueError."""
    array = _array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = "; for one-hot labels give labels.argmax(1)" if array.ndim == 2 else ""
        raise ValueError(f"labels {list(array.shape)}; give [N], one whole number or name for each image{hint}")
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    if array.dtype.kind in "bO":
        return array.astype(str)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        return array.astype(np.int64)
    if array.dtype.kind not in "uiU":
        raise ValueError(f"labels of {array.dtype}; give whole numbers or names")
    return array.astype(np.int64) if array.dtype.kind != "U" else array
