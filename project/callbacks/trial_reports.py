"""A fit that is the trial of a search: it reports its validations, and may be asked to end."""

import os
import signal
from collections.abc import Callable

from lightning.pytorch import LightningModule, Trainer

from project.training.loops import BoundaryCallback


class TrialReports(BoundaryCallback):
    """Reports a figure after each validation. If the answer is to end, the run stops as a signal would stop it.

    A report has the percent of the run's steps, so that trials with different batch sizes are compared fairly.
    Only the first process reports. The signal reaches the other processes through Checkpoints, which saves the run.
    """

    def __init__(self, version: int, objective: str, report: Callable[[int, float], bool]) -> None:
        """Report nothing yet.

        Args:
            version: The n of the run's directory version_n.
            objective: Name of the figure, such as val/accuracy.
            report: Takes the percent of the steps and the figure; returns whether the run is to end.
        """
        self.version, self.objective, self.report = version, objective, report
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = not trainer.sanity_checking

    def on_boundary(self, trainer: Trainer, epoch_ended: bool, agreement_due: bool) -> None:
        value = trainer.callback_metrics.get(self.objective)
        is_new, self._validated = self._validated and trainer.is_global_zero, False
        percent = round(100 * trainer.global_step / trainer.estimated_stepping_batches)  # 0 without a number of epochs
        if is_new and value is not None and self.report(percent, value.item()):
            os.kill(os.getpid(), signal.SIGTERM)
