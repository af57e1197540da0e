"""What each part of the benchmark is given, and what it gives."""

from dataclasses import dataclass

Row = tuple[str, float, str]
"""What was measured, its value, and the goal, which may be empty."""


@dataclass(frozen=True)
class Options:
    """Of the benchmark."""

    data_dir: str
    """Directory of CIFAR-10."""
    seeds: int
    """Number of runs, if the part has several."""
    turns: int
    """Number of times that the part measures a duration."""
    fit_options: tuple[str, ...]
    """Of main.py fit."""
