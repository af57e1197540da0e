"""A clean room for every test, and what many of them need: words of a fit, tiny CIFAR-10, weights, the error line.

Functions import what takes long: pytest's first process reads this file too, before it starts those that run tests.
"""

import gc
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from project.cli.main import main

if TYPE_CHECKING:
    import torch

    from project.training.classifier import Classifier

# Before torch is imported: tests run in one process for each core, so each process takes one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # tests compare numbers of the CPU, on every machine
gc.disable()  # until all is imported, as scripts/main.py does

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / "configs"
STEPS = 1257 // 100  # of an epoch of `digits`


def pytest_collection_finish() -> None:
    """Python's search for garbage leaves out what is imported by now, and so takes a tenth of the time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def repository_stays_clean() -> Iterator[None]:
    def listing() -> set[Path]:
        found = {*REPOSITORY.glob("*"), *(REPOSITORY / "lightning_logs").rglob("*")}
        return {path for path in found if not path.name.endswith("cache") and path.name != "__pycache__"}

    before = listing()
    yield
    assert listing() == before


@pytest.fixture(autouse=True, scope="session")
def no_pictures() -> Iterator[None]:
    """Drawing takes longer than a fit of a few steps; a test of the pictures gives --pictures true."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("project.cli.parser.PICTURES", False)
        yield


@pytest.fixture(autouse=True)
def clean_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def digits_words(experiment: str = "mlp", epochs: int = 1) -> list[str]:
    configs = ["--config", str(CONFIGS / f"{experiment}.yaml"), "--config", str(CONFIGS / "data/digits.yaml")]
    options = ["--data.batch_size", "100", "--trainer.accelerator", "cpu"]
    return [*configs, *options, "--trainer.max_epochs", str(epochs)]


@pytest.fixture
def digits() -> Callable[..., list[str]]:
    """The words that fit an experiment for one epoch on the digits, in batches of 100."""
    return digits_words


@pytest.fixture(scope="session")
def digits_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The directory lightning_logs with a finished run of so many epochs."""
    trained: dict[int, Path] = {}

    def runs(epochs: int) -> Path:
        if epochs not in trained:
            folder = tmp_path_factory.mktemp("digits")
            with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()):
                patched.chdir(folder)
                main(["fit", *digits_words(epochs=epochs)])
            trained[epochs] = folder / "lightning_logs"
        return trained[epochs]

    return runs


@pytest.fixture
def finished_run(digits_runs: Callable[[int], Path]) -> Callable[..., None]:
    """Leave here what `main(["fit", *digits(epochs=epochs)])` leaves. All tests share one training."""

    def copy(epochs: int = 1) -> None:
        shutil.copytree(digits_runs(epochs), "lightning_logs")

    return copy


class Stopped(BaseException):
    """Ends a run early; an Exception would be an error of a part of the user's own."""


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Fit with these words, until the run raises Stopped in place of a step."""
    from project.training.classifier import Classifier

    def stop(step: int, words: list[str]) -> None:
        original = Classifier.training_step

        def training_step(self: "Classifier", batch: object, batch_idx: int) -> "torch.Tensor":
            if self.global_step == step:
                raise Stopped
            return original(self, batch, batch_idx)

        with monkeypatch.context() as patched:
            patched.setattr(Classifier, "training_step", training_step)
            with pytest.raises(Stopped):
                main(["fit", *words])

    return stop


@pytest.fixture
def cifar10_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data_dir with tiny CIFAR-10."""
    from tests.data_sets import write_cifar10

    write_cifar10(tmp_path / "data", monkeypatch)
    return tmp_path / "data"


@pytest.fixture
def archive(cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same files as cifar-10-python.tar.gz in a folder of its own; the unpacked ones are gone."""
    from torchvision import datasets

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
    import torch
    from torchvision.models import ResNet18_Weights, resnet18

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
