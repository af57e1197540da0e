"""An optimizer and learning-rate schedules that torch lacks."""

from project.optim.muon import MuonSGD
from project.optim.schedules import OneCycle, Plateau, WarmupLinear

__all__ = ["MuonSGD", "OneCycle", "Plateau", "WarmupLinear"]
