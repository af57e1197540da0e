"""The files of a run: its settings, its environment, its metrics."""

import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from project.callbacks.checkpoints import Checkpoints
from project.runs import directories
from project.runs.environment import environment, summary
from project.runs.loggers import Curves, MetricsTable
from project.runs.plan import RunPlan
from project.runs.settings import exact, flatten, shown_settings
from project.system.files import atomic_write
from project.system.signals import Interrupted
from project.system.yaml_text import load_yaml

BITS = ("packages.torch", "cpu", "threads")  # of the environment: the last digits of figures depend on them


class RunDirectory(Callback):
    """Makes the run directory, with config.yaml and environment.yaml, as soon as a fit has its data.

    A resumed run goes on in its run directory. The first files stay; each further start adds config-2.yaml and so on.
    """

    def __init__(
        self, plan: RunPlan, config: str, settings: Mapping[str, Any], cleanup: ExitStack, loggers: bool = True
    ) -> None:
        """Plan the directory; it is opened when the fit has its data.

        Args:
            plan: Where the run is, and from which step a resumed run goes on.
            config: The text of config.yaml.
            settings: What config.yaml contains.
            cleanup: Releases the run's lock when the command ends.
            loggers: Log to metrics.csv and TensorBoard.
        """
        self.root, self.experiment = plan.root, plan.experiment
        self.config, self.settings, self.cleanup, self.loggers = config, settings, cleanup, loggers
        self.path, self.version = plan.resumed, plan.version
        self.first_step = plan.first_step if plan.resumed else None
        self.config_name = ""  # of this start, once it is written

    @property
    def opened(self) -> Path:
        """The run directory, after the fit has begun."""
        assert self.path is not None
        return self.path

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if trainer.is_global_zero:
            self._open(trainer)
        self.path, self.config_name = trainer.strategy.broadcast((self.path, self.config_name))
        assert self.path is not None
        for checkpoint in trainer.checkpoint_callbacks:
            if isinstance(checkpoint, (Checkpoints, ModelCheckpoint)):
                checkpoint.dirpath = checkpoint.dirpath or str(self.path / directories.CHECKPOINTS)
        if self.loggers:
            trainer.loggers = [Curves(self.path, self.first_step), MetricsTable(self.path, self.first_step or 0)]
        if trainer.is_global_zero:
            self._write_settings(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Print the command that resumes a stopped run."""
        if isinstance(exception, Interrupted) and trainer.is_global_zero:
            line = f"stopped by {exception} after {trainer.global_step} steps; resume with:"
            print(line, self.resume_command(), sep="\n", flush=True)

    def resume_command(self) -> str:
        """The command that resumes this run; empty if the run has not begun."""
        if self.path is None or not self.config_name:
            return ""
        program = sys.argv[0] if sys.argv[0].endswith("main.py") else "scripts/main.py"  # a notebook has another
        return f"python {program} fit --config {self.path / self.config_name} --ckpt_path last"

    def _open(self, trainer: Trainer) -> None:
        described = {"experiment": self.experiment, **environment(trainer)}
        model: Any = trainer.lightning_module
        model.run_description["environment"] = described
        environment_text = yaml.safe_dump(described, sort_keys=False, default_flow_style=None, width=120)
        if self.path is None:
            files = {directories.CONFIG: self.config, directories.ENVIRONMENT: environment_text}
            self.path = directories.create_run(self.root, self.experiment, files, self.version)
            self.config_name = directories.CONFIG
            self.cleanup.callback(directories.lock_run(self.path).release)
            self.cleanup.push(partial(self._remove_unused, trainer))
            print(f"run {self.path}: {summary(trainer)}", flush=True)
            return
        print(f"continuing {self.path} after {self.first_step} steps: {summary(trainer)}", flush=True)
        starts = directories.config_files(self.path)
        before = self.path / starts[-1].name.replace("config", "environment")
        for difference in _differences(before.read_text("utf-8"), environment_text, BITS):
            print(f"changed: {difference}", flush=True)
        for difference in _differences(starts[-1].read_text("utf-8"), self.config):
            print(f"changed: --{difference}", flush=True)
        ending = f"-{len(starts) + 1}.yaml"
        for name, text in ((f"environment{ending}", environment_text), (f"config{ending}", self.config)):
            with atomic_write(self.path / name) as unfinished:
                unfinished.write_text(text, "utf-8")
        self.config_name = f"config{ending}"

    def _write_settings(self, trainer: Trainer) -> None:
        """Show the run on TensorBoard's HPARAMS page, as `convnet 3`, since that page cuts longer names."""
        name = f"{self.experiment} {self.opened.name.removeprefix('version_')}"
        trial = str(Path(self.root.parent.name) / name)  # with --trainer.default_root_dir, another run has that name
        metrics = (self.settings["checkpoints"]["monitor"], "test/accuracy", "test/loss")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                from project.runs.hyperparameters import write_start  # imports TensorBoard

                write_start(Path(logger.log_dir), trial, shown_settings(self.settings), metrics)

    def _remove_unused(self, trainer: Trainer, kind: object, error: BaseException | None, where: object) -> None:
        """Delete the run directory if a mistake of the user ended the command before the first batch."""
        begun = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        if isinstance(error, SystemExit) and error.code == 2 and not begun:
            shutil.rmtree(self.opened, ignore_errors=True)


def _differences(before: str, after: str, names: Collection[str] = ()) -> Iterator[str]:
    """In which of these settings two files differ, as `name: old -> new`; without names, in which options of a run."""
    old, new = (flatten(load_yaml(text)) for text in (before, after))
    for name in names or sorted((old.keys() | new.keys()) - {"ckpt_path", "config", "threads"}):
        old_value, new_value = old.get(name, "null"), new.get(name, "null")
        if exact(old_value) != exact(new_value):
            yield f"{name}: {old_value} -> {new_value}"
