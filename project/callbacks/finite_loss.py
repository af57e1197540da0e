"""A loss that is not finite ends a run."""

from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from project.system.errors import NotFiniteError
from project.training.agreement import gathered
from project.training.loops import BoundaryCallback

AT_ONCE = 50  # steps whose losses a GPU is asked for together, since each question makes it wait


class FiniteLoss(BoundaryCallback):
    """Stops the run where a loss is not finite: on a CPU at that step, on a GPU within fifty, several in a second."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, str, float, Tensor]] = []
        self._step, self._rate = 0, 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._step, self._rate = trainer.global_step, trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"]
        if loss.device.type != "cpu" or not isfinite(loss):  # a GPU would have to wait for it
            self._pending.append((self._step, "train/loss", self._rate, loss))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (loss := trainer.callback_metrics.get("val/loss")) is not None:
            self._pending.append((self._step, "val/loss", self._rate, loss.to(pl_module.device)))

    def on_boundary(self, trainer: Trainer, epoch_ended: bool, together: bool) -> None:
        waits = trainer.world_size == 1 and trainer.strategy.root_device.type != "cpu" and len(self._pending) < AT_ONCE
        if epoch_ended or (together and not waits):
            self.check(trainer)

    def check(self, trainer: Trainer) -> None:
        """Raises NotFiniteError in every process where one of them has seen a loss that is not finite."""
        losses = [loss.float() for *_, loss in self._pending]
        values = torch.stack(losses).tolist() if losses else []
        measured = ((*one[:3], value) for one, value in zip(self._pending, values, strict=True))
        first = next((one for one in measured if not isfinite(one[3])), None)
        every = [one for one in gathered(trainer, first) if one is not None]
        if every:
            step, name, rate, value = min(every)
            said = f"{name} is {value} at step {step}, at a learning rate of {rate:.3g}"
            raise NotFiniteError(f"{said}; {remedy(trainer)}")
        self._pending.clear()


def remedy(trainer: Trainer) -> str:
    """What helps where a loss or a weight is not finite."""
    folders = [getattr(one, "dirpath", None) for one in trainer.checkpoint_callbacks]
    saved = any(path for folder in folders if folder for path in Path(folder).glob("*.ckpt"))
    again = "the last good checkpoint stays: resume from it" if saved else "there is no checkpoint yet: start again"
    float16 = str(trainer.precision).startswith("16-")
    wider = "--trainer.precision bf16-mixed (float16 ends at 65504) or " if float16 else ""
    return f"{again} with {wider}a lower --model.optimizer.lr"
