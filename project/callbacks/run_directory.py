"""The files of a run: its settings, its environment, its metrics."""

import csv
import os
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from project import runs
from project.environment import describe, environment


class RunDirectory(Callback):
    """Opens the run's directory when a fit has its data, and writes config.yaml and environment.yaml there.

    A resumed run goes on in its directory: the first files stay, the next start adds config-2.yaml and so on.
    """

    def __init__(self, root: Path, experiment: str, config: str, loggers: bool = True) -> None:
        self.root, self.experiment, self.config, self.loggers = root, experiment, config, loggers
        self.path: Path | None = None
        self.first_step = 0

    def resume(self, path: Path, first_step: int) -> None:
        """Go on in `path` from the step after `first_step` steps."""
        self.path, self.first_step = path, first_step

    @property
    def opened(self) -> Path:
        """The directory, once a fit has begun."""
        assert self.path is not None
        return self.path

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if trainer.is_global_zero and self.path is None:
            self.path = runs.create(self.root, self.experiment)
        self.path = trainer.strategy.broadcast(self.path)
        assert self.path is not None
        for checkpoint in trainer.checkpoint_callbacks:
            assert isinstance(checkpoint, ModelCheckpoint)
            checkpoint.dirpath = checkpoint.dirpath or str(self.path / "checkpoints")
        if self.loggers:
            trainer.loggers = self._make_loggers(self.path)
        if trainer.is_global_zero:
            self._write(self.path, trainer)

    def _make_loggers(self, path: Path) -> list[Any]:
        where: dict[str, Any] = {"save_dir": path.parents[1], "name": path.parent.name, "version": runs.number(path)}
        tensorboard = TensorBoardLogger(**where, default_hp_metric=False, purge_step=self.first_step or None)
        _ = tensorboard.experiment  # opens the first file, which purges; the files opened later, by the test, must not
        tensorboard._kwargs.pop("purge_step")
        return [tensorboard, ContinuedCSVLogger(self.first_step, **where)]

    def _write(self, path: Path, trainer: Trainer) -> None:
        starts = len(list(path.glob("config*.yaml")))
        ending = f"-{starts + 1}.yaml" if starts else ".yaml"
        (path / f"config{ending}").write_text(self.config)
        (path / f"environment{ending}").write_text(yaml.safe_dump(environment(trainer), sort_keys=False))
        print(f"{'continuing' if starts else 'run'} {path}: {describe(trainer)}", flush=True)


class ContinuedCSVLogger(CSVLogger):
    """Lightning's logger, but for the rows before `first_step`, which stay: Lightning's deletes an old metrics.csv."""

    def __init__(self, first_step: int, **where: Any) -> None:
        super().__init__(**where)
        self.first_step = first_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _ContinuedWriter(self.log_dir, self.first_step)
        return self._experiment

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """A checkpoint's step is never ahead of the rows on disk."""
        self.save()


class _ContinuedWriter(ExperimentWriter):
    def __init__(self, log_dir: str, first_step: int) -> None:
        self.first_step = first_step
        super().__init__(log_dir)

    def _check_log_dir_exists(self) -> None:
        """Called before anything is written: keep the rows before the first step."""
        old = Path(self.metrics_file_path)
        if not old.exists():
            return
        with old.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if int(row["step"]) < self.first_step]
            self.metrics_keys = list(reader.fieldnames or [])
        new = old.with_suffix(".new")
        with new.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(new, old)
