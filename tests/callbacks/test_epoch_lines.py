"""The lines that a run prints while it trains."""

import csv
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from project.cli.main import main
from project.runs.results import format_figures
from tests.conftest import STEPS

RUN = Path("lightning_logs/mlp/version_0")


def test_digits_worth_reading() -> None:
    measured = {"test/accuracy": 0.93339999, "test/loss": 0.136039093, "val/accuracy": None, "checkpoint": "best.ckpt"}
    assert format_figures(measured) == ["test/accuracy 93.34 %", "test/loss 0.1360", "checkpoint best.ckpt"]
    assert format_figures({"epochs": 12, "fit_seconds": 83.66, "mine": 1 / 3}) == [
        "epochs 12",
        "fit_seconds 83.7",
        "mine 0.3333",
    ]


@pytest.mark.parametrize(("balanced", "is_shown"), [(0.9, True), (0.949, False), (math.nan, True)])
def test_figures_in_which_each_class_counts_the_same(balanced: float, is_shown: bool) -> None:
    """They have a line where the balanced accuracy is a point from the accuracy."""
    measured = {"val/accuracy": 0.95, "val/balanced_accuracy": balanced, "val/f1_macro": 0.5, "f1_macro": 0.25}
    names = [line.split()[0] for line in format_figures(measured)]
    assert names == (list(measured) if is_shown else ["val/accuracy", "f1_macro"])


def test_epochs_without_a_last_one(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *digits(), "--trainer.max_epochs", "-1", "--trainer.max_steps", str(STEPS + 6)])
    said = [line.split()[:3] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert said == [["epoch", "1", "train/loss"], ["epoch", "2", "train/loss"]]


def test_epoch_line(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *digits()])
    printed = capsys.readouterr().out
    assert "Epoch" not in printed  # no bar, since this is no terminal
    (line,) = [line for line in printed.splitlines() if line.startswith("epoch ")]
    with (RUN / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    figures = {}
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        (figures[name],) = [float(row[name]) for row in rows if row[name]]
    percents = {name: f"{100 * value:.2f} %" for name, value in figures.items() if "accuracy" in name}
    losses = {name: f"{value:.4f}" for name, value in figures.items() if "loss" in name}
    said = [f"{name} {(percents | losses)[name]}" for name in figures]
    assert re.fullmatch(re.escape("  ".join(["epoch 1/1", *said])) + r"  \d+\.\d s", line)


@pytest.mark.parametrize(
    ("options", "every"),
    [
        ([], 3),  # of 39 steps an epoch
        (["--trainer.accumulate_grad_batches", "3"], 1),  # of 13
        (["--data.batch_size", "1"], 50),  # of 1257
        (["--trainer.log_every_n_steps", "7"], 7),
        (["--trainer.log_every_n_steps", "1000"], 1000),
    ],
)
def test_points_of_an_epoch(digits: Callable[..., list[str]], options: list[str], every: int) -> None:
    words = [*digits(epochs=2), "--data.batch_size", "32", "--trainer.max_steps", "60"]
    main(["fit", *words, *options])
    with (RUN / "metrics.csv").open() as file:
        steps = [int(row["step"]) + 1 for row in csv.DictReader(file) if row.get("train/loss_step")]
    done = 26 if "--trainer.accumulate_grad_batches" in options else 60
    assert steps == list(range(every, done + 1, every))


def test_bar(
    digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(["fit", *digits(epochs=2)])
    drawn = re.findall(rf"Epoch (\S+) +\S+ +(\d+)/{STEPS}", re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out))
    for epoch in ("1/2", "2/2"):
        assert {int(batches) for number, batches in drawn if number == epoch} >= set(range(1, STEPS + 1))
    assert {number for number, _ in drawn} == {"1/2", "2/2"}
