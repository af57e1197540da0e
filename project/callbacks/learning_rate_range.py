"""A short training in which the learning rates rise, to see which of them the network learns with."""

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

TOO_HIGH = 4.0  # times the lowest loss, at which the training ends


class LearningRateRange(Callback):
    """Multiplies the learning rates of all parameter groups by one factor, which rises from step to step.

    The groups keep their ratios, which Lightning's own finder would overwrite. The training ends after the last factor,
    or as soon as the loss is four times its lowest value, or not finite.
    """

    def __init__(self, lowest: float, highest: float, steps: int) -> None:
        """Plan the factors.

        Args:
            lowest: The first factor, above 0.
            highest: The last one.
            steps: Number of optimizer steps.
        """
        self.factors = [lowest * (highest / lowest) ** (step / (steps - 1)) for step in range(steps)]
        self.losses: list[tuple[float, float]] = []
        """The factor and the loss of each batch."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._rates = [group["lr"] for group in trainer.optimizers[0].param_groups]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._factor = self.factors[trainer.global_step]
        for group, rate in zip(trainer.optimizers[0].param_groups, self._rates, strict=True):
            group["lr"] = rate * self._factor

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = trainer.strategy.reduce(outputs["loss"]).item()  # the mean, so that all processes stop together
        if not math.isfinite(loss):
            trainer.should_stop = True
            return
        self.losses.append((self._factor, loss))
        if loss > TOO_HIGH * min(lowest for _, lowest in self.losses):
            trainer.should_stop = True
