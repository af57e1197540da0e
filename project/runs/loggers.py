"""A run's loggers: metrics.csv, a table, and TensorBoard's curves. EpochNumbers makes both count epochs from 1."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from project.runs.results import METRICS, Result, format_figures, read_metrics, write_results
from project.system.files import atomic_write

# The charts of TensorBoard's page CUSTOM SCALARS, with regular expressions of tags.
CHARTS = {
    "Training and validation, by step": {
        "accuracy": ["Multiline", ["train/accuracy$", "val/accuracy$"]],
        "loss": ["Multiline", ["train/loss$", "val/loss$"]],
    },
    "Training, by step": {
        "loss of a batch": ["Multiline", ["train/loss_step$"]],
        "learning rate": ["Multiline", ["train/lr$"]],
        "images per second": ["Multiline", ["train/images_per_second$"]],
    },
}


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
        with self.file.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    @rank_zero_only
    def _drop_rows_from(self, first_step: int) -> None:
        if rows := read_metrics(self.run):
            self._write([row for row in rows if int(row["step"] or 0) < first_step], rows[0])

    def _write(self, rows: Sequence[Mapping[str, Any]], columns: Collection[str]) -> None:
        """Replace the table by one that has these columns too."""
        self.columns = sorted({*self.columns, *columns})
        with atomic_write(self.file) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)


class Curves(TensorBoardLogger):
    """TensorBoard's curves; those of a resumed run before `first_step` stay.

    Its page CUSTOM SCALARS shows training and validation in one chart.
    """

    def __init__(self, run: Path, first_step: int | None = None) -> None:
        if first_step == 0:  # nothing of the run stays
            _remove_events(run)
        super().__init__(run, name="", version="", default_hp_metric=False, purge_step=first_step or None)
        # TensorBoard merges the equal ones of a resumed run, and of all runs.
        self.experiment.add_custom_scalars(CHARTS)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Leave out the number of the epoch, which would be a straight line. metrics.csv has it."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def save(self) -> None:
        """Write what is logged so far, without Lightning's hparams.yaml, which would be empty: config.yaml has all."""
        self.experiment.flush()


@rank_zero_only
def _remove_events(run: Path) -> None:
    for file in run.glob("events.*"):
        file.unlink()


def record(result: Result, loggers: Sequence[Logger]) -> None:
    """Write the figures of a finished run: TensorBoard's HPARAMS page, results.json, and the last printed lines."""
    assert result.directory is not None
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            from project.runs.hyperparameters import write_end  # imports TensorBoard

            write_end(Path(logger.log_dir))
    file = write_results(result.directory, result.figures)  # last of all: a run that has it is finished
    print(*format_figures(result.figures), f"results: {file}", sep="\n", flush=True)
