"""Where a run is, and how far it is to its end."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning.pytorch import Trainer


class Position(NamedTuple):
    """What a run has done."""

    epochs: int
    """Whole ones."""
    batch: int
    """Batches of the epoch that has begun."""
    steps: int
    """In all epochs, as long as each was."""


def position(trainer: Trainer) -> Position:
    """In training, between two batches."""
    ready = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return Position(trainer.current_epoch, ready, trainer.global_step)


def saved_position(checkpoint: Mapping[str, Any]) -> Position:
    """Where a run goes on that is resumed from the checkpoint."""
    loops = checkpoint["loops"]["fit_loop"]
    epochs, batches = (loops[name]["current"] for name in ("epoch_progress", "epoch_loop.batch_progress"))
    batch = batches["processed"] if epochs["started"] > epochs["processed"] else 0
    return Position(epochs["processed"], batch, checkpoint["global_step"])


def total_steps(trainer: Trainer, done: Position | None = None) -> int:
    """Optimizer steps of the whole run, of which a resumed one has some done, as its options were then."""
    whole = trainer.estimated_stepping_batches  # asks for the batches, where nobody has yet
    return int(whole if done is None else done.steps + steps_left(trainer, done))


def steps_of_an_epoch(trainer: Trainer) -> int:
    """What is left over at its end is a step of fewer batches."""
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)


def steps_left(trainer: Trainer, done: Position) -> float:
    """Optimizer steps that the trainer's limits leave; a time limit may end the run before."""
    left = math.inf
    if trainer.max_epochs is not None and trainer.max_epochs != -1:
        left = (trainer.max_epochs - done.epochs) * steps_of_an_epoch(trainer) - _steps(trainer, done)
    return min(left, trainer.max_steps - done.steps) if trainer.max_steps != -1 else left


def batches_left(trainer: Trainer, done: Position) -> float:
    """The batches of the steps that are left."""
    steps = steps_left(trainer, done)
    if steps == math.inf:
        return steps
    epochs, more = divmod(_steps(trainer, done) + int(steps), steps_of_an_epoch(trainer))
    return epochs * trainer.num_training_batches + more * trainer.accumulate_grad_batches - done.batch


def _steps(trainer: Trainer, done: Position) -> int:
    """Those of the epoch that has begun."""
    return done.batch // trainer.accumulate_grad_batches
