"""Processes ask each other about every half second of training, not at every step."""

import json
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from project.benchmarks.resume import arguments_of
from project.callbacks import finite_loss
from project.checkpoints.files import read
from project.cli.main import main
from project.training import agreement
from project.training.agreement import SECONDS, Agreements
from project.training.classifier import Classifier
from tests.runs.test_kills import PLAIN
from tests.runs.test_launchers import two_processes

COLLECTIVES = ("all_gather_object", "all_reduce", "all_gather", "broadcast", "broadcast_object_list", "barrier")
SIGNAL_AT, HEARD_AT = 52, 63  # agreements are after 1, 3, 7, 15, 31 and 63 steps where steps take no time


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], list[int]]:
    """The steps at which a process of two asks the other, for the seconds of each step."""

    def steps(seconds: list[float]) -> list[int]:
        now = 0.0
        monkeypatch.setattr(agreement, "time", SimpleNamespace(monotonic=lambda: now))
        monkeypatch.setattr(agreement, "gathered", lambda trainer, value: [value, 10**9])  # the other's does not count
        trainer: Any = SimpleNamespace(world_size=2, global_step=0)
        trainer.strategy = SimpleNamespace(root_device=torch.device("cpu"))
        agreements, asked = Agreements(), []
        for number, each in enumerate(seconds, 1):
            now, trainer.global_step = now + each, number
            if agreements.is_due(trainer):
                agreements.plan_next(trainer)
                asked.append(number)
            with agreements.paused():
                now += 100  # validation, checkpoints
        return asked

    return steps


def test_how_often(ask: Callable[[list[float]], list[int]]) -> None:
    assert ask([1e-9] * 70) == [1, 3, 7, 15, 31, 63]
    assert ask([2 * SECONDS] * 5) == [1, 2, 3, 4, 5]
    assert ask([SECONDS / 10] * 40) == [1, 3, 7, 15, 25, 35]


def test_a_signal_is_heard_within_a_second_though_steps_get_slower(ask: Callable[[list[float]], list[int]]) -> None:
    seconds = [SECONDS / 10] * 20 + [SECONDS / 5] * 40  # as where a curriculum's images grow
    asked = ask(seconds)
    assert asked == [1, 3, 7, 15, 25, 32, 37, 42, 47, 52, 57]
    assert max(sum(seconds[first:last]) for first, last in pairwise(asked)) < 1


def test_a_process_alone_asks_at_each_step() -> None:
    trainer: Any = SimpleNamespace(world_size=1, global_step=7)
    agreements = Agreements()
    agreements.plan_next(trainer)
    assert agreements.is_due(trainer)


def _signal_at(step_number: int) -> dict[int, int]:
    """Let the second process of a fit get a signal at this step. Return the steps, with a count of nothing yet."""
    counts: dict[int, int] = {}
    training_step = Classifier.training_step

    def step(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        counts.setdefault(self.global_step, 0)
        if self.global_step == step_number and self.trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return training_step(self, batch, batch_idx)

    Classifier.training_step = step  # type: ignore[method-assign]
    agreement.SECONDS = 1e9 if os.environ["SLURM_PROCID"] == "0" else 1e-9  # the other process follows the first
    return counts


def _signalled(words: list[str]) -> None:
    """A fit whose second process gets a signal; what the first one asks is counted."""
    counts = _signal_at(SIGNAL_AT)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if counts:
                counts[max(counts)] += 1
            return function(*args, **options)

        return call

    for name in COLLECTIVES:
        setattr(torch.distributed, name, counted(getattr(torch.distributed, name)))
    try:
        main(words)
    finally:
        if os.environ["SLURM_PROCID"] == "0":
            Path("counts.json").write_text(json.dumps(counts))


def test_a_signal_is_heard_by_all_at_an_agreement_and_the_other_steps_ask_nothing() -> None:
    words = arguments_of({**PLAIN, "batch_size": 4, "processes": 2, "every_n_steps": 50})
    (code, said), _ = two_processes(_signalled, words)
    assert code == 128 + signal.SIGTERM, said
    assert f"stopped by SIGTERM after {HEARD_AT} steps; resume with:" in said
    (last,) = Path("lightning_logs").rglob("last.ckpt")
    assert read(last)["global_step"] == HEARD_AT
    assert read(last.with_name("previous.ckpt"))["global_step"] == 50
    counts = json.loads(Path("counts.json").read_text())
    assert sorted(map(int, counts)) == list(range(HEARD_AT))
    assert [int(step) for step, count in counts.items() if count] == [0, 2, 6, 14, 30, 49, 62]
    assert counts["6"] <= 3


def test_a_loss_that_another_process_saw(
    digits: Callable[..., list[str]], error: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [(7, "train/loss", 0.01, float("inf")), (5, "train/loss", 0.02, float("nan"))]
    monkeypatch.setattr(finite_loss, "gathered", lambda trainer, value: [value, *seen])
    line = error("fit", *digits(), "--checkpoints.every_n_steps", "1")
    assert "train/loss is nan at step 5, at a learning rate of 0.02;" in line
    assert not list(Path().rglob("*.ckpt"))


def _signalled_before_the_epochs_end(words: list[str]) -> None:
    """A fit whose second process alone gets a signal, in the last of the twelve steps of an epoch."""
    _signal_at(11)
    main(words)


def test_processes_agree_at_an_epochs_end() -> None:
    """Nothing is validated there, and the agreements are after 1, 3, 7 and 15 steps."""
    words = [*arguments_of({**PLAIN, "batch_size": 50, "processes": 2}), "--trainer.check_val_every_n_epoch", "2"]
    (code, said), _ = two_processes(_signalled_before_the_epochs_end, words)
    assert code == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM after 12 steps; resume with:" in said
