"""The temperature of a run: fitted after the training, kept in the tested checkpoint, used by all that predicts."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

import project
from project.checkpoints.files import read
from project.cli.main import main
from project.data import Digits
from project.networks import MLP
from project.training.calibration import fit_temperature
from project.training.classifier import Classifier
from tests.conftest import Stopped

RUN = Path("lightning_logs/mlp/version_0")
VIEWS = ["--model.test_views", "mirror_shift", "--trainer.precision", "32"]
COUNTING = """from lightning.pytorch import Callback

class Counting(Callback):
    def on_validation_end(self, trainer, model):
        print("a validation")
"""


def test_a_run_stopped_in_the_calibration_is_the_same(
    digits: Callable[..., list[str]], stop_in_calibration: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("counting.py").write_text(COUNTING)
    words = [*digits(), *VIEWS, "--trainer.callbacks+=counting.Counting", "--trainer.num_sanity_val_steps", "0"]
    whole = main(["fit", *words, "--name", "whole"])
    printed = capsys.readouterr().out
    assert printed.count("temperature ") == printed.count("test/accuracy ") == printed.count("a validation") == 1
    stop_in_calibration(words)
    assert not (RUN / "results.json").exists()
    assert "calibration" not in read(RUN / "checkpoints/best.ckpt")
    resumed = main(["fit", *words, "--ckpt_path", "last"])
    differing = {name for name in whole.figures if whole.figures[name] != resumed.figures[name]}
    assert differing <= {"train_seconds", "fit_seconds"}
    assert whole.directory is not None
    assert (whole.directory / "test.npz").read_bytes() == (RUN / "test.npz").read_bytes()


def test_it_is_used_by_all_that_predicts(digits: Callable[..., list[str]]) -> None:
    fitted = main(["fit", *digits(), *VIEWS]).figures
    checkpoint, predictor = read(RUN / "checkpoints/best.ckpt"), project.load(RUN)
    temperature = checkpoint["calibration"]["temperature"]
    assert checkpoint["calibration"] == {"temperature": temperature, "images": 180, "views": "mirror_shift"}
    assert temperature == fitted["temperature"]
    data = Digits(val_size=180)
    data.setup("test")
    logits = predictor.logits(data.val.pixels.numpy())
    assert fit_temperature(logits, data.val.labels) == pytest.approx(temperature, rel=1e-4)
    with np.load(RUN / "test.npz") as test:
        expected = (torch.from_numpy(test["logits"]) / temperature).softmax(1)
        assert predictor.logits(data.test.pixels.numpy()).numpy() == pytest.approx(test["logits"], abs=1e-4)
    probabilities = predictor.probabilities(data.test.pixels.numpy())
    torch.testing.assert_close(probabilities, expected, atol=1e-4, rtol=0)
    answers = predictor.predict(data.test.pixels.numpy(), top=10)
    assert [answer.top[0][1] for answer in answers] == pytest.approx(expected.amax(1).tolist(), abs=1e-4)

    result = main(["predict", "--ckpt_path", str(RUN)])
    assert result.predictions is not None
    with result.predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["probability"]) for row in rows] == pytest.approx(expected.amax(1).tolist(), abs=2e-4)
    right = np.mean([row["predicted"] == row["label"] for row in rows])
    assert right == pytest.approx(fitted["test/accuracy_mirror_shift"])
    again = main(["test", "--ckpt_path", str(RUN)]).figures
    assert again == {name: fitted[name] for name in again}
    plain = {f"test/{name}" for name in ("loss", "accuracy", "balanced_accuracy", "f1_macro")}
    assert set(again) == {*plain, "test/accuracy_mirror_shift"}
    assert Classifier.load_from_checkpoint(RUN / "checkpoints/best.ckpt").calibration == checkpoint["calibration"]


@pytest.fixture
def stop_in_calibration(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Fit with these words, until the run raises Stopped in place of the validation after the training."""

    def stop(words: list[str]) -> None:
        def validate(self: Trainer, *args: Any, **options: Any) -> None:
            raise Stopped

        with monkeypatch.context() as patched:
            patched.setattr(Trainer, "validate", validate)
            with pytest.raises(Stopped):
                main(["fit", *words])

    return stop


class NotFinite(MLP):
    """Its logits are not finite, except in training."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (1 if self.training else torch.nan)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--data.val_size", "0"], "there are no validation images"),
        (["--trainer.limit_val_batches", "0"], "there are no validation images"),
        (
            ["--model.network", f"{__name__}.NotFinite", "--trainer.check_val_every_n_epoch", "2"],
            "a logit of a validation image is not finite",
        ),
    ],
)
def test_runs_without_a_temperature(
    options: list[str], problem: str, digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    result = main(["fit", *digits(), *options, "--trainer.max_steps", "1", "--trainer.limit_test_batches", "1"])
    assert capsys.readouterr().out.count(f"the probabilities are not calibrated: {problem}\n") == 1
    assert "calibration" not in read(RUN / "checkpoints/last.ckpt")
    assert {name for name in result.figures if name.startswith(("test/", "temp"))} == {
        f"test/{name}" for name in ("accuracy", "balanced_accuracy", "f1_macro", "loss", "nll", "brier", "ece")
    }
    if "0" not in options:
        return
    predictor = project.load("last")
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    assert torch.equal(predictor.probabilities(pixels), predictor.logits(pixels).softmax(1))


def test_it_is_fitted_without_a_test(digits: Callable[..., list[str]]) -> None:
    """And without a validation in the training."""
    limits = ["--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "0", "--trainer.max_steps", "2"]
    result = main(["fit", *digits(), *limits])
    assert not [name for name in result.figures if name.startswith("test/")]
    assert result.figures["temperature"] == read(RUN / "checkpoints/last.ckpt")["calibration"]["temperature"]
