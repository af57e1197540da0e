"""The data sets: their constants are those of their images, and their parts do not overlap."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from project.data import CIFAR10, Digits, ImageDataModule, ImageFolder
from project.data.images import ImagesInMemory
from tests.data_sets import cifar10_files, write_image_folder


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
    assert not torch.equal(first.val.labels, first.train.labels[:180])


@pytest.mark.parametrize("kind", ["memory", "files"])
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_fingerprint_has_every_label(tmp_path: Path, kind: str, part: str) -> None:
    write_image_folder(tmp_path / "images", count=10)
    folder = {"data_dir": str(tmp_path / "images"), "image_size": 8, "workers": 0}
    data = Digits(batch_size=2) if kind == "memory" else ImageFolder(batch_size=2, **folder)  # type: ignore[arg-type]
    data.setup("fit")
    images, before = getattr(data, part), data.fingerprint()
    assert before == data.fingerprint()
    labels = images.labels.clone()
    labels[-1] = 1 - labels[-1].clamp(max=1)
    setattr(data, part, images.with_labels(labels))
    assert data.fingerprint() != before
    setattr(data, part, images.with_labels(images.labels.clone()))
    assert data.fingerprint() == before


def test_two_classes_in_an_order_of_their_own() -> None:
    whole, two = Digits(val_size=0), Digits(classes=["7", "2"], val_size=0, batch_size=10)
    for data in (whole, two):
        data.setup("fit")
    assert (two.class_names, two.num_classes) == (("7", "2"), 2)
    for place, number in enumerate((7, 2)):
        ours, theirs = two.train.pixels[two.train.labels == place], whole.train.pixels[whole.train.labels == number]
        assert sorted(ours.sum((1, 2, 3)).tolist()) == sorted(theirs.sum((1, 2, 3)).tolist())
        assert int((two.test.labels == place).sum()) == int((whole.test.labels == number).sum())


def test_a_tenth_of_the_chosen_classes_is_for_validation() -> None:
    data = Digits(classes=["0", "1"], batch_size=10)
    data.setup("fit")
    assert len(data.val) == (len(data.train) + len(data.val)) // 10


@pytest.mark.parametrize("classes", [["0"], ["0", "0"], ["0", "zero"], []])
def test_classes_that_cannot_be_chosen(classes: list[str]) -> None:
    with pytest.raises(ValueError, match=r"--data.classes .*: name two or more of 0, 1"):
        Digits(classes=classes)


def test_every_image_is_in_one_part() -> None:
    data = Digits(val_size=180)
    images, test = data.load()
    train, val = data.split(ImagesInMemory(images.pixels, torch.arange(1437)))
    assert sorted([*train.labels.tolist(), *val.labels.tolist()]) == list(range(1437))
    assert val.labels.tolist() != list(range(180))
    for part in (train, val):
        assert torch.equal(part.pixels, images.pixels[part.labels])
    data.setup("fit")
    assert torch.equal(data.train.pixels, train.pixels)
    assert torch.equal(data.val.pixels, val.pixels)
    assert torch.equal(data.test.pixels, test.pixels)


def test_digits_test_images_are_not_for_training() -> None:
    images, test = Digits(val_size=180).load()
    official = load_digits()
    grey = torch.cat([images.pixels, test.pixels])[:, ::4, ::4, 0].flatten(1).double() * 16 / 255
    drawn = {tuple(row) for row in grey.round().int().tolist()}
    assert drawn == {tuple(row) for row in official.data.astype(int).tolist()}
    assert torch.bincount(torch.cat([images.labels, test.labels])).tolist() == np.bincount(official.target).tolist()


def test_tiny_cifar10_is_read_as_it_was_written(cifar10_dir: Path) -> None:
    data = CIFAR10(data_dir=str(cifar10_dir), val_size=20, batch_size=10)
    data.prepare_data()
    for images, part in zip(data.load(), ("train_list", "test_list"), strict=True):
        pixels, labels = (np.concatenate(arrays) for arrays in zip(*cifar10_files(part), strict=True))
        assert np.array_equal(images.pixels.numpy(), pixels)
        assert np.array_equal(images.labels.numpy(), labels)
    assert (len(data.load()[0]), len(data.load()[1])) == (200, 61)
