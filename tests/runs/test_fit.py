"""A run, from the command to its files."""

import csv
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchvision import datasets

from project.cli.main import main
from project.data import CIFAR10
from project.networks import MLP
from project.runs.environment import git_state
from tests.conftest import CONFIGS, STEPS
from tests.data_sets import write_cifar10

RUN = Path("lightning_logs/mlp/version_0")


@dataclass
class Fit:
    """A fit that has been run in `folder`."""

    folder: Path
    words: list[str]
    printed: str


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fit]:
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()) as printed:
        folder = tmp_path_factory.mktemp("fit")
        patched.chdir(folder)
        write_cifar10(folder / "data", patched)
        words = ["--config", str(CONFIGS / "mlp.yaml"), "--data.val_size", "20", "--data.batch_size", "20"]
        words += ["--trainer.max_epochs", "8", "--trainer.accelerator", "cpu"]
        main(["fit", *words])
        yield Fit(folder, words, printed.getvalue())


@pytest.fixture
def learned(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a fit that has been run on tiny CIFAR-10, here; tests share it."""
    monkeypatch.chdir(fit.folder)
    return fit.words


@pytest.mark.usefixtures("learned")
def test_files_of_a_run(fit: Fit) -> None:
    names = {path.name.split(".tfevents")[0] for path in RUN.iterdir()}
    assert names >= {"config.yaml", "environment.yaml", "metrics.csv", "results.json", "checkpoints", "events.out"}
    assert {path.name for path in (RUN / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "previous.ckpt"}
    results = json.loads((RUN / "results.json").read_text())
    assert 0.5 < results["test/accuracy"] < 1
    assert results["checkpoint"] == "checkpoints/best.ckpt"
    assert (results["epochs"], results["steps"]) == (8, 8 * 9)
    assert 0 < results["train_seconds"] < results["fit_seconds"]
    printed = fit.printed.splitlines()
    assert printed[-1] == f"results: {RUN / 'results.json'}"
    seconds = [f"{name} {results[name]:.1f}" for name in ("train_seconds", "fit_seconds")]
    measured = {name: value for name, value in results.items() if name.startswith(("test/", "temperature", "val/"))}
    assert len(measured) == 15
    lines = [
        f"{name} {100 * value:.2f} %" if "acc" in name else f"{name} {value:.4f}" for name, value in measured.items()
    ]
    lines += ["checkpoint checkpoints/best.ckpt", "epochs 8", "steps 72", *seconds]
    assert printed[-1 - len(lines) : -1] == lines
    epochs = [line.split() for line in printed if line.startswith("epoch ")]
    assert [words[1] for words in epochs] == [f"{epoch}/8" for epoch in range(1, 9)]
    # Over all epochs, not only up to the best one. Each is printed to a tenth of a second.
    assert results["train_seconds"] == pytest.approx(sum(float(words[-2]) for words in epochs), abs=8 * 0.05)


CALLBACKS = """
trainer:
  callbacks:
  - class_path: DeviceStatsMonitor
    init_args: {cpu_stats: false}
  - class_path: OnExceptionCheckpoint
    init_args: {dirpath: kept}
  - class_path: ModelCheckpoint
    init_args: {monitor: val/loss, filename: lowest}
  - class_path: TQDMProgressBar
"""


def test_callbacks_of_lightning(capsys: pytest.CaptureFixture[str], digits: Callable[..., list[str]]) -> None:
    Path("callbacks.yaml").write_text(CALLBACKS)
    main(["fit", *digits(), "--config", "callbacks.yaml"])
    assert (RUN / "checkpoints/lowest.ckpt").exists()
    assert not Path("kept").exists()  # nothing was raised
    assert "Epoch 1/1: 100%" in capsys.readouterr().out


def test_metrics(learned: list[str]) -> None:
    with (RUN / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "train/images_per_second"):
        assert len([row for row in rows if row[name]]) == 8
    assert len([row for row in rows if row["test/accuracy"]]) == 1
    assert [int(row["step"]) for row in rows if row["train/lr"]] == list(range(72))  # of nine an epoch each
    curve = [float(row["train/loss"]) for row in rows if row["train/loss"]]
    assert curve[0] > 1
    assert curve[-1] < 0.5
    results = json.loads((RUN / "results.json").read_text())
    assert max(float(row["val/accuracy"]) for row in rows if row["val/accuracy"]) == results["val/accuracy"]
    assert [float(row["test/accuracy"]) for row in rows if row["test/accuracy"]] == [results["test/accuracy"]]


def test_tensorboard(learned: list[str]) -> None:
    events = EventAccumulator(str(RUN)).Reload()
    results = json.loads((RUN / "results.json").read_text())
    (accuracy,) = events.Scalars("test/accuracy")
    assert accuracy.value == pytest.approx(results["test/accuracy"])
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "train/images_per_second"):
        assert [event.step for event in events.Scalars(name)] == [9 * epoch - 1 for epoch in range(1, 9)]
    assert {"train/lr", "train/loss_step", "test/loss"} <= set(events.Tags()["scalars"])


def test_environment(learned: list[str]) -> None:
    environment = yaml.safe_load((RUN / "environment.yaml").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert environment["threads"] == torch.get_num_threads()
    assert environment["precision"] == "32-true"
    assert environment["data"]["class"] == "CIFAR10"
    assert len(environment["data"]["sha256"]) == 64
    assert set(environment["git"]) == {"commit", "dirty"}
    assert environment["processes"] == 1
    memory = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    assert memory
    assert environment["memory_gib"] == pytest.approx(int(memory[1]) / 2**20, abs=0.1)


def test_state_of_the_code(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"commit": None, "dirty": None}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "log", "--format=%H"], capture_output=True, text=True, check=True).stdout.strip()
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "changed.py").touch()
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}


def outside_of_lightning() -> tuple[torch.Tensor, torch.Tensor]:
    """The best checkpoint's logits [N, 10] of the test images, and their labels [N]."""
    checkpoint = torch.load(RUN / "checkpoints/best.ckpt", weights_only=True)
    network = MLP(10)
    network.load_state_dict({name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()})
    mean, std = (torch.tensor(checkpoint["data"][name])[:, None, None] for name in ("mean", "std"))
    test = datasets.CIFAR10("data", train=False)
    images = (torch.from_numpy(test.data).permute(0, 3, 1, 2) / 255 - mean) / std
    return network(images).detach(), torch.tensor(test.targets)


def test_checkpoint_serves_alone(learned: list[str]) -> None:
    checkpoint = torch.load(RUN / "checkpoints/best.ckpt", weights_only=True)
    data = checkpoint["data"]
    assert data["class_names"] == [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    assert data["image_shape"] == [3, 32, 32]
    assert data["mean"] == [0.49140, 0.48216, 0.44653]
    assert data["std"] == [0.24703, 0.24349, 0.26159]
    assert data["preparation"] == {
        "mode": "RGB",
        "size": [32, 32],
        "resample": "bilinear",
        "crop": "center",
        "fit": "cut",
    }
    assert checkpoint["format"] == 1
    assert checkpoint["network"]["class_path"] == "project.networks.MLP"
    assert MLP(**checkpoint["network"]["init_args"]).state_dict().keys() == {
        name.removeprefix("network.") for name in checkpoint["state_dict"]
    }
    assert checkpoint["loss"]["class_path"] == "torch.nn.CrossEntropyLoss"
    logits, labels = outside_of_lightning()
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    assert accuracy == pytest.approx(json.loads((RUN / "results.json").read_text())["test/accuracy"])


@pytest.mark.parametrize("precise", ["best", str(RUN / "checkpoints/best.ckpt")])
def test_test_repeats_the_result(learned: list[str], capsys: pytest.CaptureFixture[str], precise: str) -> None:
    results = json.loads((RUN / "results.json").read_text())
    capsys.readouterr()
    for command, part in (("test", "test"), ("validate", "val")):
        main([command, *learned, "--ckpt_path", precise])
        printed = capsys.readouterr().out.splitlines()
        assert f"{part}/accuracy {100 * results[f'{part}/accuracy']:.2f} %" in printed
        assert re.fullmatch(rf"{part}/loss \d\.\d{{4}}", printed[-1])
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]


def test_predict(learned: list[str]) -> None:
    main(["predict", *learned, "--ckpt_path", "best"])
    with (RUN / "checkpoints/best.predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    logits, labels = outside_of_lightning()
    temperature = json.loads((RUN / "results.json").read_text())["temperature"]
    certainty, predicted = (logits / temperature).softmax(1).max(1)
    assert [int(row["image"]) for row in rows] == list(range(61))
    for column, numbers in (("label", labels), ("predicted", predicted)):
        assert [CIFAR10.class_names.index(row[column]) for row in rows] == numbers.tolist()
    assert [float(row["probability"]) for row in rows] == pytest.approx(certainty.tolist(), abs=6e-5)


def test_runs_do_not_overwrite_each_other(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits()])
    first = (RUN / "metrics.csv").read_bytes()
    main(["fit", *digits()])
    assert sorted(path.name for path in RUN.parent.iterdir()) == ["version_0", "version_1"]
    assert (RUN / "metrics.csv").read_bytes() == first


def test_options_reach_the_run(digits: Callable[..., list[str]]) -> None:
    Path("mine.yaml").write_text("data: {init_args: {batch_size: 200}}\ntrainer: {max_epochs: 2}\n")
    optimizer = ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1"]
    main(["fit", *digits(), "--config", "mine.yaml", *optimizer, "--model.lr_scheduler", "null"])
    settings = yaml.safe_load((RUN / "config.yaml").read_text())
    assert settings["model"]["optimizer"]["class_path"] == "torch.optim.SGD"
    assert settings["model"]["optimizer"]["init_args"]["lr"] == 0.1
    assert settings["data"]["init_args"]["batch_size"] == 200
    assert settings["data"]["init_args"]["val_size"] == 180  # not named in the later file, so the earlier one's stays
    assert settings["trainer"]["max_epochs"] == 2  # the file comes after the option of the same name
    assert json.loads((RUN / "results.json").read_text())["steps"] == 2 * (1257 // 200)


def test_a_runs_own_config_repeats_it(finished_run: Callable[..., None]) -> None:
    finished_run()
    main(["fit", "--config", str(RUN / "config.yaml")])
    first, second = (json.loads((run / "results.json").read_text()) for run in sorted(RUN.parent.iterdir()))
    assert first["test/loss"] == second["test/loss"]


def test_print_config(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *digits(), "--print_config"])
    assert stopped.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["data"]["class_path"] == "project.data.Digits"


def test_help_is_short_enough_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--help"])
    printed = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "From images [N, C, H, W] to logits" in printed
    assert len(printed.splitlines()) < 600


def test_without_validation_the_last_checkpoint_is_tested(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), "--trainer.max_steps", "5"])
    results = json.loads((RUN / "results.json").read_text())
    assert (results["checkpoint"], results["steps"], results["val/accuracy"]) == ("checkpoints/last.ckpt", 5, None)


def test_fast_dev_run_leaves_nothing(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), "--trainer.fast_dev_run", "true"])
    assert not list(Path("lightning_logs").glob("*/*"))


def test_without_a_test(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), "--trainer.limit_test_batches", "0"])
    results = json.loads(Path("lightning_logs/mlp/version_0/results.json").read_text())
    assert results["steps"] == STEPS
    assert results["val/accuracy"] > 0.5
    assert "test/accuracy" not in results
