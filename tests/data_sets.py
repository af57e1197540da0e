"""Tiny data in the real formats of the data sets, so that the real reading code runs.

CIFAR-10's classes differ in size, and a network learns about four in five of its test images, so that figures of
different images or of another kind differ. The other sets' classes have each a colour.
"""

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from project.data import CIFAR10, CIFAR100, MNIST, SVHN, FashionMNIST

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
# How many images of each class are in each of CIFAR-10's five training files, and in its test file.
CIFAR10_COUNTS = {"train_list": (8, 2, 3, 5, 1, 4, 6, 5, 4, 2), "test_list": (2, 7, 4, 9, 3, 11, 5, 6, 8, 6)}


def images(labels: Labels, side: int = 32) -> Pixels:
    """[N, side, side, 3] uint8, around a colour for each label."""
    colours = np.stack([(labels * share) % 230 + 10 for share in (25, 75, 135)], 1)
    noise = np.random.default_rng(len(labels)).integers(-10, 10, (len(labels), side, side, 3))
    return (colours[:, None, None] + noise).astype(np.uint8)


def cifar10_files(part: str) -> list[tuple[Pixels, Labels]]:
    """Pixels [N, 32, 32, 3] and labels [N] of each file of CIFAR-10's train_list or test_list.

    An image is its class's pattern of 4x4 squares, changed by nearly twice as much as the patterns differ.
    """
    patterns = np.random.default_rng(0).normal(0, 40, (10, 4, 4, 3))
    files = []
    for number in range({"train_list": 5, "test_list": 1}[part]):
        random = np.random.default_rng([number, len(part)])
        labels = random.permutation(np.repeat(np.arange(10), CIFAR10_COUNTS[part]))
        squares = patterns[labels] + random.normal(0, 70, (len(labels), 4, 4, 3))
        pixels = squares.repeat(8, 1).repeat(8, 2) + random.normal(128, 10, (len(labels), 32, 32, 3))
        files.append((pixels.clip(0, 255).astype(np.uint8), labels))
    return files


def write_cifar10(data_dir: Path, patched: pytest.MonkeyPatch) -> None:
    """200 training and 61 test images."""
    official = datasets.CIFAR10
    folder = data_dir / official.base_folder
    folder.mkdir(parents=True)
    for part in CIFAR10_COUNTS:
        names = []
        for (name, _), (pixels, labels) in zip(getattr(official, part), cifar10_files(part), strict=True):
            content = {"data": pixels.transpose(0, 3, 1, 2).reshape(len(labels), 3072), "labels": labels.tolist()}
            names.append([name, _write(folder / name, pickle.dumps(content))])
        patched.setattr(official, part, names)
    meta = pickle.dumps({"label_names": list(CIFAR10.class_names)})
    patched.setattr(official, "meta", {**official.meta, "md5": _write(folder / official.meta["filename"], meta)})
    patched.setattr(CIFAR10, "training_images", 200)


def write_cifar100(data_dir: Path, patched: pytest.MonkeyPatch) -> None:
    official = datasets.CIFAR100
    folder = data_dir / official.base_folder
    folder.mkdir(parents=True)
    for part, count in (("train_list", 200), ("test_list", 100)):
        labels = np.arange(count) % 100
        data = images(labels).transpose(0, 3, 1, 2).reshape(count, 3072)
        content = {"data": data, "fine_labels": labels.tolist(), "coarse_labels": (labels // 5).tolist()}
        name = getattr(official, part)[0][0]
        patched.setattr(official, part, [[name, _write(folder / name, pickle.dumps(content))]])
    names = pickle.dumps({"fine_label_names": list(CIFAR100.class_names)})
    patched.setattr(official, "meta", {**official.meta, "md5": _write(folder / "meta", names)})
    patched.setattr(CIFAR100, "training_images", 200)


def write_mnist(data_dir: Path, patched: pytest.MonkeyPatch) -> None:
    _write_idx(data_dir / "MNIST/raw", datasets.MNIST, patched)
    patched.setattr(MNIST, "training_images", 200)


def write_fashion_mnist(data_dir: Path, patched: pytest.MonkeyPatch) -> None:
    _write_idx(data_dir / "FashionMNIST/raw", datasets.FashionMNIST, patched)
    patched.setattr(FashionMNIST, "training_images", 200)


def _write_idx(folder: Path, official: type[datasets.MNIST], patched: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    resources = []
    for name, _ in official.resources:
        labels = np.arange(200 if name.startswith("train") else 40) % 10
        values = labels.astype(np.uint8) if "labels" in name else images(labels, 28)[..., 0]
        header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
        resources.append((name, _write(folder / name, gzip.compress(header + values.tobytes()))))
    patched.setattr(official, "resources", resources)


def write_svhn(data_dir: Path, patched: pytest.MonkeyPatch) -> None:
    (data_dir / "SVHN").mkdir(parents=True)
    parts = {}
    for part, count in (("train", 200), ("test", 40)):
        url, name, _ = datasets.SVHN.split_list[part]
        labels = np.arange(count) % 10
        path = data_dir / "SVHN" / name
        savemat(path, {"X": images(labels).transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, None]})
        parts[part] = [url, name, hashlib.md5(path.read_bytes()).hexdigest()]
    patched.setattr(datasets.SVHN, "split_list", parts)
    patched.setattr(SVHN, "training_images", 200)


def write_image_folder(data_dir: Path, patched: pytest.MonkeyPatch | None = None, count: int = 110) -> None:
    """Images of two classes, PNG and JPEG, in several sizes and modes: `count` of each."""
    modes = ["RGB", "L", "P", "RGBA", "CMYK", "1", "LA", "I;16"]
    for label, name in enumerate(("cat", "dog")):
        (data_dir / name).mkdir(parents=True)
        for number in range(count):
            pixels = images(np.array([label + 1]), 40 + number % 7)[0, : 34 + number % 5]
            mode = modes[number % len(modes)]
            image = Image.fromarray(pixels)
            if mode == "I;16":
                image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
            ending = "jpg" if mode in ("RGB", "CMYK") else "png"
            (image if mode == "I;16" else image.convert(mode)).save(data_dir / name / f"{number}.{ending}")


def _write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return hashlib.md5(content).hexdigest()


WRITERS = {
    "cifar100": write_cifar100,
    "mnist": write_mnist,
    "fashion_mnist": write_fashion_mnist,
    "svhn": write_svhn,
    "image_folder": write_image_folder,
}
