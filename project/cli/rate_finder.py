"""A fit whose learning rates rise, which writes no run and no checkpoint."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from project.callbacks.learning_rate_range import LearningRateRange
from project.cli.experiment import ExperimentCLI
from project.runs.directories import experiment_name
from project.runs.plan import RunPlan


class RateFinder(ExperimentCLI):
    """Trains with the words of a fit, without its schedule, its callbacks, validation and loggers."""

    def __init__(self, words: Sequence[str], cleanup: ExitStack, curve: LearningRateRange) -> None:
        """Train.

        Args:
            words: Of the command line.
            cleanup: Of the command.
            curve: Raises the learning rates and keeps the losses.
        """
        self.curve = curve
        super().__init__(list(words), cleanup)

    @property
    def rates(self) -> dict[str, float]:
        """The learning rates among the options of the optimizer."""
        options: dict[str, Any] = self.settings["model"]["optimizer"]["init_args"]
        rates = {name: value for name, value in options.items() if name == "lr" or name.endswith("_lr")}
        return {f"model.optimizer.{name}": value for name, value in rates.items() if isinstance(value, float | int)}

    def before_instantiate_classes(self) -> None:
        self.options = self.config[self.subcommand]
        self.options.model.lr_scheduler = None
        self.options.trainer.callbacks = None
        run = self._run_options()
        self.plan = RunPlan(experiment_name(run.configs, run.name), Path(run.root))

    def instantiate_trainer(self, **options: Any) -> Trainer:
        length = {"max_steps": len(self.curve.factors), "max_epochs": -1, "min_epochs": None, "min_steps": None}
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "limit_val_batches": 0}
        return self._make_trainer({**self.parts["trainer"], **length, **quiet, "callbacks": [self.curve]})

    def after_fit(self) -> None:
        """Nothing is tested."""
