"""What is random in a step depends on the step alone."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from project.data.augmentation import LAYERS, key


class Randomness(Callback):
    """Seeds every generator before each batch from (seed, epoch, batch, process), as dropout and the like need it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        seed = key(self.seed, trainer.current_epoch, LAYERS, batch_idx, trainer.global_rank)
        # torch.manual_seed takes 0.8 ms where CUDA is installed but not used, and keeps a stack trace of each call.
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type != "cpu":
            torch.get_device_module(pl_module.device).manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
