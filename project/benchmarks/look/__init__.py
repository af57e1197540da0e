"""What a run shows by itself, and the tools that look at runs: each part is a module here with a function `rows`."""

from collections.abc import Sequence
from importlib import import_module

from project.benchmarks.look.part import Options
from project.benchmarks.report import report


def measure(data_dir: str, seeds: int, turns: int, parts: Sequence[str], fit_options: Sequence[str]) -> None:
    """Report the figures of the parts, in one table.

    Args:
        data_dir: Directory of CIFAR-10.
        seeds: Number of runs of convnet.yaml that are calibrated.
        turns: Number of fits with and without pictures, of each kind.
        parts: Modules of this package.
        fit_options: Of main.py fit.
    """
    options = Options(data_dir, seeds, turns, tuple(fit_options))
    rows = [row for part in parts for row in import_module(f"{__name__}.{part}").rows(options)]
    table = [{"figure": figure, "measured": measured, "goal": goal} for figure, measured, goal in rows]
    report("-".join(("look", *parts)), table, seeds=seeds, turns=turns, fit_options=list(fit_options))
