"""What a run logs: metrics.csv, a table, and TensorBoard's curves. Both count epochs from 1, as the terminal does."""

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from project.system.files import atomic_write

Count = Callable[[], int]
"""The number of the epoch that is trained, or was trained last; at least 1."""


class MetricsTable(Logger):
    """metrics.csv: a row each time that something is logged, a column for each metric, beside `epoch` and `step`."""

    def __init__(self, run: Path, epoch: Count, first_step: int = 0) -> None:
        """Go on with the table of a resumed run: its rows before `first_step` stay."""
        self.run, self.epoch = run, epoch
        self.file = run / "metrics.csv"
        self.columns: list[str] = []
        self._keep_rows(first_step)

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
        row = _counted(row, self.epoch) | {"step": step}
        if not row.keys() <= set(self.columns):
            self._write(self._rows(), row)
        with self.file.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    @rank_zero_only
    def _keep_rows(self, first_step: int) -> None:
        if rows := self._rows():
            self._write([row for row in rows if int(row["step"] or 0) < first_step], rows[0])

    def _rows(self) -> list[dict[str, str]]:
        """The rows of the file, but for a last one that a kill has cut."""
        whole_lines = self.file.read_text().rpartition("\n")[0] if self.file.exists() else ""
        return list(csv.DictReader(whole_lines.splitlines()))

    def _write(self, rows: Sequence[Mapping[str, Any]], columns: Collection[str]) -> None:
        """Put a table with these columns too in place of the file, at one go."""
        self.columns = sorted({*self.columns, *columns})
        with atomic_write(self.file) as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)


class Curves(TensorBoardLogger):
    """TensorBoard's curves; in a resumed run those before `first_step` stay."""

    def __init__(self, run: Path, epoch: Count, first_step: int | None = None) -> None:
        super().__init__(run, name="", version="", default_hp_metric=False, purge_step=first_step)
        self.epoch = epoch

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(_counted(metrics, self.epoch), step)


def _counted(metrics: Mapping[str, Any], epoch: Count) -> dict[str, Any]:
    """With the number of the epoch where Lightning has put its own, which begins with 0."""
    return {**metrics, "epoch": epoch()} if "epoch" in metrics else dict(metrics)
