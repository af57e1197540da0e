"""The progress bar of a run on a terminal."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar


class EpochBar(RichProgressBar):
    """Lightning's progress bar, drawn at least ten times in each epoch, however short the epoch is."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)  # times a second; Lightning's 100 would use a good part of a core

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % max(1, self.total_train_batches // 10) == 0:
            self.refresh(hard=True)
