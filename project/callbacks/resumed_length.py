"""A resumed run is at least as long as what it has done."""

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from project.data.run_length import Position, steps_of_an_epoch, total_steps
from project.system.errors import UserError


class ResumedLength(Callback):
    """Refuses a run whose options would have made it shorter than its checkpoint is, before anything is written."""

    def __init__(self, path: str, done: Position) -> None:
        self.path, self.done = path, done

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raises UserError that says which options make the run's length, and how many epochs would do."""
        whole, batches = total_steps(trainer), trainer.num_training_batches
        if whole < self.done.steps:
            epochs = math.ceil(self.done.steps / steps_of_an_epoch(trainer))
            remedy = f"give --trainer.max_epochs {epochs} or more"
            problem = f"make a run of {whole} steps, and {self.path} has {self.done.steps}; {remedy}"
        elif self.done.batch >= batches:
            problem = f"make epochs of {batches} batches, and {self.path} has {self.done.batch} of one; give more"
        else:
            return
        raise UserError(f"{_length(trainer)} {problem}, or the options that it began with")


def _length(trainer: Trainer) -> str:
    """The options that make the run's length."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    options = {
        "trainer.max_epochs": (trainer.max_epochs, -1),
        "trainer.max_steps": (trainer.max_steps, -1),
        "trainer.limit_train_batches": (trainer.limit_train_batches, 1.0),  # which is not 1
        "trainer.accumulate_grad_batches": (trainer.accumulate_grad_batches, 1),
        "data.batch_size": (data.batch_size, None),
    }
    return ", ".join(f"--{name} {value}" for name, (value, no) in options.items() if str(value) != str(no))
