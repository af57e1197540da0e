"""The clocks of a run. The test sets the time."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from project.cli.main import main
from project.data import Digits
from project.training.checkpoint_io import CheckpointFiles
from project.training.classifier import Classifier
from tests.conftest import STEPS

RUN = Path("lightning_logs/mlp/version_0")


def speeds() -> list[float]:
    with (RUN / "metrics.csv").open() as file:
        values = [row["train/images_per_second"] for row in csv.DictReader(file)]
    return [float(value) for value in values if value]


class Stopped(BaseException):
    """Ends a run early."""


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, float], list[int]]:
    """Let each call of a function take `seconds` of the run's clock. The list has the number of calls."""
    clock = SimpleNamespace(now=1.0)
    monkeypatch.setattr("project.callbacks.stopwatch.time", SimpleNamespace(perf_counter=lambda: clock.now))

    def patch(owner: Any, name: str, seconds: float) -> list[int]:
        original, calls = getattr(owner, name), [0]

        def called(*args: Any, **options: Any) -> Any:
            clock.now += seconds
            calls[0] += 1
            return original(*args, **options)

        monkeypatch.setattr(owner, name, called)
        return calls

    return patch


def test_each_second_counts_where_it_was_spent(
    digits: Callable[..., list[str]], slow: Callable[[Any, str, float], list[int]]
) -> None:
    slow(Digits, "load", 0.25)
    slow(Classifier, "training_step", 1)
    slow(Classifier, "validation_step", 1_000)
    written = slow(CheckpointFiles, "save_checkpoint", 1_000_000)
    slow(Classifier, "test_step", 1_000_000_000)
    words = [*digits(epochs=2), "--trainer.val_check_interval", "0.5", "--checkpoints.every_n_steps", "10"]
    main(["fit", *words])
    results = json.loads((RUN / "results.json").read_text())
    assert results["train_seconds"] == 2 * STEPS
    assert results["fit_seconds"] == 0.25 + 2 * STEPS + 4 * 1_000 + written[0] * 1_000_000
    assert speeds() == [100, 100]


def test_a_resumed_run_counts_all_its_parts(
    digits: Callable[..., list[str]], slow: Callable[[Any, str, float], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = slow(Classifier, "training_step", 1)

    def stop(*args: Any) -> None:
        if steps[0] == STEPS + 7:
            raise Stopped

    words = [*digits(epochs=2), "--checkpoints.every_n_steps", "10"]
    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "on_train_batch_start", stop)
        with pytest.raises(Stopped):
            main(["fit", *words])
    main(["fit", *words, "--ckpt_path", "last"])
    results = json.loads((RUN / "results.json").read_text())
    assert results["train_seconds"] == results["fit_seconds"] == 2 * STEPS
    assert speeds() == [100, 100]
