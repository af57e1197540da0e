"""Callbacks that a user can choose. The modules here also have those of every run, which cli.experiment adds."""

from project.callbacks.averaged_weights import AveragedWeights
from project.callbacks.finetuning import Finetuning
from project.callbacks.measurements import GradientNorm, PeakMemory

__all__ = ["AveragedWeights", "Finetuning", "GradientNorm", "PeakMemory"]
