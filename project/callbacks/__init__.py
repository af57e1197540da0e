"""Callbacks: what a run does besides training."""

from project.callbacks.averaged_weights import AveragedWeights, ShortAverages
from project.callbacks.checkpoints import Checkpoints
from project.callbacks.epoch_lines import EpochLines, EvaluationLines
from project.callbacks.epoch_numbers import EpochNumbers
from project.callbacks.finetuning import Finetuning
from project.callbacks.finite_loss import FiniteLoss
from project.callbacks.given_options import GivenOptions
from project.callbacks.lost_processes import LostProcesses
from project.callbacks.predictions import Predictions
from project.callbacks.progress_bar import EpochBar
from project.callbacks.resumed_length import ResumedLength
from project.callbacks.run_directory import RunDirectory
from project.callbacks.shared_cores import SharedCores
from project.callbacks.stopwatch import Stopwatch

__all__ = [
    "OF_EVERY_RUN",
    "AveragedWeights",
    "Checkpoints",
    "EpochBar",
    "EpochLines",
    "EpochNumbers",
    "EvaluationLines",
    "Finetuning",
    "FiniteLoss",
    "GivenOptions",
    "LostProcesses",
    "Predictions",
    "ResumedLength",
    "RunDirectory",
    "SharedCores",
    "ShortAverages",
    "Stopwatch",
]

# The command line adds these to a run; the user chooses among the others.
OF_EVERY_RUN = (
    Checkpoints,
    EpochBar,
    EpochLines,
    EpochNumbers,
    EvaluationLines,
    FiniteLoss,
    GivenOptions,
    LostProcesses,
    Predictions,
    ResumedLength,
    RunDirectory,
    SharedCores,
    ShortAverages,
    Stopwatch,
)
