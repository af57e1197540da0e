"""Tiny data in the real formats of the data sets, which a network can tell apart by colour."""

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

from project.data import CIFAR100, MNIST, SVHN, FashionMNIST

Pixels = NDArray[np.uint8]


def images(labels: NDArray[np.int64], side: int = 32) -> Pixels:
    """[N, side, side, 3] uint8, around a colour for each label."""
    colours = np.stack([(labels * share) % 230 + 10 for share in (25, 75, 135)], 1)
    noise = np.random.default_rng(len(labels)).integers(-10, 10, (len(labels), side, side, 3))
    return (colours[:, None, None] + noise).astype(np.uint8)


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
