"""Learning-rate schedules that torch lacks."""

from project.optim.schedules import OneCycle, WarmupLinear

__all__ = ["OneCycle", "WarmupLinear"]
