"""Moving averages of the weights, for runs of any length."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, WeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

from project.data.run_length import total_steps

HARMFUL_SHARE = 0.1  # of the first weights in an average


class AveragedWeights(WeightAveraging):
    """Validates, tests and saves an exponential moving average of the weights.

    After step t, counted from 0, the average is decay(t) * average + (1 - decay(t)) * weights. Here decay(t) is
    min(decay, (1 + t) / (10 + t)), so the initial weights are soon forgotten, also in a short run.

    Floating-point buffers, such as the statistics of batch normalisation, are averaged in the same way. These
    statistics are a smooth function of the weights. To first order, their average over some steps is their value at the
    averaged weights. Integer buffers are copied.
    """

    def __init__(self, decay: float = 0.999) -> None:
        """Check the decay.

        Args:
            decay: Upper limit of decay(t), at least 0 and below 1. The average is then over about 1 / (1 - decay)
                steps.
        """
        if not 0 <= decay < 1:
            raise ValueError(f"AveragedWeights's decay {decay} must be at least 0 and below 1")
        super().__init__()
        self.decay = decay

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Create the average on the training device. Lightning moves the weights there only later."""
        if stage == "fit":
            self._average_model = GrowingDecay(pl_module.to(trainer.strategy.root_device), self.decay)


class GrowingDecay(AveragedModel):
    """The average of a model. It never waits for a GPU, because its number of updates is on the CPU."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Average the current values of `model` in. The first call copies them."""
        step = int(self.n_averaged)
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        current = dict(chain(model.named_parameters(), model.named_buffers()))  # the loss got class weights only later
        for name, average in chain(self.module.named_parameters(), self.module.named_buffers()):
            if step and average.is_floating_point():
                average.lerp_(current[name], weight)
            else:
                average.copy_(current[name])
        self.n_averaged += 1


class ShortAverages(Callback):
    """Prints a line if the run is too short for the decay of Lightning's EMAWeightAveraging."""

    def __init__(self, callback_options: Iterable[Any]) -> None:
        """Find the options of each EMAWeightAveraging.

        Args:
            callback_options: The class_path and init_args of each callback of the run.
        """
        name = f".{EMAWeightAveraging.__name__}"
        self.averages = [options.init_args for options in callback_options if options.class_path.endswith(name)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = total_steps(trainer)
        for average in self.averages:
            updates = (steps - (average.update_starting_at_step or 0)) // max(1, average.update_every_n_steps)
            share = average.decay ** max(0, updates - 1)
            if share > HARMFUL_SHARE:
                rank_zero_only(print)(
                    f"EMAWeightAveraging: with a decay of {average.decay}, {share:.0%} of its average will be the "
                    f"weights after its first step, because the run has only {steps} steps; use AveragedWeights, which "
                    "fits runs of any length",
                    flush=True,
                )
