"""A clean room for every test, and tiny data in CIFAR-10's own format, so that the real reading code runs."""

import hashlib
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets
from torchvision.models import ResNet18_Weights, resnet18

from project.cli import main
from project.data import CIFAR10

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / "configs"
IMAGES_PER_FILE = 40


@pytest.fixture(autouse=True, scope="session")
def repository_stays_clean() -> Iterator[None]:
    def listing() -> set[Path]:
        found = {*REPOSITORY.glob("*"), *(REPOSITORY / "lightning_logs").rglob("*")}
        return {path for path in found if not path.name.endswith("cache") and path.name != "__pycache__"}

    before = listing()
    yield
    assert listing() == before


@pytest.fixture(autouse=True)
def clean_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def digits() -> Callable[..., list[str]]:
    """The words that fit an experiment for one epoch on the digits."""

    def words(experiment: str = "mlp", epochs: int = 1) -> list[str]:
        configs = ["--config", str(CONFIGS / f"{experiment}.yaml"), "--config", str(CONFIGS / "data/digits.yaml")]
        return [*configs, "--trainer.max_epochs", str(epochs), "--trainer.accelerator", "cpu"]

    return words


@pytest.fixture
def cifar10_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data_dir with 200 training and 40 test images that a network can tell apart by their colour."""
    folder = tmp_path / "data" / datasets.CIFAR10.base_folder
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    train = [[name, _write_batch(folder / name, random)] for name, _ in datasets.CIFAR10.train_list]
    test = [[name, _write_batch(folder / name, random)] for name, _ in datasets.CIFAR10.test_list]
    meta = datasets.CIFAR10.meta
    sum_of_meta = _write(folder / meta["filename"], {"label_names": list(CIFAR10.class_names)})
    monkeypatch.setattr(datasets.CIFAR10, "train_list", train)
    monkeypatch.setattr(datasets.CIFAR10, "test_list", test)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**meta, "md5": sum_of_meta})
    monkeypatch.setattr(CIFAR10, "training_images", len(train) * IMAGES_PER_FILE)
    return folder.parent


@pytest.fixture
def archive(cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same files as cifar-10-python.tar.gz in a folder of its own; the unpacked ones are gone."""
    packed = cifar10_dir.parent / "server" / datasets.CIFAR10.filename
    packed.parent.mkdir()
    folder = cifar10_dir / datasets.CIFAR10.base_folder
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder, folder.name)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(packed.read_bytes()).hexdigest())
    return packed


@pytest.fixture(scope="session")
def filled_torch_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("torch")
    path = home / "hub/checkpoints" / Path(ResNet18_Weights.DEFAULT.url).name
    path.parent.mkdir(parents=True)
    torch.manual_seed(7)
    torch.save(resnet18().state_dict(), path)
    return home


@pytest.fixture
def resnet18_weights(filled_torch_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that torchvision's weights of ResNet-18 are looked for in; its numbers are random."""
    monkeypatch.setenv("TORCH_HOME", str(filled_torch_home))
    return next(filled_torch_home.rglob("*.pth"))


def _write_batch(path: Path, random: np.random.Generator) -> str:
    labels = np.arange(IMAGES_PER_FILE) % 10
    colours = np.array([[(label * share) % 256 for share in (25, 75, 135)] for label in range(10)])
    pixels = colours[labels][:, :, None] + random.integers(-20, 20, (IMAGES_PER_FILE, 3, 1024))
    data = pixels.clip(0, 255).astype(np.uint8).reshape(IMAGES_PER_FILE, 3072)
    return _write(path, {"data": data, "labels": labels.tolist()})


def _write(path: Path, content: object) -> str:
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def error(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a command ends with."""

    def line_of(*args: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(args)
        assert stopped.value.code == 2
        printed = capsys.readouterr().err.strip()
        assert printed.startswith("error: ")
        assert "\n" not in printed
        return printed.removeprefix("error: ")

    return line_of
