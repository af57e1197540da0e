"""A check that a resumed run is not shorter than its checkpoint."""

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from project.data.run_length import Position, steps_per_epoch, total_steps
from project.system.errors import UserError


class ResumedLength(Callback):
    """Refuses to resume a run if its options make it shorter than its checkpoint, before anything is written."""

    def __init__(self, path: str, position: Position) -> None:
        self.path, self.position = path, position

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raises UserError, which names the options that set the length and the number of epochs that is needed."""
        steps, batches = total_steps(trainer), trainer.num_training_batches
        if steps < self.position.global_step:
            epochs = math.ceil(self.position.global_step / steps_per_epoch(trainer))
            remedy = f"give --trainer.max_epochs {epochs} or more"
            problem = f"make a run of {steps} steps, but {self.path} has {self.position.global_step}; {remedy}"
        elif self.position.batch >= batches:
            problem = f"make epochs of {batches} batches, but {self.path} is at batch {self.position.batch}; give more"
        else:
            return
        raise UserError(f"{_length(trainer)} {problem}, or the options with which it began")


def _length(trainer: Trainer) -> str:
    """The options that set the length of the run, as on the command line."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    options = {
        "trainer.max_epochs": (trainer.max_epochs, -1),
        "trainer.max_steps": (trainer.max_steps, -1),
        "trainer.limit_train_batches": (trainer.limit_train_batches, 1.0),  # 1 would be one batch
        "trainer.accumulate_grad_batches": (trainer.accumulate_grad_batches, 1),
        "data.batch_size": (data.batch_size, None),
    }
    return ", ".join(f"--{name} {value}" for name, (value, default) in options.items() if str(value) != str(default))
