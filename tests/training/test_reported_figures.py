"""Every figure that a run reports, compared with one computed from its checkpoints in plain torch.

The runs take one step an epoch, on all training images in several batches, so the weights of an epoch's training
figures are those of the checkpoint before.
"""

import csv
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torchmetrics.classification import MulticlassCalibrationError

from project.callbacks import stopwatch
from project.checkpoints.files import read
from project.cli.main import main
from project.data import CIFAR10, Digits, ImageDataModule
from project.networks import MLP
from project.runs.results import read_metrics
from project.training.classifier import Classifier
from tests.conftest import CONFIGS
from tests.data_sets import cifar10_files
from tests.runs.test_launchers import torchrun, two_processes
from tests.training.test_calibration import reference_temperature

RUN = Path("lightning_logs/mlp/version_0")
OPTIONS = ["--data.flip", "none", "--model.optimizer.lr", "0.004", "--model.lr_scheduler", "null"]
OPTIONS += ["--model.test_views", "mirror_shift", "--trainer.accelerator", "cpu"]
Part = tuple[Tensor, Tensor]
"""Pixels [N, H, W, C] uint8 and labels [N]."""


class Loss(NamedTuple):
    """CrossEntropyLoss, as its documentation has it."""

    weight: list[float]
    """Of each class."""
    smoothing: float

    def __call__(self, logits: Tensor, label: int) -> float:
        """Of one image, to be divided by the sum of all labels' weights."""
        losses = -logits.log_softmax(0) * torch.tensor(self.weight[: len(logits)])
        return float((1 - self.smoothing) * losses[label] + self.smoothing * losses.mean())


PLAIN, WEIGHTED = Loss([1] * 10, 0.0), Loss([1, 2, 3, 4, 0.5, 6, 7, 8, 9, 10], 0.1)


class Measured(NamedTuple):
    """Computed from a checkpoint over all images, one by one."""

    loss: float
    answers: list[int]
    views_logits: Tensor
    """[N, num_classes] float64, the mean of several views."""


@torch.no_grad()
def measured(checkpoint: str, data: type[ImageDataModule], part: Part, criterion: Loss) -> Measured:
    pixels, labels = part
    network = MLP(int(labels.max()) + 1)
    state = torch.load(RUN / f"checkpoints/{checkpoint}.ckpt", weights_only=True)["state_dict"]
    state.pop("loss.weight", None)
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    loss, answers, of_views = 0.0, list[int](), []
    for image, label in zip((pixels.permute(0, 3, 1, 2) / 255 - mean) / std, labels.tolist(), strict=True):
        logits = network(image[None])[0].double()
        loss += criterion(logits, label)
        answers.append(int(logits.argmax()))
        padded = np.pad(image.numpy(), ((0, 0), (1, 1), (1, 1)), mode="reflect")
        moved = [torch.from_numpy(padded[:, place : place + 32, place : place + 32]) for place in (0, 2)]
        views = torch.stack([view for plain in (image, *moved) for view in (plain, plain.flip(2))])
        of_views.append(torch.tensor([2.0, 2, 1, 1, 1, 1], dtype=torch.float64) / 8 @ network(views).double())
    total = sum(criterion.weight[label] for label in labels.tolist())
    return Measured(loss / total, answers, torch.stack(of_views))


def reported() -> dict[str, float]:
    """The last of each figure in metrics.csv, with which TensorBoard's curves and results.json agree."""
    with (RUN / "metrics.csv").open() as file:
        last = {name: float(value) for row in csv.DictReader(file) for name, value in row.items() if value}
    of_steps = {"train/loss_step", "train/lr", "train/images_per_second"}
    figures = {name: value for name, value in last.items() if "/" in name and name not in of_steps}
    events = EventAccumulator(str(RUN)).Reload()
    results = json.loads((RUN / "results.json").read_text())
    for name, value in figures.items():
        assert events.Scalars(name)[-1].value == pytest.approx(value)
        assert name not in results or name.startswith("val/") or results[name] == value
    return figures


