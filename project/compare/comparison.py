"""A whole comparison: the groups of runs, the best first, and how each of them differs from the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from project.compare.answers import Answers, Disagreement, disagreement
from project.compare.conditions import check_name, select
from project.compare.groups import Group, pool, sort
from project.compare.runs import Run, read_runs
from project.compare.settings import telling
from project.compare.statistics import Summary, summarise
from project.system.errors import UserError

MAIN = ("test/accuracy", "val/accuracy", "test/loss", "val/loss")


@dataclass(frozen=True)
class Difference:
    """How a group differs from the baseline."""

    group: Group
    seeds: Sequence[object]
    """The seeds that both groups have."""
    pairs: Summary | None
    """Of the main figure: the group's minus the baseline's with the same seed; None for fewer than two common seeds."""
    answers: Disagreement | str | None
    """Of the ensembles on the test images; a reason, if they cannot be compared; None without logits."""


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, sorted."""

    groups: Sequence[Group]
    order: str
    """The setting or the figure by which they are sorted."""
    main: str
    """The figure in which groups are compared."""
    settings: Sequence[str]
    """The names of the settings in which the groups differ."""
    baseline: Group | None
    """With which the other groups are compared: the one that was asked for, or the best one that has finished."""
    differences: Sequence[Difference]
    left_out: Sequence[Run]
    """The runs that --where leaves out."""

    @property
    def runs(self) -> list[Run]:
        return [run for group in self.groups for run in (*group.runs, *group.repeated)]


def compare(
    words: Sequence[str], where: Sequence[str] = (), order: str | None = None, baseline: str | None = None
) -> Comparison:
    """Read the runs, pool and sort them.

    Args:
        words: Run directories, folders, patterns and experiments.
        where: Conditions; only the runs for which all of them hold are compared.
        order: A figure or a setting to sort by. A figure is also the one in which groups are compared.
        baseline: A run of the group with which the others are compared.

    Raises:
        UserError: there are no such runs, or an option does not fit them.
    """
    every = read_runs(words)
    runs = select(every, where)
    if order:
        check_name(f"--sort {order}", order, runs)
    figures = {name for run in runs for name in run.figures}
    main = order if order in figures else next((name for name in MAIN if name in figures), MAIN[0])
    groups = sort(pool(runs), order or main)
    base = _baseline(sort(groups, main), baseline)
    others = [group for group in groups if group.is_finished and group is not base] if base else []
    return Comparison(
        groups=groups,
        order=order or main,
        main=main,
        settings=telling(group.settings for group in groups if group.settings),
        baseline=base,
        differences=[_difference(group, base, main) for group in others if base],
        left_out=[run for run in every if run not in runs],
    )


def _baseline(groups: Sequence[Group], name: str | None) -> Group | None:
    finished = [group for group in groups if group.is_finished]
    if name is None:
        return finished[0] if finished else None
    path = Path(name).resolve()
    for group in finished:
        if any(name == run.label or path == run.path.resolve() for run in group.runs):
            return group
    labels = ", ".join(group.label for group in finished[:5])
    raise UserError(f"--baseline {name}: no such finished run is compared; name one of {labels}")


def _difference(group: Group, base: Group, main: str) -> Difference:
    runs, others = group.seeds, base.seeds
    both = [seed for seed in others if seed in runs and main in runs[seed].figures and main in others[seed].figures]
    values = [runs[seed].figures[main] - others[seed].figures[main] for seed in both]
    return Difference(group, both, summarise(values) if len(values) > 1 else None, _disagreement(group, base))


def _disagreement(group: Group, base: Group) -> Disagreement | str | None:
    for side in (base.answers, group.answers):
        if not isinstance(side, Answers):
            return side
    assert isinstance(group.answers, Answers)
    assert isinstance(base.answers, Answers)
    return disagreement(group.answers, base.answers) or "tested on other images or classes"
