"""More curves of the training, for runs that ask for them."""

import sys

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from project.system.memory import peak_gib
from project.training.trainer import is_logged_step


class GradientNorm(Callback):
    """Logs train/gradient_norm: the Euclidean norm of all gradients together, before they are clipped.

    It is logged at the steps at which the loss and the learning rate are.
    """

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if is_logged_step(trainer):
            gradients = [weights.grad for weights in pl_module.parameters() if weights.grad is not None]
            pl_module.log("train/gradient_norm", get_total_norm(gradients))


class PeakMemory(Callback):
    """Logs train/peak_memory_gib after each epoch: the largest memory so far, in GiB.

    On a GPU it is the memory of torch's tensors, in its first process. On a CPU it is the memory of the first process;
    Windows does not have that figure.
    """

    def __init__(self) -> None:
        """Raises ValueError on Windows without a GPU."""
        super().__init__()
        if sys.platform == "win32" and not torch.cuda.is_available():
            raise ValueError("PeakMemory: Windows has no figure for it; leave this callback out")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        device = trainer.strategy.root_device
        on_gpu = device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else peak_gib()
        pl_module.log("train/peak_memory_gib", peak, rank_zero_only=True)
