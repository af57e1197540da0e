"""The files of a run: its settings, its environment, its metrics."""

import csv
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from project import runs
from project.callbacks.checkpoints import Checkpoints
from project.environment import describe, environment
from project.interruption import Interrupted
from project.results import flatten


class RunDirectory(Callback):
    """Opens the run's directory when a fit has its data, with config.yaml and environment.yaml in it.

    A resumed run goes on in its directory: the first files stay, the next start adds config-2.yaml and so on.
    """

    def __init__(self, root: Path, experiment: str, config: str, held: ExitStack, loggers: bool = True) -> None:
        self.root, self.experiment, self.config, self.loggers = root, experiment, config, loggers
        self.held = held  # what is given back when the command ends
        self.path: Path | None = None
        self.first_step: int | None = None
        self.config_name = "config.yaml"

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
        if trainer.is_global_zero:
            self._open(trainer)
        self.path = trainer.strategy.broadcast(self.path)
        assert self.path is not None
        for checkpoint in trainer.checkpoint_callbacks:
            if isinstance(checkpoint, (Checkpoints, ModelCheckpoint)):
                checkpoint.dirpath = checkpoint.dirpath or str(self.path / runs.FOLDER)
        if self.loggers:
            trainer.loggers = self._make_loggers(self.path)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say how a run that was asked to stop is resumed, and end the processes that it started."""
        if isinstance(exception, Interrupted) and trainer.is_global_zero:
            if isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
                trainer.strategy.launcher.kill(signal.SIGKILL)  # in the final test they would wait for this one
            command = f"python {sys.argv[0]} fit --config {self.opened / self.config_name} --ckpt_path last"
            print(f"stopped by {exception} after {trainer.global_step} steps; resume with:\n{command}", flush=True)

    def _open(self, trainer: Trainer) -> None:
        described = yaml.safe_dump(environment(trainer), sort_keys=False)
        if self.path is None:
            files = {self.config_name: self.config, "environment.yaml": described}
            self.path = runs.create(self.root, self.experiment, files)
            self.held.callback(runs.lock(self.path).release)
            print(f"run {self.path}: {describe(trainer)}", flush=True)
            return
        print(f"continuing {self.path} after {self.first_step} steps: {describe(trainer)}", flush=True)
        starts = sorted(self.path.glob("config*.yaml"), key=lambda path: (len(path.name), path.name))
        for difference in _differences(starts[-1].read_text(), self.config):
            print(f"changed: {difference}", flush=True)
        ending = f"-{len(starts) + 1}.yaml"
        self.config_name = f"config{ending}"
        runs.write_text(self.path / f"environment{ending}", described)
        runs.write_text(self.path / self.config_name, self.config)

    def _make_loggers(self, path: Path) -> list[Any]:
        where: dict[str, Any] = {"save_dir": path.parents[1], "name": path.parent.name, "version": runs.number(path)}
        tensorboard = TensorBoardLogger(**where, default_hp_metric=False, purge_step=self.first_step)
        _ = tensorboard.experiment  # opens the first file, which purges; the files opened later, by the test, must not
        tensorboard._kwargs.pop("purge_step")
        return [tensorboard, ContinuedCSVLogger(self.first_step or 0, **where)]


def _differences(before: str, after: str) -> Iterator[str]:
    """The options in which two configurations differ, as `--name: old -> new`."""
    old, new = (flatten(yaml.safe_load(text)) for text in (before, after))
    for name in sorted((old.keys() | new.keys()) - {"ckpt_path", "config"}):
        if old.get(name) != new.get(name):
            yield f"--{name}: {old.get(name)} -> {new.get(name)}"


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


class _ContinuedWriter(ExperimentWriter):
    """Lightning's writer, but for what replaces the file, which happens at one go."""

    def __init__(self, log_dir: str, first_step: int) -> None:
        self.first_step = first_step
        super().__init__(log_dir)

    def _check_log_dir_exists(self) -> None:
        """Called before anything is written: keep the rows before the first step."""
        old = Path(self.metrics_file_path)
        whole_lines, _, _ = old.read_text().rpartition("\n") if old.exists() else ("",) * 3  # a kill may cut the last
        if not whole_lines:
            old.unlink(missing_ok=True)
            return
        reader = csv.DictReader(whole_lines.splitlines())
        self.metrics_keys = list(reader.fieldnames or [])
        self._replace([row for row in reader if int(row["step"]) < self.first_step])

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with open(self.metrics_file_path, newline="") as file:
            rows = list(csv.DictReader(file))
        self._replace(rows)

    def _replace(self, rows: Sequence[Mapping[str, Any]]) -> None:
        new = Path(self.metrics_file_path).with_suffix(".new")
        with new.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
        new.replace(self.metrics_file_path)
