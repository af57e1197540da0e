"""The clocks of a run: of training, and of the whole fit."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class Stopwatch(Callback):
    """Measures the seconds of training and of the whole fit. A resumed run adds the times of its parts.

    Training is the steps with their batches, and what a network computes from the data before its first step. It does
    not include validation, checkpoints and the start of the program.

    Logs train/images_per_second after each epoch: training images of all processes, divided by seconds of training.
    """

    def __init__(self) -> None:
        self.train_seconds = 0.0
        self.epoch_seconds = 0.0
        self._earlier_fit_seconds = 0.0
        self._fit_started = time.perf_counter()
        self._lap_started: float | None = None
        self._images = 0

    @property
    def fit_seconds(self) -> float:
        return self._earlier_fit_seconds + time.perf_counter() - self._fit_started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._lap_started = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._images = 0
        self.epoch_seconds = 0.0
        self._lap_started = self._lap_started or time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._lap_started = self._lap_started or time.perf_counter()  # after a checkpoint

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._images += len(batch[1])

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._lap_started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop(trainer)
        if self._images:
            speed = self._images / self.epoch_seconds
            pl_module.log("train/images_per_second", speed, reduce_fx="sum", sync_dist=True)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._stop(trainer)  # writing a checkpoint is no training

    def state_dict(self) -> dict[str, float]:
        lap = time.perf_counter() - self._lap_started if self._lap_started else 0.0
        return {
            "train_seconds": self.train_seconds + lap,
            "epoch_seconds": self.epoch_seconds + lap,
            "images": self._images,
            "fit_seconds": self.fit_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.train_seconds = state_dict["train_seconds"]
        self.epoch_seconds = state_dict["epoch_seconds"]
        self._images = state_dict["images"]
        self._earlier_fit_seconds = state_dict["fit_seconds"]

    @contextmanager
    def paused(self, trainer: Trainer) -> Iterator[None]:
        """Measure no training during the block."""
        runs = self._lap_started is not None
        self._stop(trainer)
        yield
        self._lap_started = time.perf_counter() if runs else None

    def _stop(self, trainer: Trainer) -> None:
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        if self._lap_started is not None:
            lap = time.perf_counter() - self._lap_started
            self.epoch_seconds += lap
            self.train_seconds += lap
        self._lap_started = None
