"""The files of a run: its settings, its environment, its metrics."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from project.callbacks.checkpoints import Checkpoints
from project.runs import directories as runs
from project.runs.environment import describe, environment
from project.runs.metrics_table import Curves, MetricsTable
from project.runs.results import flatten
from project.system.files import atomic_write
from project.system.signals import Interrupted


class RunDirectory(Callback):
    """Opens the run's directory when a fit has its data, with config.yaml and environment.yaml in it.

    A resumed run goes on in its directory: the first files stay, the next start adds config-2.yaml and so on.
    """

    def __init__(self, root: Path, experiment: str, config: str, held: ExitStack, loggers: bool = True) -> None:
        self.root, self.experiment, self.config, self.loggers = root, experiment, config, loggers
        self.held = held  # what is given back when the command ends
        self.path: Path | None = None
        self.first_step: int | None = None
        self.config_name = ""  # of this start, once it is written

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
            run = (self.path, lambda: trainer.fit_loop.epoch_progress.current.ready)
            trainer.loggers = [Curves(*run, self.first_step), MetricsTable(*run, self.first_step or 0)]

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say how a run that was asked to stop is resumed."""
        if isinstance(exception, Interrupted) and trainer.is_global_zero:
            said = f"stopped by {exception} after {trainer.global_step} steps; resume with:"
            print(said, self.resume_command(), sep="\n", flush=True)

    def resume_command(self) -> str:
        """What resumes this run; empty where it has not begun."""
        begun = self.path is not None and self.config_name
        return f"python {sys.argv[0]} fit --config {self.opened / self.config_name} --ckpt_path last" if begun else ""

    def _open(self, trainer: Trainer) -> None:
        described = yaml.safe_dump(environment(trainer), sort_keys=False)
        if self.path is None:
            files = {"config.yaml": self.config, "environment.yaml": described}
            self.path = runs.create(self.root, self.experiment, files)
            self.config_name = "config.yaml"
            self.held.callback(runs.lock(self.path).release)
            self.held.push(partial(self._remove_unused, trainer))
            print(f"run {self.path}: {describe(trainer)}", flush=True)
            return
        print(f"continuing {self.path} after {self.first_step} steps: {describe(trainer)}", flush=True)
        starts = sorted(self.path.glob("config*.yaml"), key=lambda path: (len(path.name), path.name))
        for difference in _differences(starts[-1].read_text(), self.config):
            print(f"changed: {difference}", flush=True)
        ending = f"-{len(starts) + 1}.yaml"
        for name, text in ((f"environment{ending}", described), (f"config{ending}", self.config)):
            with atomic_write(self.path / name) as unfinished:
                unfinished.write_text(text)
        self.config_name = f"config{ending}"

    def _remove_unused(self, trainer: Trainer, kind: object, error: BaseException | None, where: object) -> None:
        """Leave no run behind where a mistake of the user's ended the command before the first batch."""
        begun = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        if isinstance(error, SystemExit) and error.code == 2 and not begun:
            shutil.rmtree(self.opened, ignore_errors=True)


def _differences(before: str, after: str) -> Iterator[str]:
    """The options in which two configurations differ, as `--name: old -> new`."""
    old, new = (flatten(yaml.safe_load(text)) for text in (before, after))
    for name in sorted((old.keys() | new.keys()) - {"ckpt_path", "config"}):
        if old.get(name) != new.get(name):
            yield f"--{name}: {old.get(name)} -> {new.get(name)}"
