"""Averages of a run's weights, in long runs and in short ones."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, WeightAveraging
from torch import Tensor

from project.data.run_length import total_steps

MOSTLY_FIRST = 0.1  # of an average: a share of the first weights that does harm


class AveragedWeights(WeightAveraging):
    """Validates, tests and keeps an exponential moving average of the weights, while the run trains its own.

    After step t, counted from 0, the average keeps min(decay, (1 + t) / (10 + t)) of itself, so that it never depends
    on how the weights began. Buffers are averaged in the same way. Such are the statistics of batch normalisation: a
    smooth function of the weights, of which the average over some steps is to first order its value at the averaged
    weights, unlike its value at the last ones. Whole numbers are copied.
    """

    def __init__(self, decay: float = 0.999) -> None:
        """Check the decay.

        Args:
            decay: The share that the average keeps of itself in a step, once it has grown so far: an average over about
                1 / (1 - decay) steps; at least 0, below 1.
        """
        if not 0 <= decay < 1:
            raise ValueError(f"AveragedWeights's decay {decay} must be at least 0 and below 1")
        super().__init__(multi_avg_fn=_growing(decay))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The average is made where the weights will be, which Lightning brings there later."""
        pl_module.to(trainer.strategy.root_device)
        super().setup(trainer, pl_module, stage)


def _growing(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """What torch's AveragedModel calls after each step but the first, whose weights it copies."""

    @torch.no_grad()
    def update(averages: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        step = int(count)
        share = 1 - min(decay, (1 + step) / (10 + step))
        for average, new in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(new, share)
            else:
                average.copy_(new)

    return update


class ShortAverages(Callback):
    """Says where the average of Lightning's EMAWeightAveraging will be mostly the weights of the first steps."""

    def __init__(self, given: Iterable[Any]) -> None:
        """`given` has the options of each callback of the run: class_path and init_args."""
        name = f".{EMAWeightAveraging.__name__}"
        self.averages = [one.init_args for one in given if one.class_path.endswith(name)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = total_steps(trainer)
        for average in self.averages:
            updates = (steps - (average.update_starting_at_step or 0)) // max(1, average.update_every_n_steps)
            share = average.decay ** max(0, updates - 1)
            if share > MOSTLY_FIRST:
                rank_zero_only(print)(
                    f"EMAWeightAveraging: with a decay of {average.decay}, {share:.0%} of its average will be the "
                    f"weights after its first step, since the run has {steps} steps; AveragedWeights fits any length",
                    flush=True,
                )
