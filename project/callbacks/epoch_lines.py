"""One plain line an epoch, on a terminal and in a log file alike."""

from lightning.pytorch import Callback, LightningModule, Trainer

from project.callbacks.stopwatch import Stopwatch

COLUMNS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


class EpochLines(Callback):
    """Prints loss and accuracy of each epoch and its seconds of training."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        measured = (
            f"{name} {trainer.callback_metrics[name]:.4f}" for name in COLUMNS if name in trainer.callback_metrics
        )
        epoch = f"epoch {trainer.current_epoch + 1:2}/{trainer.max_epochs}"
        print(epoch, *measured, f"{self.stopwatch.epoch_seconds:.1f} s", sep="  ", flush=True)
