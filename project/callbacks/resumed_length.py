"""A check that a resumed run is not shorter than its checkpoint, and a line if it has other processes."""

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from project.data.run_length import saved_position, steps_per_epoch, total_steps
from project.system.errors import UserError


class ResumedLength(Callback):
    """Refuses to resume a run if its options make it shorter than its checkpoint, before anything is written.

    It also prints a line if the number of processes is not that of the checkpoint's run.
    """

    def __init__(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        self.path, self.position = path, saved_position(checkpoint)
        self.processes: int | None = checkpoint.get("environment", {}).get("processes")
        self.batch_size: int | None = (
            checkpoint.get("settings", {}).get("data", {}).get("init_args", {}).get("batch_size")
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raises UserError, which names the options that set the length and the number of epochs that is needed."""
        self._check(trainer)
        if stage == "fit" and trainer.is_global_zero and self.processes not in (None, trainer.world_size):
            print(self._other_processes(trainer), flush=True)

    def _other_processes(self, trainer: Trainer) -> str:
        """The line that says what another number of processes changes."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        before, now = self.processes or 1, trainer.world_size
        images_before, images = before * (self.batch_size or data.batch_size), now * data.batch_size
        start = f"--trainer.devices: {now} process{'es' * (now > 1)} in place of {before}: "
        if images == images_before:
            return (
                f"{start}their batches have {images} images together as before, so only rounding differs, but for what "
                "depends on the images of one process: batch normalisation, dropout, mixed images"
            )
        size, rest = divmod(images_before, now)
        remedy = f"--data.batch_size {size} keeps {images_before}"
        if rest:
            remedy = f"they cannot share {images_before} evenly"
        together = f"their batches have {images} images together in place of {images_before}"
        return f"{start}{together}, so steps and epochs are others; {remedy}"

    def _check(self, trainer: Trainer) -> None:
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
