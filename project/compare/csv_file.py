"""The runs as a CSV file: a row for each run, also for those that are pooled, unfinished or broken."""

from collections.abc import Iterator
from pathlib import Path

from project.compare.comparison import Comparison
from project.compare.runs import Run
from project.compare.settings import SEED, differing
from project.system.files import atomic_write
from project.system.tables import TableWriter, open_text, path_text


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write the path, the group, the state, the settings that differ, and all figures of each run.

    A group is named by its first run. Figures have all digits, and accuracies are from 0 to 1.

    Raises:
        OSError: the file cannot be written.
    """
    runs = comparison.runs
    settings = [name for name in differing(run.settings for run in runs if run.settings) if name != SEED]
    figures = list(dict.fromkeys(name for run in runs for name in run.figures))
    with atomic_write(path) as unfinished, open_text(unfinished) as file:
        table = TableWriter(file, ["run", "group", "state", SEED, *settings, *figures])
        for group, run in _runs(comparison):
            values = (run.settings.get(name, "") for name in (SEED, *settings))
            table.write([path_text(str(run.path)), group, run.state, *values, *_figures(run, figures)])


def _runs(comparison: Comparison) -> Iterator[tuple[str, Run]]:
    for group in comparison.groups:
        for run in (*group.runs, *group.repeated):
            yield group.label, run


def _figures(run: Run, names: list[str]) -> Iterator[float | str]:
    return (run.figures.get(name, "") for name in names)
