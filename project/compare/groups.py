"""Runs that differ by seed alone are one group, whose figures are means."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from project.compare.answers import Answers, read_answers
from project.compare.runs import Run
from project.compare.settings import SEED, Settings, pooled_by
from project.compare.statistics import Summary, summarise

Order = tuple[int, float, str]


@dataclass(frozen=True, eq=False)
class Group:
    """Finished runs of the same settings with different seeds, or one run that has not finished."""

    runs: Sequence[Run]
    repeated: Sequence[Run] = field(default_factory=tuple)
    """Runs whose seed another run of the group has. They count for nothing."""

    @property
    def settings(self) -> Settings:
        return self.runs[0].settings

    @property
    def state(self) -> str:
        return self.runs[0].state

    @property
    def is_finished(self) -> bool:
        return self.runs[0].is_finished

    @property
    def seeds(self) -> dict[object, Run]:
        return {run.settings.get(SEED): run for run in self.runs}

    @cached_property
    def label(self) -> str:
        """The runs by their names: convnet/version_0-4."""
        first, *others = sorted((run.label for run in self.runs), key=_natural)
        stems: dict[str, list[str]] = {}
        for label in [first, *others]:
            stem, number = _split(label)
            stems.setdefault(stem, []).append(number)
        return ", ".join(stem + ranges(numbers) for stem, numbers in stems.items())

    @cached_property
    def figures(self) -> dict[str, Summary]:
        """The mean of each figure that all runs have."""
        names = [name for name in self.runs[0].figures if all(name in run.figures for run in self.runs)]
        return {name: summarise([run.figures[name] for run in self.runs]) for name in names}

    @cached_property
    def answers(self) -> Answers | str | None:
        """Of the ensemble of all runs, from their logits."""
        return read_answers([run.path for run in self.runs]) if self.is_finished else None


def pool(runs: Iterable[Run]) -> list[Group]:
    """The groups of the runs, in their order. Of two runs with the same seed, the later one counts."""
    groups: dict[object, dict[object, list[Run]]] = {}
    for run in runs:
        key: object = pooled_by(run.settings) if run.is_finished else run
        groups.setdefault(key, {}).setdefault(run.settings.get(SEED), []).append(run)
    return [
        Group([same[-1] for same in seeds.values()], [run for same in seeds.values() for run in same[:-1]])
        for seeds in groups.values()
    ]


def sort(groups: Iterable[Group], name: str) -> list[Group]:
    """The best first, or by a setting; the groups that do not have it last."""
    return sorted(groups, key=lambda group: _order(group, name))


def is_better_high(name: str) -> bool:
    """Whether a high value of a figure is a good one."""
    return "accuracy" in name or name.rpartition("/")[2] in ("f1", "precision", "recall")


def ranges(numbers: Sequence[str]) -> str:
    """Numbers in few words: 0-4, 7."""
    if not all(number.isdecimal() for number in numbers):
        return ", ".join(numbers)
    parts: list[list[int]] = []
    for number in sorted(map(int, numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def _order(group: Group, name: str) -> Order:
    if name in group.figures:
        mean = group.figures[name].mean
        return (1, 0.0, "") if math.isnan(mean) else (0, -mean if is_better_high(name) else mean, "")
    value = group.settings.get(name)
    if isinstance(value, int | float):
        return 0, value, ""
    return (3, 0.0, "") if value is None else (2, 0.0, str(value))


def _natural(label: str) -> tuple[str, int, str]:
    stem, number = _split(label)
    return stem, int(number) if number.isdecimal() else -1, label


def _split(label: str) -> tuple[str, str]:
    """A label without the number at its end, and the number."""
    match = re.fullmatch(r"(.*version_)(\d+)", label, re.DOTALL)
    return (match[1], match[2]) if match else (label, "")
