"""All checks of a fit and of its data, without the fit."""

import math
from collections.abc import Sequence
from contextlib import ExitStack

from project.cli.experiment import ExperimentCLI
from project.system.errors import UserError


class CheckedFit(ExperimentCLI):
    """Checks the words of a fit as fit does, and fetches the data, but trains nothing."""

    def __init__(self, words: Sequence[str], cleanup: ExitStack, objective: str) -> None:
        """Raises UserError if the fit cannot begin or has no data, or if it would not measure the objective."""
        self.objective = objective
        super().__init__(list(words), cleanup)

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        self.subcommand = None  # nothing runs after this
        if self.datamodule.val_size == 0 or self.trainer.limit_val_batches == 0:
            raise UserError(f"objective {self.objective}: nothing is validated; give --data.val_size")
        for name, value in (("enable_checkpointing", False), ("fast_dev_run", True), ("barebones", True)):
            if self.options.trainer[name] is value or (value and self.options.trainer[name]):
                raise UserError(f"--trainer.{name} {str(value).lower()}: a search needs checkpoints; leave it out")
        self.datamodule.prepare_data()
        self._check_first_validation()

    def _check_first_validation(self) -> None:
        """Raises UserError if the run ends before its first validation. With max_steps, it loads the data."""
        trainer, epochs = self.trainer, self.trainer.check_val_every_n_epoch or 1
        problem = f"objective {self.objective}: the run would end before its first validation"
        if 0 <= (trainer.max_epochs or -1) < epochs:
            raise UserError(f"{problem}; give --trainer.check_val_every_n_epoch of at most {trainer.max_epochs}")
        interval = trainer.val_check_interval
        if trainer.max_steps == -1 or not isinstance(interval, int | float):
            return
        self.datamodule.setup("validate")
        batches = len(self.datamodule.train) // trainer.world_size // self.datamodule.batch_size
        limit = trainer.limit_train_batches
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        first = (epochs - 1) * batches + (interval if isinstance(interval, int) else max(1, int(batches * interval)))
        if trainer.max_steps * trainer.accumulate_grad_batches < first:
            steps = math.ceil(first / trainer.accumulate_grad_batches)
            raise UserError(f"{problem}; give --trainer.max_steps of at least {steps}")
