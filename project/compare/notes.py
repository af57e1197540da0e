"""What a reader of the tables should know besides."""

from collections.abc import Iterator

from project.compare.comparison import Comparison
from project.compare.settings import differing
from project.system.text import counted


def notes(comparison: Comparison) -> Iterator[str]:
    """Sentences about runs that do not count, ensembles that cannot be made, and environments that differ."""
    for group in comparison.groups:
        if group.repeated:
            labels = ", ".join(run.label for run in group.repeated)
            yield f"{labels}: left out of the means, since {group.label} has the same settings and seeds"
        if isinstance(group.answers, str) and len(group.runs) > 1:
            yield f"{group.label}: no ensemble, since {group.answers}"
    if comparison.left_out:
        broken = sum(1 for run in comparison.left_out if run.problem)
        line = f"left out by --where: {counted(len(comparison.left_out), 'run')}"
        yield line + (f", {broken} of them broken" if broken else "")
    if names := differing(run.environment for run in comparison.runs if run.environment):
        yield f"the runs also differ in their environment.yaml: {', '.join(names)}"
