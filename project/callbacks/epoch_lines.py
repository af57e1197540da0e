"""The metrics of a run as lines of text, the same on a terminal and in a log file."""

from lightning.pytorch import Callback, LightningModule, Trainer

from project.callbacks.epoch_numbers import EpochNumbers, epoch_number
from project.callbacks.stopwatch import Stopwatch
from project.runs.results import format_figures

COLUMNS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


class EpochLines(EpochNumbers):
    """Prints the loss, the accuracy and the training time (seconds) of each epoch.

    The epochs in these lines count from 1. So do those in Lightning's progress bars, loggers and file names.
    """

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        columns = COLUMNS if self._validated else COLUMNS[:2]  # no metrics of an earlier epoch
        self._validated = False
        metrics = {name: trainer.callback_metrics[name] for name in columns if name in trainer.callback_metrics}
        seconds = f"{self.stopwatch.epoch_seconds:.1f} s"
        print(f"epoch {epoch_number(trainer)}", *format_figures(metrics), seconds, sep="  ", flush=True)


class EvaluationLines(Callback):
    """Prints the metrics of a validation or a test outside of a fit."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def _print(self, trainer: Trainer) -> None:
        if trainer.is_global_zero and trainer.callback_metrics:
            print(*format_figures(trainer.callback_metrics), sep="\n", flush=True)
