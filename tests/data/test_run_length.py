"""How long a run is: what a curriculum and a schedule make of it, and a resumed run that would be too short."""

import csv
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from project.cli.main import main
from project.data.run_length import Position, remaining_batches, remaining_steps
from project.training.classifier import Classifier

BATCHES = 1257 // 200


class Stopped(BaseException):
    """What ends a run before its time; an Exception would be an error of a part of the user's own."""


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """The images' side in each batch of a fit; which may be stopped in the batch after so many."""

    def of_fit(words: list[str], stop: int | None = None) -> list[int]:
        seen: list[int] = []
        original = Classifier.training_step

        def training_step(self: Classifier, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
            if len(seen) == stop:
                raise Stopped
            seen.append(batch[0].shape[-1])
            return original(self, batch, batch_idx)

        with monkeypatch.context() as patched:
            patched.setattr(Classifier, "training_step", training_step)
            try:
                main(["fit", *words])
            except Stopped:
                assert stop is not None
        return seen

    return of_fit


@pytest.fixture
def small(digits: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """The words of a fit of six batches an epoch on a network that takes images of any size."""

    def words(epochs: int, end: float) -> list[str]:
        network = ["--model.network.widths", "[4, 4, 4]", "--data.curriculum", f"{{16: {end}}}"]
        unmeasured = ["--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "0"]
        return [*digits("speed", epochs), "--data.batch_size", "200", *network, *unmeasured]

    return words


LENGTHS = {
    "whole epochs": (2, 0.5, [], [6, 6]),
    "batches": (2, 0.75, ["--trainer.limit_train_batches", "4"], [6, 2]),
    "a fraction of the batches": (3, 0.34, ["--trainer.limit_train_batches", "0.5"], [4, 5]),
    # Steps of 4 and 2 batches.
    "accumulation": (2, 0.5, ["--trainer.accumulate_grad_batches", "4"], [6, 6]),
    "accumulation and steps": (9, 0.5, ["--trainer.accumulate_grad_batches", "4", "--trainer.max_steps", "5"], [8, 8]),
    "steps": (9, 0.5, ["--trainer.max_steps", "8"], [4, 4]),
    "steps alone": (-1, 0.5, ["--trainer.max_steps", "3", "--trainer.accumulate_grad_batches", "4"], [5, 5]),
}


@pytest.mark.parametrize(("epochs", "end", "options", "expected"), LENGTHS.values(), ids=LENGTHS)
def test_a_curriculum_follows_the_run(
    small: Callable[..., list[str]],
    sides: Callable[..., list[int]],
    epochs: int,
    end: float,
    options: list[str],
    expected: list[int],
) -> None:
    shrunk, whole = expected
    assert sides([*small(epochs, end), *options]) == [16] * shrunk + [32] * whole


def walked(per_epoch: int, group: int, max_epochs: int, max_steps: int) -> list[tuple[Position, int]]:
    """Where a run is after each step, and the batches that it has had, by Lightning's rules one by one."""
    place, batches, steps = [(Position(0, 0, 0), 0)], 0, 0
    for epoch in itertools.count():
        for batch in range(1, per_epoch + 1):
            batches += 1
            if batch % group == 0 or batch == per_epoch:
                steps += 1
                ended = batch == per_epoch
                place.append((Position(epoch + ended, 0 if ended else batch, steps), batches))
            if steps == max_steps:
                return place
        if epoch + 1 == max_epochs:
            return place
    raise AssertionError


@pytest.mark.parametrize("per_epoch", [1, 6, 7, 8])
@pytest.mark.parametrize("group", [1, 3, 4, 9])
@pytest.mark.parametrize(("max_epochs", "max_steps"), [(3, -1), (-1, 5), (3, 5), (2, 99)])
def test_what_is_left(per_epoch: int, group: int, max_epochs: int, max_steps: int) -> None:
    trainer: Any = SimpleNamespace(
        num_training_batches=per_epoch, accumulate_grad_batches=group, max_epochs=max_epochs, max_steps=max_steps
    )
    place = walked(per_epoch, group, max_epochs, max_steps)
    end, batches = place[-1]
    for done, so_far in place:
        assert remaining_steps(trainer, done) == end.global_step - done.global_step
        assert remaining_batches(trainer, done) == batches - so_far


def test_a_resumed_curriculum(small: Callable[..., list[str]], sides: Callable[..., list[int]]) -> None:
    """Stopped in the last of 12 batches, whose steps have 4 and 2, a run goes on after the tenth.

    So does a longer one of shorter epochs, which has 10 + 1 + 5 batches.
    """
    words = [*small(2, 0.9), "--trainer.accumulate_grad_batches", "4", "--checkpoints.every_n_steps", "1"]
    resumed = [*words, "--ckpt_path", "lightning_logs/speed/version_0/checkpoints/last.ckpt"]
    assert sides(words, stop=11) == [16] * 11
    assert sides([*resumed, "--trainer.max_epochs", "3", "--trainer.limit_train_batches", "5"]) == [16] * 5 + [32]
    assert sides(resumed) == [16, 32]


LAST = "lightning_logs/mlp/version_0/checkpoints/last.ckpt"
SHORTER = {
    "batches": (["limit_train_batches", "3"], 6, 4),
    "one batch": (["limit_train_batches", "1"], 2, 12),
    "a fraction of the batches": (["limit_train_batches", "0.25"], 6, 4),
    "accumulation": (["accumulate_grad_batches", "8"], 4, 6),
}


@pytest.fixture
def an_epoch(digits: Callable[..., list[str]], finished_run: Callable[..., None]) -> list[str]:
    """The words that resume a run of 12 steps."""
    finished_run()
    return ["fit", *digits(epochs=2), "--ckpt_path", "last"]


def test_shorter_than_it_is(an_epoch: list[str], error: Callable[..., str]) -> None:
    for (option, value), steps, epochs in SHORTER.values():
        line = error(*an_epoch, f"--trainer.{option}", value)
        assert line.startswith("--trainer.max_epochs 2, ")
        assert f"--trainer.{option} {value}, " in line
        assert line.endswith(
            f"--data.batch_size 100 make a run of {steps} steps, but {LAST} has 12; "
            f"give --trainer.max_epochs {epochs} or more, or the options with which it began"
        )
    line = error(*an_epoch, "--data.batch_size", "1000")
    assert line.startswith("--trainer.max_epochs 2, --data.batch_size 1000 make a run of 2 steps, but ")
    assert len(list(Path("lightning_logs/mlp/version_0").glob("config*.yaml"))) == 1
    assert len(list(Path("lightning_logs/mlp").iterdir())) == 1


def test_an_epoch_shorter_than_it_is(
    digits: Callable[..., list[str]], sides: Callable[..., list[int]], error: Callable[..., str]
) -> None:
    words = digits(epochs=9)
    sides([*words, "--checkpoints.every_n_steps", "4"], stop=10)
    resumed = [*words, "--ckpt_path", "last", "--trainer.limit_train_batches"]
    assert error("fit", *resumed, "8") == (
        "--trainer.max_epochs 9, --trainer.limit_train_batches 8, --data.batch_size 100 make epochs of 8 batches, "
        f"but {LAST} is at batch 8; give more, or the options with which it began"
    )
    assert len(sides([*resumed, "9"])) == 1 + 8 * 9


def test_a_resumed_runs_schedule_ends_with_it(an_epoch: list[str]) -> None:
    """12 steps and 6; torch's schedule refuses a step more than it was made for."""
    main([*an_epoch, "--trainer.log_every_n_steps", "1", "--trainer.limit_train_batches", "6"])
    with Path("lightning_logs/mlp/version_0/metrics.csv").open() as file:
        rates = [float(row["train/lr"]) for row in csv.DictReader(file) if row["train/lr"]]
    optimizer = torch.optim.AdamW([torch.zeros(1)], lr=0.002)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.002, total_steps=18, pct_start=0.2)
    expected = []
    for _ in range(18):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[-5:] == pytest.approx(expected[-5:])  # the first step has the rate that the last run had ended with
