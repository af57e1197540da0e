"""A run that was stopped and resumed is the run that was not."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from project.classifier import Classifier
from project.cli import main

WHOLE, RESUMED = Path("lightning_logs/mlp/version_0"), Path("lightning_logs/mlp/version_1")
STEPS = 1257 // 32


class Stopped(Exception):
    """What ends a run before its time."""


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def stop(step: int, words: list[str]) -> None:
        original = Classifier.training_step

        def training_step(self: Classifier, batch: object, batch_idx: int) -> torch.Tensor:
            if self.global_step == step:
                raise Stopped
            return original(self, batch, batch_idx)

        with monkeypatch.context() as patched:
            patched.setattr(Classifier, "training_step", training_step)
            with pytest.raises(Stopped):
                main(["fit", *words])

    return stop


@pytest.fixture
def both(digits: Callable[..., list[str]], stop_at: Callable[..., None]) -> None:
    """A run of four epochs, and another, stopped in the middle of its third and resumed."""
    words = [*digits(epochs=4), "--data.shift", "2", "--trainer.log_every_n_steps", "10"]
    main(["fit", *words])
    stop_at(2 * STEPS + 7, words)
    assert (RESUMED / "metrics.csv").exists()
    main(["fit", *words, "--ckpt_path", "last"])


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [
            {name: value for name, value in row.items() if name != "images_per_second"} for row in csv.DictReader(file)
        ]


@pytest.mark.usefixtures("both")
def test_weights_are_the_same() -> None:
    whole, resumed = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (WHOLE, RESUMED))
    assert whole["global_step"] == resumed["global_step"] == 4 * STEPS
    assert whole["lr_schedulers"] == resumed["lr_schedulers"]
    for name, weights in whole["state_dict"].items():
        assert torch.equal(weights, resumed["state_dict"][name])
    states = (checkpoint["optimizer_states"][0]["state"] for checkpoint in (whole, resumed))
    for ours, theirs in zip(*(state.values() for state in states), strict=True):
        assert torch.equal(ours["exp_avg_sq"], theirs["exp_avg_sq"])


@pytest.mark.usefixtures("both")
def test_curves_join() -> None:
    assert rows(WHOLE) == rows(RESUMED)
    whole, resumed = (EventAccumulator(str(run)).Reload() for run in (WHOLE, RESUMED))
    assert whole.Tags()["scalars"] == resumed.Tags()["scalars"]
    for name in set(whole.Tags()["scalars"]) - {"images_per_second"}:
        curves = ([(event.step, event.value) for event in events.Scalars(name)] for events in (whole, resumed))
        assert next(curves) == next(curves)


@pytest.mark.usefixtures("both")
def test_one_directory() -> None:
    assert sorted(path.name for path in WHOLE.parent.iterdir()) == ["version_0", "version_1"]
    assert (RESUMED / "environment-2.yaml").exists()
    first, second = (yaml.safe_load((RESUMED / name).read_text()) for name in ("config.yaml", "config-2.yaml"))
    assert first.pop("ckpt_path") is None
    assert second.pop("ckpt_path").endswith("last.ckpt")
    assert first == second
    assert yaml.safe_load((WHOLE / "config.yaml").read_text())["ckpt_path"] is None


def test_batches_go_on_in_the_middle_of_an_epoch(
    digits: Callable[..., list[str]], stop_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[tuple[int, float]]] = {"whole": [], "resumed": []}
    original = Classifier.training_step
    part = "whole"

    def training_step(self: Classifier, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        seen[part].append((batch_idx, float(batch[0].double().sum())))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", training_step)
    words = [*digits(), "--data.shift", "2", "--trainer.callbacks", "ModelCheckpoint"]
    words += ["--trainer.callbacks.every_n_train_steps", "10", "--trainer.callbacks.dirpath", "steps"]
    main(["fit", *words])
    part = "resumed"
    main(["fit", *words, "--ckpt_path", "steps/epoch=0-step=30.ckpt"])
    assert len(seen["whole"]) == STEPS
    assert seen["resumed"] == seen["whole"][30:]


def test_a_finished_run_can_be_lengthened(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(epochs=1)])
    main(["fit", *digits(epochs=2), "--ckpt_path", "last"])
    steps = [int(row["step"]) for row in rows(WHOLE) if row["train/loss"]]
    assert steps == [STEPS - 1, 2 * STEPS - 1]
