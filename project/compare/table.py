"""The comparison as columns of text, and its tables on the terminal."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple

from project.compare.answers import Answers, Disagreement
from project.compare.comparison import Comparison, Difference
from project.compare.groups import Group, ranges
from project.compare.statistics import Summary

SMALLEST = 1e-99  # a p-value
NEVER_NEGATIVE = ("nll", "brier", "ece", "seconds")  # parts of the names of figures
SHOWN = ("test/nll", "test/ece", "test/nll_calibrated", "test/ece_calibrated", "train_seconds")
STATE, INTERVAL = "state", "95 % interval"


class Cell(NamedTuple):
    """A cell of a table."""

    text: str = ""
    value: float | str | None = None
    """By which a column is sorted."""
    note: str = ""
    """What a page says below the text."""


@dataclass(frozen=True)
class Column:
    """A column of the table of groups."""

    name: str
    cell: Callable[[Group], Cell]
    is_number: bool = True


class Table(NamedTuple):
    """Rows of cells under names."""

    names: Sequence[str]
    is_number: Sequence[bool]
    rows: Sequence[Sequence[Cell]]
    optional: Collection[str] = ()
    """The names of columns that a narrow terminal may leave out, the last one first."""
    title: str = ""

    def only(self, is_shown: Sequence[bool]) -> "Table":
        """The columns that are shown."""
        names, is_number = list(compress(self.names, is_shown)), list(compress(self.is_number, is_shown))
        rows = [list(compress(row, is_shown)) for row in self.rows]
        return Table(names, is_number, rows, self.optional, self.title)

    def without_empty_columns(self) -> "Table":
        return self.only([any(row[place].text for row in self.rows) for place in range(len(self.names))])


def group_table(comparison: Comparison) -> Table:
    """A row for each group. A column that would be empty is left out."""
    columns = [
        Column("run", _label, is_number=False),
        *(Column(name, _setting(name), is_number=False) for name in comparison.settings),
        Column("seeds", lambda group: _seeds(group.seeds), is_number=False),
        *_figures(comparison),
        Column(STATE, lambda group: Cell(_state(group), _state(group)), is_number=False),
    ]
    rows = [[column.cell(group) for column in columns] for group in comparison.groups]
    needed = {comparison.main, INTERVAL}
    return Table(
        [column.name for column in columns],
        [column.is_number for column in columns],
        rows,
        [column.name for column in columns if column.is_number and column.name not in needed],
    ).without_empty_columns()


def difference_table(comparison: Comparison) -> Table | None:
    """A row for each group that has at least two seeds in common with the baseline; None if there is no such group."""
    main = comparison.main
    rows = [
        [
            _label(group),
            _seeds(seeds),
            Cell(_difference_text(main, pairs.mean), pairs.mean),
            _interval(main, pairs, "+"),
        ]
        for group, seeds, pairs in ((each.group, each.seeds, each.pairs) for each in comparison.differences)
        if pairs
    ]
    if comparison.baseline is None or not rows:
        return None
    title = f"mean of {main} minus that of {comparison.baseline.label}, over the seeds that both have"
    return Table(["run", "common seeds", "mean difference", INTERVAL], [False, False, True, True], rows, title=title)


def answer_table(comparison: Comparison) -> Table | None:
    """A row for each group whose answers for the test images are known; None without any, or without a baseline."""
    rows = [_answer_row(difference) for difference in comparison.differences if difference.answers]
    if comparison.baseline is None or not rows:
        return None
    title = (
        f"test images that only a run, or only the baseline {comparison.baseline.label}, classifies correctly, and "
        "McNemar's exact test (several seeds answer as an ensemble: the mean of their probabilities)"
    )
    names = ["run", "only this correct", "only baseline correct", "McNemar p"]
    return Table(names, [False, True, True, True], rows, title=title).without_empty_columns()


def figure_text(name: str, value: float) -> str:
    """A figure with as many digits as are worth reading: 84.56 %, 0.4312, 173.2."""
    return _number(name, value) + _unit(name)[2]


def _difference_text(name: str, value: float) -> str:
    """The difference of two figures; of accuracies in percentage points."""
    return _number(name, value, "+") + _unit(name)[2].replace("%", "points")


def _number(name: str, value: float, sign: str = "") -> str:
    factor, digits, _ = _unit(name)
    rounded = round(factor * value, digits) + 0.0  # no -0.00
    return f"{rounded:{sign}.{digits}f}"


def _unit(name: str) -> tuple[int, int, str]:
    if "accuracy" in name:
        return 100, 2, " %"
    return (1, 1, "") if "seconds" in name else (1, 4, "")


def _figures(comparison: Comparison) -> list[Column]:
    """The main figure with its interval, then the other accuracies, and what else is worth a column."""
    main = comparison.main
    names = dict.fromkeys(name for group in comparison.groups for name in group.figures)
    accuracies = sorted(name for name in names if "accuracy" in name or name.startswith("val/"))
    others = dict.fromkeys([*accuracies, *(name for name in SHOWN if name in names)])
    return [
        Column(main, _figure(main)),
        Column(INTERVAL, lambda group: _interval(main, group.figures.get(main))),
        Column("test ensemble", _ensemble),
        *(Column(name, _figure(name)) for name in others if name != main),
    ]


def _state(group: Group) -> str:
    return "" if group.is_finished else group.state


def _setting(name: str) -> Callable[[Group], Cell]:
    def cell(group: Group) -> Cell:
        value = group.settings.get(name)
        return Cell() if value is None else Cell(str(value), value)

    return cell


def _figure(name: str) -> Callable[[Group], Cell]:
    def cell(group: Group) -> Cell:
        if name not in group.figures:
            return Cell()
        summary = group.figures[name]
        text = figure_text(name, summary.mean)
        if summary.deviation is not None:
            factor, digits, unit = _unit(name)
            text = f"{text.removesuffix(unit)} ± {factor * summary.deviation:.{digits}f}{unit}"
        return Cell(text, summary.mean)

    return cell


def _interval(name: str, summary: Summary | None, sign: str = "") -> Cell:
    """The 95 % interval, without the values that the figure, or a difference of two, cannot have."""
    if summary is None or summary.interval is None:
        return Cell()
    smallest, largest = _range(name)
    if sign:
        smallest, largest = smallest - largest, largest - smallest
    low, high = max(summary.interval[0], smallest), min(summary.interval[1], largest)  # nan stays
    return Cell(f"{_number(name, low, sign)} to {_number(name, high, sign)}", low)


def _range(name: str) -> tuple[float, float]:
    """The smallest and the largest possible value of a figure."""
    if "accuracy" in name:
        return 0.0, 1.0
    return (0.0 if any(part in name for part in NEVER_NEGATIVE) else -math.inf), math.inf


def _label(group: Group) -> Cell:
    return Cell(group.label, group.label, _state(group))


def _seeds(seeds: Iterable[object]) -> Cell:
    texts = [str(seed) for seed in seeds if seed is not None]
    return Cell(ranges(texts) + (f" (n = {len(texts)})" if len(texts) > 1 else ""), len(texts))


def _ensemble(group: Group) -> Cell:
    if len(group.runs) < 2 or not isinstance(group.answers, Answers):
        return Cell()
    return Cell(figure_text("accuracy", group.answers.accuracy), group.answers.accuracy)


def _answer_row(difference: Difference) -> list[Cell]:
    label, answers = _label(difference.group), difference.answers
    if not isinstance(answers, Disagreement):
        return [label, Cell(), Cell(), Cell(answers or "")]
    return [
        label,
        Cell(f"{answers.only_first:,}", answers.only_first),
        Cell(f"{answers.only_second:,}", answers.only_second),
        Cell(f"{answers.p:.2g}" if answers.p > SMALLEST else f"below {SMALLEST}", answers.p),
    ]
