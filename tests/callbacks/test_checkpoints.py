"""The checkpoints of a run that is killed, and of a new run that starts from another run's checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from project.benchmarks.comparison import differences
from project.checkpoints.files import read
from project.cli.main import main

FIRST, SECOND = Path("lightning_logs/mlp/version_0"), Path("lightning_logs/mlp/version_1")
STEPS = 1257 // 32
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


@pytest.mark.parametrize("count", [2, 3, 5, 6, 7])
def test_killed_before_a_rename(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Two checkpoints rename their files in this order: new, best, last; then new, best, previous, last.

    test_kills.py kills runs while they write a checkpoint.
    """
    words = [*digits(epochs=2), "--trainer.limit_train_batches", "10"]
    main(["fit", *words])
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
    main(["fit", *words, "--ckpt_path", "last"])
    assert differences(FIRST, SECOND) == []
    assert read(FIRST / "checkpoints/best.ckpt")["global_step"] == 20  # else the order would not matter
    if count > 3:  # before that the run goes on from its best, and has no last that could become previous
        assert read(SECOND / "checkpoints/previous.ckpt")["global_step"] == 10


def test_a_new_run_from_anothers_checkpoint_has_its_own_best_and_early_stop(digits: Callable[..., list[str]]) -> None:
    early = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val/loss"]
    words = [*digits(epochs=9), *STILL, *early, "--trainer.callbacks.patience", "2"]
    main(["fit", *words])
    assert results(FIRST)["epochs"] == 3  # the first is the lowest, and none of two after it is lower
    main(["fit", *words, "--ckpt_path", str(FIRST / "checkpoints/last.ckpt")])
    assert results(SECOND)["epochs"] == 6
    assert results(SECOND)["checkpoint"] == "checkpoints/best.ckpt"
    assert read(SECOND / "checkpoints/best.ckpt")["global_step"] == 4 * STEPS


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
