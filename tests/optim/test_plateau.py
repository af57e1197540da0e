"""A plateau schedule counts validations."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from project.cli.main import main

# Runs of six epochs that are validated after the second, fourth and sixth.
WORDS = ["--model.lr_scheduler", "Plateau", "--model.lr_scheduler.patience", "0", "--trainer.limit_train_batches", "4"]
WORDS += ["--trainer.check_val_every_n_epoch", "2", "--trainer.log_every_n_steps", "1", "--trainer.limit_test_batches"]
WORDS += ["0", "--model.optimizer.lr"]


def rates() -> list[float]:
    """Of the six epochs."""
    with Path("lightning_logs/mlp/version_0/metrics.csv").open() as file:
        rows = [float(row["train/lr"]) for row in csv.DictReader(file) if row["train/lr"]]
    assert len(rows) == 24
    return rows[::4]


def test_a_loss_that_falls_keeps_the_rate(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *digits(epochs=6), *WORDS, "0.001"])
    epochs = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert ["val/loss" in line for line in epochs] == [False, True] * 3
    assert rates() == pytest.approx([0.001] * 6)


def test_a_loss_that_stays_lowers_it(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(epochs=6), *WORDS, "1e-12"])
    assert rates() == pytest.approx([1e-12] * 4 + [1e-13] * 2)
