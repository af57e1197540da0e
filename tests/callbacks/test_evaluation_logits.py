"""The logits that a run collects. tests/training/test_reported_figures.py compares them with plain torch's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from project.callbacks.evaluation_logits import EvaluationLogits
from project.cli.main import main
from project.data import ImageDataModule

FILE = Path("lightning_logs/mlp/version_0/test.npz")


def test_limited_batches(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 180 digits, the first two batches; then none at all, so an earlier test's file goes."""
    monkeypatch.setattr(ImageDataModule, "evaluation_batch_size", 25)
    seen = []

    def on_validation_end(self: EvaluationLogits, trainer: Trainer, model: LightningModule) -> None:
        seen.append((trainer.sanity_checking, self.validation))

    monkeypatch.setattr(EvaluationLogits, "on_validation_end", on_validation_end)
    words = [*digits(), "--data.batch_size", "25", "--trainer.num_sanity_val_steps", "1"]
    limits = ["--trainer.limit_val_batches", "3", "--trainer.limit_test_batches"]
    main(["fit", *words, *limits, "2"])
    with np.load(FILE) as saved:
        assert saved["index"].tolist() == list(range(50))
        assert saved["logits"].shape == (50, 10)
    assert seen[0] == (True, None)
    for is_sanity_check, validation in seen[1:]:
        assert not is_sanity_check
        assert validation is not None
        assert torch.equal(validation.indices, torch.arange(75))
        assert validation.logits.shape == (75, 10)
    main(["fit", *words, *limits, "0", "--ckpt_path", "last", "--trainer.max_epochs", "2"])
    assert not FILE.exists()