def compare(data: type[ImageDataModule], train: Part, val: Part, test: Part, criterion: Loss = PLAIN) -> None:
    """Each figure of the last epoch and of the test with those of the same images, of which some are right."""
    figures = reported()
    for name, checkpoint, part in (("train", "previous", train), ("val", "last", val), ("test", "best", test)):
        loss, answers, views_logits = measured(checkpoint, data, part, criterion)
        accuracy = accuracy_score(part[1], answers)
        assert figures.pop(f"{name}/loss") == pytest.approx(loss, rel=1e-5)
        assert figures.pop(f"{name}/accuracy") == pytest.approx(accuracy)
        assert 0.5 < accuracy < 0.95
        if name != "train":
            balanced, f1 = balanced_accuracy_score(part[1], answers), f1_score(part[1], answers, average="macro")
            assert figures.pop(f"{name}/balanced_accuracy") == pytest.approx(balanced)
            assert figures.pop(f"{name}/f1_macro") == pytest.approx(f1)
    check_calibration(views_logits, test[1], measured("best", data, val, criterion).views_logits, val[1])
    views_accuracy = (views_logits.argmax(1) == test[1]).double().mean().item()
    assert figures == {"test/accuracy_mirror_shift": pytest.approx(views_accuracy)}
    assert views_accuracy != accuracy
    with np.load(RUN / "test.npz") as saved:  # which loads no pickled objects
        assert set(saved) == {"index", "label", "logits", "class_names"}
        assert saved["index"].tolist() == list(range(len(test[1])))
        assert saved["label"].tolist() == test[1].tolist()
        assert saved["logits"].dtype == np.float32
        assert saved["logits"] == pytest.approx(views_logits.numpy(), abs=1e-4)
    best = json.loads((RUN / "results.json").read_text())["val/accuracy"]
    assert best == pytest.approx(accuracy_score(val[1], measured("best", data, val, criterion).answers))


def check_calibration(logits: Tensor, labels: Tensor, val_logits: Tensor, val_labels: Tensor) -> None:
    """The temperature and the scores of the test, with those of other libraries."""
    results = json.loads((RUN / "results.json").read_text())
    # Views are not plain, so a temperature of other logits would differ.
    expected = reference_temperature(val_logits, val_labels)
    assert results["temperature"] == pytest.approx(expected, rel=1e-4)
    assert abs(expected - 1) > 0.02
    calibration = torch.load(RUN / "checkpoints/best.ckpt", weights_only=True)["calibration"]
    assert calibration == {
        "temperature": results["temperature"],
        "images": len(val_labels),
        "views": "mirror_shift",
    }
    for ending, temperature in (("", 1.0), ("_calibrated", expected)):
        probabilities = (logits / temperature).softmax(1)
        errors = (probabilities - torch.eye(probabilities.shape[1])[labels]).square().sum(1)
        calibration_error = MulticlassCalibrationError(probabilities.shape[1], n_bins=15)(probabilities, labels)
        assert results[f"test/nll{ending}"] == pytest.approx(log_loss(labels, probabilities), rel=1e-4)
        assert results[f"test/brier{ending}"] == pytest.approx(errors.mean().item(), rel=1e-4)
        assert results[f"test/ece{ending}"] == pytest.approx(calibration_error.item(), abs=1e-4)


@pytest.mark.parametrize("criterion", [PLAIN, WEIGHTED], ids=["plain", "weighted"])
def test_one_process(criterion: Loss, cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageDataModule, "evaluation_batch_size", 16)  # the last batch is smaller
    words = ["--config", str(CONFIGS / "mlp.yaml"), "--data.data_dir", str(cifar10_dir), *OPTIONS]
    words += ["--data.batch_size", "16", "--trainer.accumulate_grad_batches", "10", "--trainer.max_epochs", "3"]
    if criterion is WEIGHTED:
        words += ["--model.loss.init_args.weight", str(criterion.weight)]
        words += ["--model.loss.init_args.label_smoothing", str(criterion.smoothing)]
    main(["fit", *words, "--data.val_size", "40"])
    (pixels, labels), test = (
        [torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*cifar10_files(part), strict=True)]
        for part in ("train_list", "test_list")
    )
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    train, val = ((pixels[places], labels[places]) for places in (order[40:], order[:40]))
    compare(CIFAR10, train, val, (test[0], test[1]), criterion)


