"""The data sets that are read in their own formats, fetched where they are missing, and measured."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from project.cli.main import main
from project.data import CIFAR100, MNIST, SVHN, FashionMNIST, ImageDataModule, normalisation
from project.data import download as archive_module
from project.data.images import ImagesInMemory
from project.system.errors import UserError
from tests.conftest import CONFIGS
from tests.data_sets import WRITERS, images

SETS: dict[str, type[Any]] = {"cifar100": CIFAR100, "mnist": MNIST, "fashion_mnist": FashionMNIST, "svhn": SVHN}
SMALL = {"batch_size": 10, "val_size": 20}
everywhere = pytest.mark.parametrize("name", SETS)


@pytest.fixture
def make_data(name: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], ImageDataModule]:
    """Make the data module on tiny data in the set's format."""
    WRITERS[name](Path("tiny"), monkeypatch)
    return lambda: SETS[name](data_dir="tiny", **SMALL)


def loaded(data: ImageDataModule) -> tuple[ImagesInMemory, ImagesInMemory]:
    data.prepare_data()
    train, test = data.load()
    assert isinstance(train, ImagesInMemory)
    assert isinstance(test, ImagesInMemory)
    return train, test


@everywhere
def test_reads_what_was_written(name: str, make_data: Callable[[], ImageDataModule]) -> None:
    for part in loaded(make_data()):
        labels = np.arange(len(part)) % make_data().num_classes
        assert part.labels.tolist() == labels.tolist()
        expected = images(labels)
        if "mnist" in name:
            grey = images(labels, 28)[..., :1].repeat(3, 3)
            expected = np.pad(grey, ((0, 0), (2, 2), (2, 2), (0, 0)))
        assert np.array_equal(part.pixels.numpy(), expected)
        assert part.pixels.is_contiguous()


@everywhere
def test_a_checkpoint_is_compared_before_anything_is_measured(make_data: Callable[[], ImageDataModule]) -> None:
    assert make_data().description()["image_shape"] == [3, 32, 32]


@everywhere
def test_constants_are_measured_once_and_kept(
    make_data: Callable[[], ImageDataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data()
    train, _ = loaded(data)
    scaled = train.pixels.numpy() / 255
    assert data.mean == pytest.approx(scaled.mean((0, 1, 2)), abs=6e-6)
    assert data.std == pytest.approx(scaled.std((0, 1, 2)), abs=6e-6)
    monkeypatch.setattr(normalisation, "channel_sums", None)  # would fail if it were called again
    again = make_data()
    loaded(again)
    assert (again.mean, again.std) == (data.mean, data.std)
    assert [path.parent != Path("tiny") for path in Path("tiny").rglob("normalisation.json")] == [True]


def test_other_images_are_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("kept").mkdir()
    black, white = torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.full((2, 4, 4, 3), 255, dtype=torch.uint8)
    assert normalisation.cached_mean_and_std(Path("kept"), "black", black) == ((0.0,) * 3, (1.0,) * 3)
    assert normalisation.cached_mean_and_std(Path("kept"), "white", white) == ((1.0,) * 3, (1.0,) * 3)
    assert json.loads(Path("kept/normalisation.json").read_text()).keys() == {"black", "white"}
    assert os.listdir("kept") == ["normalisation.json"]


def test_a_folder_that_cannot_be_written_is_measured_each_time() -> None:
    black = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    assert normalisation.cached_mean_and_std(Path("none"), "black", black) == ((0.0,) * 3, (1.0,) * 3)
    assert not Path("none").exists()


def test_the_hundred_classes_are_in_the_files_order() -> None:
    assert len(CIFAR100.class_names) == len(set(CIFAR100.class_names)) == 100
    assert list(CIFAR100.class_names) == sorted(CIFAR100.class_names)


FIRST = {
    "cifar100": "cifar-100-python/train",
    "mnist": "MNIST/raw/t10k-labels-idx1-ubyte.gz",
    "fashion_mnist": "FashionMNIST/raw/train-images-idx3-ubyte.gz",
    "svhn": "SVHN/test_32x32.mat",
}


@everywhere
def test_a_damaged_file_is_named(
    name: str, make_data: Callable[[], ImageDataModule], capsys: pytest.CaptureFixture[str]
) -> None:
    (Path("tiny") / FIRST[name]).write_bytes(b"damage")
    words = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / f"data/{name}.yaml")]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *words, "--data.data_dir", "tiny", "--data.batch_size", "10", "--trainer.accelerator", "cpu"])
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: --data.data_dir tiny: ")
    assert printed.count("\n") == 1
    assert f"{FIRST[name]} is damaged (its MD5 sum differs); delete" in printed


@everywhere
def test_no_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(archive_module, "urlopen", _refuse)
    with pytest.raises(UserError, match=r"cannot be fetched .*; put .* into /.*, or add --config configs/data/digits"):
        SETS[name](data_dir="none").prepare_data()
    assert [path for path in Path("none").rglob("*") if not path.is_dir()] == []


def _refuse(url: str, timeout: float) -> None:
    raise OSError("no network")


def test_what_is_missing_is_fetched_from_the_mirror_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS["mnist"](Path("server"), monkeypatch)
    mirrors = ["file:///nowhere/", f"{(Path('server') / 'MNIST/raw').resolve().as_uri()}/"]
    monkeypatch.setattr(datasets.MNIST, "mirrors", mirrors)
    requested: list[str] = []
    download = archive_module.download
    monkeypatch.setattr(archive_module, "download", lambda url, *where: (requested.append(url), download(url, *where)))
    names = [name for name, _ in datasets.MNIST.resources]
    MNIST(data_dir="here", **SMALL).prepare_data()
    MNIST(data_dir="here", **SMALL).prepare_data()
    assert requested == [mirror + name for name in names for mirror in mirrors]
    assert sorted(os.listdir("here")) == ["MNIST"]
    assert sorted(os.listdir("here/MNIST/raw")) == sorted(names)
