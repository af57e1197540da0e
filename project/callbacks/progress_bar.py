"""The bar of a run on a terminal."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from project.callbacks.epoch_lines import numbered


class EpochBar(RichProgressBar):
    """Lightning's bar, with epochs counted from 1, which is drawn ten times an epoch or more, however short that is."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)  # a second; Lightning's 100 take a good part of a core

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % max(1, self.total_train_batches // 10) == 0:
            self.refresh(hard=True)

    def _get_train_description(self, current_epoch: int) -> str:
        """As wide as the bar of a validation, so that nothing moves when that one comes and goes."""
        epoch = f"Epoch {numbered(current_epoch, self.trainer.max_epochs)}"
        return epoch.ljust(len(self.validation_description))
