"""The comparison as columns of text, and its tables on the terminal."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple

from project.compare.answers import Answers, Disagreement
from project.compare.comparison import Comparison, Difference
from project.compare.groups import Group, ranges
from project.compare.statistics import Summary

SMALLEST = 1e-99  # a p-value
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

    def only(self, is_shown: Sequence[bool]) -> "Table":
        """The columns that are shown."""
        names, is_number = list(compress(self.names, is_shown)), list(compress(self.is_number, is_shown))
        return Table(names, is_number, [list(compress(row, is_shown)) for row in self.rows], self.optional)

    def without_empty_columns(self) -> "Table":
        return self.only([any(row[place].text for row in self.rows) for place in range(len(self.names))])


def group_table(comparison: Comparison) -> Table:
    """A row for each group. A column that would be empty is left out."""
    columns = [
        Column("run", lambda group: Cell(group.label, group.label, _state(group)), is_number=False),
        *(Column(name, _setting(name), is_number=False) for name in comparison.settings),
        Column("seeds", _seeds, is_number=False),
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
    """A row for each group that shares seeds or test images with the baseline; None if there is no such group."""
    known = [difference for difference in comparison.differences if difference.seeds > 1 or difference.answers]
    names = ["run", "difference", INTERVAL, "pairs", "only this right", "only baseline right", "McNemar p"]
    rows = [_difference_row(difference, comparison.main) for difference in known]
    return Table(names, [name != "run" for name in names], rows).without_empty_columns() if rows else None


def figure_text(name: str, value: float, sign: str = "") -> str:
    """A figure with as many digits as are worth reading: 84.56 %, 0.4312, 173.2."""
    factor, digits, unit = _unit(name)
    rounded = round(factor * value, digits) + 0.0  # no -0.00
    return f"{rounded:{sign}.{digits}f}{unit}"


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
        Column("ensemble", _ensemble),
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
    if summary is None or summary.interval is None:
        return Cell()
    low, high = (figure_text(name, value, sign).removesuffix(_unit(name)[2]) for value in summary.interval)
    return Cell(f"{low} to {high}", summary.interval[0])


def _seeds(group: Group) -> Cell:
    seeds = [str(seed) for seed in group.seeds if seed is not None]
    return Cell(ranges(seeds) + (f" (n = {len(seeds)})" if len(seeds) > 1 else ""), len(seeds))


def _ensemble(group: Group) -> Cell:
    if len(group.runs) < 2 or not isinstance(group.answers, Answers):
        return Cell()
    return Cell(figure_text("accuracy", group.answers.accuracy), group.answers.accuracy)


def _difference_row(difference: Difference, main: str) -> list[Cell]:
    pairs, answers = difference.pairs, difference.answers
    counts = [Cell(), Cell(), Cell(answers or "") if not isinstance(answers, Disagreement) else Cell()]
    if isinstance(answers, Disagreement):
        counts = [
            Cell(f"{answers.only_first:,}", answers.only_first),
            Cell(f"{answers.only_second:,}", answers.only_second),
            Cell(f"{answers.p:.2g}" if answers.p > SMALLEST else f"below {SMALLEST}", answers.p),
        ]
    return [
        Cell(difference.group.label, difference.group.label),
        Cell(figure_text(main, pairs.mean, "+"), pairs.mean) if pairs else Cell(),
        _interval(main, pairs, "+"),
        Cell(str(difference.seeds), difference.seeds) if pairs else Cell(),
        *counts,
    ]
