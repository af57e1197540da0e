"""What a run does besides training."""

from project.callbacks.checkpoints import Checkpoints
from project.callbacks.epoch_lines import EpochLines
from project.callbacks.finite_loss import FiniteLoss
from project.callbacks.optimizer_options import OptimizerOptions
from project.callbacks.predictions import Predictions
from project.callbacks.randomness import Randomness
from project.callbacks.run_directory import RunDirectory
from project.callbacks.stopwatch import Stopwatch

__all__ = [
    "Checkpoints",
    "EpochLines",
    "FiniteLoss",
    "OptimizerOptions",
    "Predictions",
    "Randomness",
    "RunDirectory",
    "Stopwatch",
]
