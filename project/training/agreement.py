"""The steps at which the processes of a run exchange their values."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from lightning.pytorch import Trainer

SECONDS = 0.5  # of training between two agreements, so that a run reacts to a signal within a second

Value = TypeVar("Value")


def gathered(trainer: Trainer, value: Value) -> list[Value]:
    """Return the `value` of each process, in the order of their ranks. All processes must call this."""
    values = [value] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(values, value)
    return values


class Agreements:
    """Choose the steps at which the processes of a run exchange their values: the same steps in each process.

    The first process measures how many steps take SECONDS. At each agreement it sends this number to the others. The
    number at most doubles from one agreement to the next, because the first steps say little about the later ones. With
    a single process every step is an agreement.
    """

    def __init__(self) -> None:
        self._last, self._steps = 0, 1
        self._clock = time.monotonic()

    def is_due(self, trainer: Trainer) -> bool:
        return trainer.world_size == 1 or trainer.global_step >= self._last + self._steps

    def plan_next(self, trainer: Trainer) -> None:
        """Choose the step of the next agreement."""
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
        """Stop the clock for what is not training, such as a validation."""
        started = time.monotonic()
        yield
        self._clock += time.monotonic() - started
