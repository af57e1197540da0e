"""The checkpoints of a run that is killed, and of a new run that starts from another run's checkpoint."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from project.benchmarks.comparison import differences
from project.checkpoints.files import read
from project.cli.main import main
from tests.conftest import STEPS

FIRST, SECOND = Path("lightning_logs/mlp/version_0"), Path("lightning_logs/mlp/version_1")
STILL = ["--model.optimizer.lr", "1e-12", "--model.lr_scheduler", "null"]  # too low to change a weight


class Killed(BaseException):
    """Ends a run early."""


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


def test_the_first_of_equal_epochs_is_best(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(epochs=3), *STILL])
    assert read(FIRST / "checkpoints/best.ckpt")["global_step"] == STEPS
    assert results(FIRST)["val/accuracy"] > 0


def fit_killed_before_rename(words: list[str], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that ends before the rename of the `count`th file of its checkpoints."""
    original = Path.replace
    calls = 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += self.parent.name == "checkpoints"
        if calls == count:
            raise Killed
        return original(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        with pytest.raises(Killed):
            main(["fit", *words])


@pytest.mark.parametrize("count", [2, 3, 5, 6, 7])
def test_killed_before_a_rename(
    digits: Callable[..., list[str]], finished_run: Callable[..., None], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Two checkpoints rename their files in this order: new, best, last; then new, best, previous, last.

    test_kills.py kills runs while they write a checkpoint.
    """
    words = digits(epochs=2)
    finished_run(2)
    fit_killed_before_rename(words, count, monkeypatch)
    main(["fit", *words, "--ckpt_path", "last"])
    assert differences(FIRST, SECOND) == []
    assert read(FIRST / "checkpoints/best.ckpt")["global_step"] == 2 * STEPS  # else the order would not matter
    if count > 3:  # before that the run goes on from its best, and has no last that could become previous
        assert read(SECOND / "checkpoints/previous.ckpt")["global_step"] == STEPS


def test_a_new_run_from_anothers_checkpoint_has_its_own_best_and_early_stop(digits: Callable[..., list[str]]) -> None:
    early = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val/loss"]
    words = [*digits(epochs=9), *STILL, *early, "--trainer.callbacks.patience", "2"]
    main(["fit", *words])
    assert results(FIRST)["epochs"] == 3  # the first is the lowest, and none of two after it is lower
    main(["fit", *words, "--ckpt_path", str(FIRST / "checkpoints/last.ckpt")])
    assert results(SECOND)["epochs"] == 6
    assert results(SECOND)["checkpoint"] == "checkpoints/best.ckpt"
    assert read(SECOND / "checkpoints/best.ckpt")["global_step"] == 4 * STEPS


def epochs_of(run: Path) -> dict[str, list[float]]:
    """The values of each validation of a run."""
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/loss"]]
    return {name: [float(row[name]) for row in rows] for name in ("val/loss", "val/accuracy")}


def ranked_files(run: Path) -> list[str]:
    return sorted(path.stem for path in (run / "checkpoints").iterdir() if path.stem.startswith("epoch"))


WOBBLY = ["--model.lr_scheduler", "null", "--model.optimizer.lr", "0.02", "--trainer.limit_train_batches", "8"]


def test_the_lowest_losses_stay(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    words = [*digits(epochs=6), *WOBBLY, "--checkpoints.keep", "3", "--checkpoints.monitor", "val/loss"]
    main(["fit", *words])
    losses, accuracies = epochs_of(FIRST).values()
    ranks = sorted(range(6), key=lambda epoch: losses[epoch])
    assert ranks != sorted(ranks)
    assert ranked_files(FIRST) == sorted(f"epoch-{epoch + 1}-step-{8 * (epoch + 1)}" for epoch in ranks[:3])
    assert read(FIRST / "checkpoints/best.ckpt")["global_step"] == 8 * (ranks[0] + 1)
    figures = results(FIRST)
    assert (figures["val/loss"], figures["val/accuracy"]) == (losses[ranks[0]], accuracies[ranks[0]])
    for options, problem in ((words[:-2], "monitor val/accuracy"), ([*words, "--checkpoints.mode", "max"], "mode max")):
        said = error("fit", *options, "--trainer.max_epochs", "7", "--ckpt_path", "last")
        assert said.startswith(f"--checkpoints.{problem}: the run has chosen its best checkpoint by ")
    main(["fit", *words[:-2], "--trainer.max_epochs", "7", "--ckpt_path", str(FIRST / "checkpoints/best.ckpt")])
    assert results(SECOND)["val/accuracy"] == max(epochs_of(SECOND)["val/accuracy"])


ODD = """
import torch
from lightning.pytorch import Callback

class Odd(Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("val/odd", (torch.nan, 2.0, 1.0, 1.0, torch.inf)[trainer.current_epoch])
"""


def test_values_that_are_equal_or_not_finite(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    Path("odd_metric.py").write_text(ODD)
    words = [*digits(epochs=5), "--trainer.limit_train_batches", "2", "--trainer.callbacks+=odd_metric.Odd"]
    main(["fit", *words, "--checkpoints.monitor", "val/odd", "--checkpoints.mode", "min", "--checkpoints.keep", "2"])
    assert ranked_files(FIRST) == ["epoch-3-step-6", "epoch-4-step-8"]
    assert read(FIRST / "checkpoints/best.ckpt")["global_step"] == 6
    assert results(FIRST)["val/odd"] == 1
    said = error("fit", *words, "--checkpoints.monitor", "val/odds")
    measured = "val/accuracy, val/balanced_accuracy, val/f1_macro, val/loss, val/odd"
    assert said == f"--checkpoints.monitor val/odds: no validation measures it; give one of {measured}"


@pytest.mark.parametrize("count", [9, 11])
def test_killed_before_a_rename_of_a_ranked_checkpoint(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The third epoch renames new to its own name and best, then last to previous, then new to last."""
    words = [*digits(epochs=3), "--trainer.limit_train_batches", "4", "--checkpoints.keep", "2"]
    main(["fit", *words])
    fit_killed_before_rename(words, count, monkeypatch)
    main(["fit", *words, "--ckpt_path", "last"])
    assert differences(FIRST, SECOND) == []
    assert ranked_files(FIRST) == ranked_files(SECOND) == ["epoch-2-step-8", "epoch-3-step-12"]
    for name in ranked_files(FIRST):
        first, second = (read(run / f"checkpoints/{name}.ckpt") for run in (FIRST, SECOND))
        assert first["global_step"] == second["global_step"] == int(name.rpartition("-")[2])


@pytest.mark.parametrize("where", ["on_exception.ckpt", "hpc_ckpt_1.ckpt"])
def test_a_new_run_loads_no_file_that_nobody_named(
    digits: Callable[..., list[str]], stop_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Lightning looks for the first beside its OnExceptionCheckpoint, and for the second on SLURM."""
    words = [*digits(), "--trainer.limit_train_batches", "10"]
    main(["fit", *words])
    callback = ["--trainer.callbacks", "OnExceptionCheckpoint", "--trainer.callbacks.dirpath", "."]
    stop_at(5, [*words, *callback])
    shutil.rmtree(SECOND)
    assert read(Path("on_exception.ckpt"))["global_step"] == 5
    if where == "on_exception.ckpt":
        words += callback
    else:
        Path("on_exception.ckpt").rename(where)
        monkeypatch.setenv("SLURM_NTASKS", "1")
        monkeypatch.setenv("SLURM_JOB_NAME", "fit")
    main(["fit", *words])
    assert differences(FIRST, SECOND) == []
