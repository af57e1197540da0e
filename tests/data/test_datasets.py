"""The data sets: their constants are those of their images, and their parts do not overlap."""

import os
from pathlib import Path

import pytest
import torch

from project.data import CIFAR10, Digits, ImageDataModule


def check_constants(data: ImageDataModule) -> None:
    images, test = data.load()
    assert images.pixels.dtype == test.pixels.dtype == torch.uint8
    assert images.pixels.shape[1:] == test.pixels.shape[1:] == (32, 32, 3)
    assert images.pixels.is_contiguous()
    assert len(images) == data.training_images
    assert images.labels.unique().tolist() == list(range(data.num_classes))
    scaled = images.pixels.double() / 255
    assert scaled.mean((0, 1, 2)).tolist() == pytest.approx(data.mean, abs=6e-6)
    assert scaled.std((0, 1, 2), correction=0).tolist() == pytest.approx(data.std, abs=6e-6)


def test_digits() -> None:
    check_constants(Digits(val_size=180))


@pytest.mark.slow
@pytest.mark.skipif("CIFAR10_DIR" not in os.environ, reason="CIFAR10_DIR does not say where CIFAR-10 is")
def test_cifar10() -> None:
    data = CIFAR10(data_dir=os.environ["CIFAR10_DIR"])
    data.prepare_data()
    check_constants(data)


def test_split() -> None:
    first, second = (Digits(val_size=180, batch_size=10, seed=seed) for seed in (0, 1))
    for data in (first, second):
        data.setup("fit")
    assert (len(first.train), len(first.val), len(first.test)) == (1257, 180, 360)
    assert torch.equal(first.val.pixels, second.val.pixels)  # a seed never moves an image into validation
    assert first.fingerprint() == second.fingerprint()
    whole, _ = first.load()
    parts = torch.cat([first.val.pixels, first.train.pixels]).flatten(1)
    assert torch.equal(parts.double().sum(1).sort().values, whole.pixels.flatten(1).double().sum(1).sort().values)


def test_tiny_cifar10_is_read_as_it_was_written(cifar10_dir: Path) -> None:
    data = CIFAR10(data_dir=str(cifar10_dir), val_size=20, batch_size=10)
    data.prepare_data()
    images, test = data.load()
    assert (len(images), len(test)) == (200, 40)
    assert images.labels[:12].tolist() == [*range(10), 0, 1]
    # Class 1 was drawn around (25, 75, 135).
    means = images.pixels[images.labels == 1].double().mean((0, 1, 2)).tolist()
    assert means == pytest.approx([25, 75, 135], abs=2)
