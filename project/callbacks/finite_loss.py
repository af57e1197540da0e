"""A loss that is not finite ends a run."""

from math import isfinite
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from project.errors import NotFiniteError
from project.loops import BoundaryCallback

AT_ONCE = 50  # steps whose losses a GPU is asked for together, since each question makes it wait


class FiniteLoss(BoundaryCallback):
    """Stops the run where a loss is not finite: on a CPU at that step, on a GPU within fifty."""

    def __init__(self) -> None:
        self._pending: list[tuple[str, int, float, Tensor]] = []
        self._step, self._rate = 0, 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._step, self._rate = trainer.global_step, trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"]
        if loss.device.type != "cpu" or not isfinite(loss):  # a GPU would have to wait for it
            self._pending.append(("train/loss", self._step, self._rate, loss))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (loss := trainer.callback_metrics.get("val/loss")) is not None:
            self._pending.append(("val/loss", self._step, self._rate, loss.to(pl_module.device)))

    def on_boundary(self, trainer: Trainer, epoch_ended: bool) -> None:
        if epoch_ended or trainer.strategy.root_device.type == "cpu" or len(self._pending) >= AT_ONCE:
            self.check(trainer)

    def check(self, trainer: Trainer) -> None:
        """Raises NotFiniteError in every process where one of them has seen a loss that is not finite."""
        if not self._pending and trainer.world_size == 1:
            return
        losses = [loss.float() for *_, loss in self._pending]
        values = torch.stack(losses).tolist() if losses else []
        bad = next((place for place, value in enumerate(values) if not isfinite(value)), None)
        if trainer.strategy.reduce_boolean_decision(bad is not None, all=False):
            name, step, rate, value = "train/loss", self._step, self._rate, "not finite in another process"
            if bad is not None:
                (name, step, rate, _), value = self._pending[bad], str(values[bad])
            raise NotFiniteError(
                f"{name} is {value} at step {step}, at a learning rate of {rate:.3g}; the last good checkpoint stays: "
                "resume from it with a lower --model.optimizer.lr"
            )
        self._pending.clear()