def _clocked(words: list[str]) -> None:
    """A command by a clock that each training step moves by a second: a process takes 20 for its 500 images."""
    clock, original = SimpleNamespace(seconds=1), Classifier.training_step

    def training_step(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        clock.seconds += 1
        return original(self, batch, batch_idx)

    Classifier.training_step = training_step  # type: ignore[method-assign]
    torch.compile = partial(torch.compile, backend="eager")  # type: ignore[assignment]  # needs no C++ compiler
    stopwatch.time = SimpleNamespace(perf_counter=lambda: clock.seconds)  # type: ignore[assignment]
    main(words)


def test_two_processes(capsys: pytest.CaptureFixture[str]) -> None:
    """Eight of the digits, whose validation and test images do not divide evenly, in processes as torchrun starts them.

    Each finds the network in a file of the current folder. The step is compiled. It takes all 1,000 training images, so
    one process that compiles nothing learns the same weights. They differ by the rounding of sums in another order.
    """
    Path("own_shared.py").write_text("from project.networks import MLP\nclass Own(MLP): pass\n")
    configs = [CONFIGS / "mlp.yaml", CONFIGS / "data/digits.yaml", CONFIGS / "trainer/ddp.yaml"]
    words = [word for config in configs for word in ("--config", str(config))] + OPTIONS
    words += ["--data.classes", "[0, 2, 4, 5, 6, 7, 8, 9]", "--data.val_size", "145", "--trainer.max_epochs", "5"]
    words += ["--data.batch_size", "25", "--trainer.accumulate_grad_batches", "20", "--trainer.precision", "32"]
    words += ["--model.network", "own_shared.Own"]
    outcomes = two_processes(_clocked, ["fit", *words, "--model.compile", "true"], torchrun)
    assert [code for code, _ in outcomes] == [0, 0], outcomes
    check_one_run_of_two_processes("".join(printed for _, printed in outcomes))
    compare(Digits, *eight_of_the_digits())
    alone = ["--trainer.strategy", "auto", "--trainer.devices", "1", "--data.batch_size", "50"]
    main(["fit", *words, *alone])
    check_equal_runs()
    capsys.readouterr()
    for run in (0, 1):  # in one process now
        config = ["--config", str(RUN.with_name(f"version_{run}") / "config.yaml"), "--model.compile", "false"]
        main(["fit", *config, *alone, "--trainer.max_epochs", "6", "--ckpt_path", "last"])
    change = "--trainer.devices: 1 process in place of 2: their batches have 50 images together as before"
    assert capsys.readouterr().out.count(change) == 1
    check_equal_runs()


def check_one_run_of_two_processes(printed: str) -> None:
    """One process printed and wrote, for both."""
    assert printed.count("results: ") == 1
    assert printed.count("compiled for images of ") == 1
    assert len(list(Path("lightning_logs").rglob("results*.json"))) == 1
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    assert yaml.safe_load((RUN / "environment.yaml").read_text())["processes"] == 2
    with (RUN / "metrics.csv").open() as file:
        written = [(name, value) for row in csv.DictReader(file) for name, value in row.items() if value]
    names = [name for name, _ in written]
    assert [names.count(f"{part}/loss") for part in ("train", "val", "test")] == [5, 5, 1]
    assert [float(value) for name, value in written if name == "train/images_per_second"] == [50.0] * 5
    results = json.loads((RUN / "results.json").read_text())
    assert (results["steps"], results["train_seconds"]) == (5, 100)


def eight_of_the_digits() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pixels and labels of the training, validation and test images, divided here as the run should."""
    numbers = torch.tensor([0, 2, 4, 5, 6, 7, 8, 9])
    places = torch.arange(10).apply_(lambda digit: (numbers < digit).sum())
    (pixels, labels), test = (
        (images.pixels[chosen], places[images.labels[chosen]])
        for images in Digits(batch_size=25).load()
        for chosen in [torch.isin(images.labels, numbers)]
    )
    assert (len(labels), len(test[1])) == (1145, 287)
    order = torch.randperm(1145, generator=torch.Generator().manual_seed(0))
    train, val = ((pixels[places], labels[places]) for places in (order[145:], order[:145]))
    return [train, val, test]


def check_equal_runs() -> None:
    """The runs of two processes and of one have the same weights and curves, within rounding."""
    runs = [RUN.with_name(f"version_{run}") for run in (0, 1)]
    two, one = (read(run / "checkpoints/last.ckpt")["state_dict"] for run in runs)
    torch.testing.assert_close(two, one, rtol=0, atol=1e-5)
    for name in ("train/loss", "val/loss", "test/loss"):
        curves = [[float(row[name]) for row in read_metrics(run) if row.get(name)] for run in runs]
        assert curves[0] == pytest.approx(curves[1], rel=1e-4)
