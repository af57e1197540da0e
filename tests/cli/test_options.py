"""What options may be given, and what they then do."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from torch import Tensor

from project.cli.main import main
from project.training.classifier import Classifier

RUN = Path("lightning_logs/mlp/version_0")
FEW = ["--trainer.max_steps", "3", "--trainer.log_every_n_steps", "1", "--trainer.limit_val_batches", "1"]


def losses(run: Path) -> list[str]:
    with (run / "metrics.csv").open() as file:
        return [row["train/loss_step"] for row in csv.DictReader(file) if row["train/loss_step"]]


def test_the_config_of_a_run_repeats_it(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), *FEW, "--seed_everything", "7", "--trainer.precision", "32"])
    saved = yaml.safe_load((RUN / "config.yaml").read_text())
    assert (saved["seed_everything"], saved["trainer"]["precision"]) == (7, "32")
    main(["fit", "--config", str(RUN / "config.yaml")])
    assert len(losses(RUN)) == 3
    assert losses(RUN.with_name("version_1")) == losses(RUN)
    Path("number.yaml").write_text("trainer: {precision: 32}\nseed_everything: 8")
    main(["fit", *digits(), *FEW, "--config", "number.yaml"])
    assert losses(RUN.with_name("version_2")) != losses(RUN)


def test_the_seed_is_that_of_the_batches_too(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    original = Classifier.training_step

    def training_step(self: Classifier, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        seen.append(batch[1].tolist())
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", training_step)
    for seed in ("0", "1", "1"):
        main(["fit", *digits(), "--seed_everything", seed, "--trainer.max_steps", "1"])
    first, second, repeated = seen
    assert first != second
    assert second == repeated
