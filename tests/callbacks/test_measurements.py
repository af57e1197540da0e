"""The curves that a run has only if it asks for them."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from project.callbacks import GradientNorm
from project.cli.main import main
from project.system.memory import peak_gib
from project.training.loops import STEP_HOOKS


def test_gradient_norm_and_peak_memory(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    original = GradientNorm.on_before_optimizer_step

    def also_ours(self: GradientNorm, trainer: object, module: torch.nn.Module, optimizer: object) -> None:
        empty = {name for name, value in vars(self).items() if value is None}
        assert empty == set(STEP_HOOKS) - {"on_before_optimizer_step"}  # so that Lightning does not call them
        gradients = torch.cat([weights.grad.flatten() for weights in module.parameters() if weights.grad is not None])
        norms.append(gradients.double().square().sum().sqrt().item())
        original(self, trainer, module, optimizer)  # type: ignore[arg-type]

    monkeypatch.setattr(GradientNorm, "on_before_optimizer_step", also_ours)
    words = [*digits(epochs=2), "--trainer.limit_train_batches", "6", "--trainer.gradient_clip_val", "0.01"]
    words += ["--trainer.callbacks+=GradientNorm", "--trainer.callbacks+=PeakMemory"]
    main(["fit", *words, "--trainer.log_every_n_steps", "3", "--trainer.precision", "32"])
    with Path("lightning_logs/mlp/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {int(row["step"]): float(row["train/gradient_norm"]) for row in rows if row["train/gradient_norm"]}
    assert len(norms) == 12
    assert logged == pytest.approx({step: norms[step] for step in (2, 5, 8, 11)}, rel=1e-4)
    assert min(norms) > 0.1  # not clipped yet
    peaks = [float(row["train/peak_memory_gib"]) for row in rows if row["train/peak_memory_gib"]]
    assert len(peaks) == 2
    assert 0.1 < peaks[0] <= peaks[1] <= peak_gib()
