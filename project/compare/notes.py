"""What a reader of the tables should know besides."""

import math
from collections.abc import Iterator

from project.compare.comparison import Comparison
from project.compare.groups import Group
from project.compare.settings import differing
from project.system.text import counted


def notes(comparison: Comparison) -> Iterator[str]:
    """Sentences about runs that do not count, ensembles that cannot be made, and environments that differ."""
    for group in comparison.groups:
        if group.repeated:
            labels = ", ".join(run.label for run in group.repeated)
            yield f"{labels}: left out of the means, since {group.label} has the same settings and seeds"
        yield from _figures_without_mean(group)
        if isinstance(group.answers, str) and len(group.runs) > 1:
            yield f"{group.label}: no ensemble, since {group.answers}"
    if comparison.left_out:
        broken = sum(1 for run in comparison.left_out if run.problem)
        line = f"left out by --where: {counted(len(comparison.left_out), 'run')}"
        yield line + (f", {broken} of them broken" if broken else "")
    if names := differing(run.environment for run in comparison.runs if run.environment):
        yield f"the runs also differ in their environment.yaml: {', '.join(names)}"


def _figures_without_mean(group: Group) -> Iterator[str]:
    names = dict.fromkeys(name for run in group.runs for name in run.figures)
    for run in group.runs if len(group.runs) > 1 else ():
        if missing := [name for name in names if name not in run.figures]:
            yield f"{run.label} has no {', '.join(missing)}: {group.label} has no mean of it"
        if wrong := [f"{name} {value}" for name, value in run.figures.items() if not math.isfinite(value)]:
            yield f"{run.label} has {', '.join(wrong)}: {group.label} has no mean of it"
