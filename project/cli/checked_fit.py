"""All checks of a fit and of its data, without the fit."""

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
        if self.options.trainer.enable_checkpointing is False:
            raise UserError("--trainer.enable_checkpointing false: a search needs checkpoints; leave it out")
        self.datamodule.prepare_data()
