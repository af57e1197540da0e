"""A run's loggers: metrics.csv, a table, and TensorBoard's curves. EpochNumbers makes both count epochs from 1."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from project.runs.results import METRICS, Result, format_figures, read_metrics, shown_settings, write_results
from project.system.files import atomic_write


class MetricsTable(Logger):
    """metrics.csv: a row for each logged step, a column for each metric, beside `epoch` and `step`."""

    def __init__(self, run: Path, first_step: int = 0) -> None:
        """Open the table of a run; the rows of a resumed run before `first_step` stay."""
        self.run = run
        self.file = run / METRICS
        self.columns: list[str] = []
        self._drop_rows_from(first_step)

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def log_dir(self) -> str:
        return str(self.run)

    @property
    def save_dir(self) -> str:
        return str(self.run)

    def log_hyperparams(self, params: Any, *args: Any, **options: Any) -> None:
        """Nothing: config.yaml has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        row = {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}
        row |= {"step": step}
        if not row.keys() <= set(self.columns):
            self._write(read_metrics(self.run), row)
        with self.file.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    @rank_zero_only
    def _drop_rows_from(self, first_step: int) -> None:
        if rows := read_metrics(self.run):
            self._write([row for row in rows if int(row["step"] or 0) < first_step], rows[0])

    def _write(self, rows: Sequence[Mapping[str, Any]], columns: Collection[str]) -> None:
        """Replace the table by one that has these columns too."""
        self.columns = sorted({*self.columns, *columns})
        with atomic_write(self.file) as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)


class Curves(TensorBoardLogger):
    """TensorBoard's curves; those of a resumed run before `first_step` stay."""

    def __init__(self, run: Path, first_step: int | None = None) -> None:
        super().__init__(run, name="", version="", default_hp_metric=False, purge_step=first_step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Leave out the number of the epoch, which would be a straight line. metrics.csv has it."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)


def record(result: Result, settings: Mapping[str, Any], loggers: Sequence[Logger]) -> None:
    """Write the figures of a finished run: TensorBoard's HPARAMS tab, results.json, and the last printed lines."""
    assert result.directory is not None
    accuracy = {name: value for name, value in result.figures.items() if name == "test/accuracy"}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            # Not by log_hyperparams(metrics=...), which would log the accuracy again that the test has logged.
            with SummaryWriter(logger.log_dir) as writer:
                for summary in hparams(shown_settings(settings), accuracy):  # type: ignore[no-untyped-call]
                    writer.file_writer.add_summary(summary)
    file = write_results(result.directory, result.figures)  # last of all: a run that has it is finished
    print(*format_figures(result.figures), f"results: {file}", sep="\n", flush=True)
