"""Loss, learning rate, and twenty steps whose losses are known."""

import math
from collections.abc import Callable

import pytest
import torch

from project.classifier import Classifier
from project.cli import main


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Loss and learning rate of each training step."""
    seen: list[tuple[float, float]] = []
    original = Classifier.training_step

    def training_step(self: Classifier, batch: object, batch_idx: int) -> torch.Tensor:
        loss = original(self, batch, batch_idx)
        seen.append((loss.item(), self.trainer.optimizers[0].param_groups[0]["lr"]))
        return loss

    monkeypatch.setattr(Classifier, "training_step", training_step)
    return seen


def test_schedule_steps_every_batch(digits: Callable[..., list[str]], steps: list[tuple[float, float]]) -> None:
    schedule = ["--model.lr_scheduler", "WarmupLinear", "--model.lr_scheduler.warmup", "0.25"]
    main(["fit", *digits(), *schedule, "--model.optimizer.lr", "0.012", "--trainer.max_steps", "8"])
    # Steps 0 to 7 of 8 with a warm-up of 2: 1/3 and 2/3 of the rate, then (8 - t) / 6 of it.
    expected = [0.004, 0.008, 0.012, 0.010, 0.008, 0.006, 0.004, 0.002]
    assert [rate for _, rate in steps] == pytest.approx(expected)


# Seed 0, float32, printed by this very test's run.
GOLDEN = [2.34634, 2.28983, 2.13796, 1.98594, 2.00149, 1.83962, 1.81726, 1.79158, 1.72171, 1.57590]
GOLDEN += [1.43401, 1.52127, 1.39437, 1.30273, 1.23308, 1.29694, 1.19820, 1.29050, 1.13952, 1.28095]


def test_label_smoothing() -> None:
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.3)
    classifier = Classifier(torch.nn.Identity(), 3, loss)
    probabilities = torch.tensor([[0.7, 0.2, 0.1]])
    # The target 0 is smoothed to (0.8, 0.1, 0.1).
    expected = -(0.8 * math.log(0.7) + 0.1 * math.log(0.2) + 0.1 * math.log(0.1))
    assert classifier.loss(classifier(probabilities.log()), torch.tensor([0])).item() == pytest.approx(expected)


def test_twenty_steps(digits: Callable[..., list[str]], steps: list[tuple[float, float]]) -> None:
    """A refactoring must reproduce these losses; a change of behaviour says why they moved."""
    main(["fit", *digits("convnet"), "--trainer.precision", "32-true", "--trainer.max_steps", "20"])
    assert [loss for loss, _ in steps] == pytest.approx(GOLDEN, rel=1e-3)
