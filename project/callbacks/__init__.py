"""What a run does besides training."""

from project.callbacks.epoch_lines import EpochLines
from project.callbacks.predictions import Predictions
from project.callbacks.run_directory import RunDirectory
from project.callbacks.stopwatch import Stopwatch

__all__ = ["EpochLines", "Predictions", "RunDirectory", "Stopwatch"]
