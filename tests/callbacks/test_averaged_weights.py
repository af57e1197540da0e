"""Averaged weights against the formula, in short and in resumed runs."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

from project.benchmarks.comparison import differences
from project.callbacks import AveragedWeights
from project.cli.main import main
from project.training.classifier import Classifier
from tests.conftest import STEPS

OURS, LIGHTNINGS = ("--trainer.callbacks+=AveragedWeights", "--trainer.callbacks+=EMAWeightAveraging")
WHOLE, RESUMED = Path("lightning_logs/speed/version_0"), Path("lightning_logs/speed/version_1")


@pytest.fixture
def normalised(digits: Callable[..., list[str]]) -> list[str]:
    """The words of a fit of 24 steps on a network with batch normalisation."""
    return [*digits("speed", 2), "--model.network.widths", "[8, 8, 8]", "--data.curriculum", "{16: 0.5}", OURS]


@pytest.mark.parametrize("decay", [0.7, 0.999])
def test_each_step_by_the_formula(normalised: list[str], monkeypatch: pytest.MonkeyPatch, decay: float) -> None:
    weights: list[dict[str, torch.Tensor]] = []
    original = AveragedWeights.on_train_batch_end

    def on_train_batch_end(self: AveragedWeights, trainer: Any, pl_module: Classifier, *args: Any) -> None:
        weights.append({name: value.clone() for name, value in pl_module.state_dict().items()})
        original(self, trainer, pl_module, *args)

    monkeypatch.setattr(AveragedWeights, "on_train_batch_end", on_train_batch_end)
    short = ["--trainer.max_epochs", "3", "--trainer.max_steps", "30", "--trainer.limit_test_batches", "0"]
    main(["fit", *normalised, "--trainer.callbacks.decay", str(decay), *short])
    assert len(weights) == 30
    saved = torch.load(WHOLE / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for name, average in weights[0].items():
        if not average.is_floating_point():
            assert torch.equal(saved[name], weights[-1][name])
            continue
        average = average.double()
        for step in range(1, 30):
            decay_at_step = min(decay, (1 + step) / (10 + step))  # 0.7 from step 20 on
            average = decay_at_step * average + (1 - decay_at_step) * weights[step][name]
        torch.testing.assert_close(saved[name].double(), average, rtol=1e-4, atol=1e-6)


def test_a_short_run(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """With its default decay, Lightning's average has mostly the initial weights, and a line says so."""
    accuracies, words = [], [*digits(epochs=2), "--data.batch_size", "32"]
    for name in (OURS, LIGHTNINGS):
        main(["fit", *words, name])
        printed = capsys.readouterr().out
        assert ("EMAWeightAveraging: with a decay of 0.999, 93% of its average" in printed) == (name == LIGHTNINGS)
        results = Path("lightning_logs/mlp").glob("version_*/results.json")
        accuracies.append(json.loads(max(results).read_text())["val/accuracy"])
    assert accuracies[0] > 0.9
    assert accuracies[1] < accuracies[0] - 0.2
    main(["fit", *words, LIGHTNINGS, "--trainer.callbacks.decay", "0.9"])
    assert "EMAWeightAveraging" not in capsys.readouterr().out


def test_a_resumed_average(normalised: list[str], stop_at: Callable[..., None]) -> None:
    """The weights of the classes, which the loss gets from the data, have no average."""
    words = [*normalised, "--checkpoints.every_n_steps", "10", "--data.balance", "weights"]
    main(["fit", *words])
    stop_at(STEPS + 5, words)
    main(["fit", *words, "--ckpt_path", "last"])
    assert differences(WHOLE, RESUMED) == []
    whole = torch.load(WHOLE / "checkpoints/last.ckpt", weights_only=True)
    averaged, current = (whole[state]["network.head.weight"] for state in ("state_dict", "current_model_state"))
    assert not torch.equal(averaged, current)


def test_the_average_is_on_the_weights_device() -> None:
    """Lightning moves the weights to their device after `setup`. Elsewhere, each step would copy them."""
    module, average = LightningModule(), AveragedWeights()
    module.layer = torch.nn.Linear(2, 2)
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))
    average.setup(trainer, module, "fit")
    checkpoint = {"state_dict": module.state_dict()}
    average.on_save_checkpoint(trainer, module, checkpoint)
    assert {value.device.type for value in checkpoint["state_dict"].values()} == {"meta"}


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_out_of_range(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"AveragedWeights's decay {decay} must be at least 0 and below 1"):
        AveragedWeights(decay)
