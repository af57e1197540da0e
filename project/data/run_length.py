"""The position of a run, and the number of steps and batches until its end."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning.pytorch import Trainer


class Position(NamedTuple):
    """The position of a run between two batches."""

    epoch: int
    """Index of the epoch, which is the number of complete epochs."""
    batch: int
    """Index of the next batch of this epoch, which is the number of its batches that are done."""
    global_step: int
    """Number of optimizer steps that are done, in all epochs."""


def current_position(trainer: Trainer) -> Position:
    """The position of a run in training."""
    ready = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return Position(trainer.current_epoch, ready, trainer.global_step)


def saved_position(checkpoint: Mapping[str, Any]) -> Position:
    """The position at which a run that resumes from the checkpoint continues."""
    loops = checkpoint["loops"]["fit_loop"]
    epochs, batches = (loops[name]["current"] for name in ("epoch_progress", "epoch_loop.batch_progress"))
    batch = batches["processed"] if epochs["started"] > epochs["processed"] else 0
    return Position(epochs["processed"], batch, checkpoint["global_step"])


def total_steps(trainer: Trainer, position: Position | None = None) -> int:
    """Number of optimizer steps of the whole run.

    Args:
        trainer: The trainer with its limits.
        position: The position of a resumed run. Its steps until then count as they were done, whatever the options are
            now.
    """
    whole = trainer.estimated_stepping_batches  # this loads the data if nothing has yet
    return int(whole if position is None else position.global_step + remaining_steps(trainer, position))


def steps_per_epoch(trainer: Trainer) -> int:
    """Number of optimizer steps in an epoch; the last one may accumulate fewer batches than the others."""
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)


def remaining_steps(trainer: Trainer, position: Position) -> float:
    """Number of optimizer steps that max_epochs and max_steps allow; max_time may end the run before."""
    steps = math.inf
    if trainer.max_epochs is not None and trainer.max_epochs != -1:
        epochs = trainer.max_epochs - position.epoch
        steps = epochs * steps_per_epoch(trainer) - _steps_in_epoch(trainer, position)
    return min(steps, trainer.max_steps - position.global_step) if trainer.max_steps != -1 else steps


def remaining_batches(trainer: Trainer, position: Position) -> float:
    """Number of batches of the remaining steps."""
    steps = remaining_steps(trainer, position)
    if steps == math.inf:
        return steps
    epochs, last_steps = divmod(_steps_in_epoch(trainer, position) + int(steps), steps_per_epoch(trainer))
    return epochs * trainer.num_training_batches + last_steps * trainer.accumulate_grad_batches - position.batch


def _steps_in_epoch(trainer: Trainer, position: Position) -> int:
    """Number of optimizer steps that are done in the current epoch."""
    return position.batch // trainer.accumulate_grad_batches
