"""What the processes of a run agree on, and when they ask each other."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from lightning.pytorch import Trainer

SECONDS = 0.5  # of training between two agreements, so that a signal is heard within a second

Value = TypeVar("Value")


def gathered(trainer: Trainer, value: Value) -> list[Value]:
    """The `value` of each process, in every process; all of them have to call this."""
    values = [value] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(values, value)
    return values


class Agreements:
    """The steps at which the processes of a run ask each other, which each of them knows; a process alone has all.

    The first process measures how many steps take SECONDS and tells the others at each agreement. The number at most
    doubles from one agreement to the next, since the first steps say little of those that follow.
    """

    def __init__(self) -> None:
        self._last, self._steps = 0, 1
        self._clock = time.monotonic()

    def is_due(self, trainer: Trainer) -> bool:
        return trainer.world_size == 1 or trainer.global_step >= self._last + self._steps

    def plan_next(self, trainer: Trainer) -> None:
        """Choose the next, the same in every process."""
        if trainer.world_size == 1:
            return
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        steps, seconds = trainer.global_step - self._last, time.monotonic() - self._clock
        wanted = round(SECONDS * steps / seconds) if seconds > 0 else 2 * self._steps
        self._steps = gathered(trainer, min(max(wanted, 1), 2 * self._steps))[0]
        self._last, self._clock = trainer.global_step, time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done meanwhile is no training."""
        started = time.monotonic()
        yield
        self._clock += time.monotonic() - started
