"""A loss that is not finite ends the run."""

from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from project.system.errors import NotFiniteError
from project.training.agreement import gathered
from project.training.loops import BoundaryCallback

LOSSES_AT_ONCE = 50  # that are copied from a GPU at the same time, because each copy makes the GPU wait


class FiniteLoss(BoundaryCallback):
    """Stops the run if a loss is not finite.

    A run on a CPU stops at that step. A run on a GPU stops within 50 steps, and a run of several processes within a
    second.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[int, str, float, Tensor]] = []
        self._step, self._learning_rate = 0, 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._step = trainer.global_step
        self._learning_rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"]
        if loss.device.type != "cpu" or not isfinite(loss):  # to look at it would make a GPU wait
            self._pending.append((self._step, "train/loss", self._learning_rate, loss))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (loss := trainer.callback_metrics.get("val/loss")) is not None:
            self._pending.append((self._step, "val/loss", self._learning_rate, loss.to(pl_module.device)))

    def on_boundary(self, trainer: Trainer, epoch_ended: bool, agreement_due: bool) -> None:
        on_gpu = trainer.strategy.root_device.type != "cpu"
        waits = trainer.world_size == 1 and on_gpu and len(self._pending) < LOSSES_AT_ONCE
        if epoch_ended or (agreement_due and not waits):
            self.check(trainer)

    def check(self, trainer: Trainer) -> None:
        """Raises NotFiniteError in every process if one of them has had a loss that is not finite."""
        losses = [loss.float() for *_, loss in self._pending]
        values = torch.stack(losses).tolist() if losses else []
        pairs = zip(self._pending, values, strict=True)
        first = next(((*entry[:3], value) for entry, value in pairs if not isfinite(value)), None)
        if failures := [failure for failure in gathered(trainer, first) if failure is not None]:
            step, name, learning_rate, value = min(failures)
            problem = f"{name} is {value} at step {step}, at a learning rate of {learning_rate:.3g}"
            raise NotFiniteError(f"{problem}; {remedy_for_not_finite(trainer)}")
        self._pending.clear()


def remedy_for_not_finite(trainer: Trainer) -> str:
    """The advice for a run in which a loss or a weight is not finite."""
    directories = [getattr(callback, "dirpath", None) for callback in trainer.checkpoint_callbacks]
    saved = any(any(Path(directory).glob("*.ckpt")) for directory in directories if directory)
    restart = "the last good checkpoint stays: resume from it" if saved else "there is no checkpoint yet: start again"
    float16 = str(trainer.precision).startswith("16-")
    precision = "--trainer.precision bf16-mixed (the largest float16 is 65504) or " if float16 else ""
    # Those before a schedule; the first group has --model.optimizer.lr.
    first, *others = (group.get("initial_lr", group["lr"]) for group in trainer.optimizers[0].param_groups)
    several = any(other > first for other in others)
    remedy = "lower learning rates of --model.optimizer" if several else "a lower --model.optimizer.lr"
    return f"{restart} with {precision}{remedy}"
