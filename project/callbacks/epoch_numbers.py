"""The numbers of epochs, which Lightning counts from 0 and this project from 1."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import Logger


class EpochNumbers(Callback):
    """Counts epochs from 1 in progress bars, in all loggers and in the file names of Lightning's ModelCheckpoint."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            _count_from_1(logger, trainer)
        bar = trainer.progress_bar_callback
        if isinstance(bar, RichProgressBar):
            width = len(bar.validation_description)  # so that nothing moves when the bar of a validation appears
            describe: Any = lambda current_epoch: _description(trainer).ljust(width)  # noqa: E731
            bar._get_train_description = describe  # type: ignore[method-assign]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that is resumed in the middle of an epoch does not start that epoch again."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.callback_metrics["epoch"] = torch.tensor(trainer.current_epoch + 1)  # ModelCheckpoint takes it
        bar = trainer.progress_bar_callback
        if isinstance(bar, TQDMProgressBar):
            bar.train_progress_bar.set_description(_description(trainer))


def epoch_number(trainer: Trainer) -> str:
    """The number of the current epoch and, where it is known, the number of epochs: ` 3/10`."""
    number, last = trainer.current_epoch + 1, trainer.max_epochs
    return str(number) if last in (None, -1) else f"{number:{len(str(last))}}/{last}"


def _description(trainer: Trainer) -> str:
    return f"Epoch {epoch_number(trainer)}"


def _count_from_1(logger: Logger, trainer: Trainer) -> None:
    """Replace the number of the epoch in all metrics that Lightning gives to `logger`."""
    log: Callable[..., None] = logger.log_metrics

    def log_metrics(metrics: Mapping[str, Any], step: int | None = None) -> None:
        number = {"epoch": trainer.fit_loop.epoch_progress.current.ready} if "epoch" in metrics else {}
        log(metrics={**metrics, **number}, step=step)

    logger.log_metrics = log_metrics  # type: ignore[method-assign]
