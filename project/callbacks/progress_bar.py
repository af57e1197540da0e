"""The progress bar of a run on a terminal."""

import shutil
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

WIDTH = 40
WIDE_TERMINAL = 100  # columns from which there is room for the whole bar


class EpochBar(RichProgressBar):
    """Lightning's progress bar, drawn at least ten times in each epoch, however short the epoch is.

    It is one line on a narrow terminal, too, and of characters that a terminal without UTF-8 has.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)  # times a second; Lightning's 100 would use a good part of a core

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """The description, the bar, the number of batches, the time that is over, the time that is left, the speed."""
        description, *_, speed = super().configure_columns(trainer)
        width = WIDTH if shutil.get_terminal_size().columns >= WIDE_TERMINAL else None  # None: what is left
        times = TimeElapsedColumn(), TimeRemainingColumn()
        return [description, BarColumn(width), MofNCompleteColumn(), *times, speed]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % max(1, self.total_train_batches // 10) == 0:
            self.refresh(hard=True)
