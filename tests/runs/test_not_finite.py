"""A loss or weights that are not finite end a run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from project.checkpoints.files import read
from project.cli.main import main
from project.training.classifier import Classifier
from tests.conftest import STEPS

LAST = Path("lightning_logs/mlp/version_0/checkpoints/last.ckpt")


def test_a_loss_that_is_not_finite(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    optimizer = ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "1e18", "--model.lr_scheduler", "null"]
    optimizer += ["--model.optimizer.weight_decay", "0"]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *digits(), *optimizer, "--checkpoints.every_n_steps", "1"])
    assert stopped.value.code == 2
    line = capsys.readouterr().err
    last = read(LAST)
    assert all(value.isfinite().all() for value in last["state_dict"].values())
    assert f"train/loss is nan at step {last['global_step']}, at a learning rate of 1e+18; the last good" in line
    assert line.endswith("checkpoint stays: resume from it with a lower --model.optimizer.lr\n")
    assert "Traceback" not in line


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (
            ["--trainer.precision", "16-true"],
            "--trainer.precision bf16-mixed (the largest float16 is 65504) or a lower ",
        ),
        (["--model.optimizer.lr", "1e18", "--model.optimizer.weight_decay", "0"], "a lower "),
    ],
)
def test_a_loss_that_is_not_finite_before_the_first_checkpoint(
    digits: Callable[..., list[str]], error: Callable[..., str], options: list[str], advice: str
) -> None:
    line = error("fit", *digits(), *options)
    assert line.endswith(f"there is no checkpoint yet: start again with {advice}--model.optimizer.lr")


def test_the_largest_of_several_learning_rates_is_named(
    digits: Callable[..., list[str]], error: Callable[..., str]
) -> None:
    optimizer = ["--model.optimizer", "MuonSGD", "--model.optimizer.head_lr", "1e19", "--model.lr_scheduler", "null"]
    line = error("fit", *digits(), *optimizer)
    assert "at a learning rate of 1e+19;" in line
    assert line.endswith("start again with lower learning rates of --model.optimizer")


def test_a_validation_loss_that_is_not_finite(
    digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Classifier.validation_step

    def validation_step(self: Classifier, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        images, labels = batch
        return original(self, (images / (self.current_epoch == 0), labels), batch_idx)

    monkeypatch.setattr(Classifier, "validation_step", validation_step)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *digits(epochs=3)])
    assert stopped.value.code == 2
    assert f"error: val/loss is nan at step {2 * STEPS - 1}, at a learning rate of " in capsys.readouterr().err
    assert read(LAST)["global_step"] == STEPS


def test_weights_that_are_not_finite_are_not_saved(
    digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(self: Classifier, optimizer: torch.optim.Optimizer) -> None:
        if self.global_step == STEPS + 4:
            optimizer.param_groups[0]["params"][0].grad.fill_(torch.nan)

    monkeypatch.setattr(Classifier, "on_before_optimizer_step", spoil)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *digits(epochs=3), "--checkpoints.every_n_steps", "1"])
    assert stopped.value.code == 2
    said = f"network.1.weight is not finite after step {STEPS + 4}; the last good checkpoint stays: resume"
    assert said in capsys.readouterr().err
    assert read(LAST)["global_step"] == STEPS + 4
