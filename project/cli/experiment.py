"""The command line: Lightning's, with this project's defaults, links, checks and messages."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar, WeightAveraging
from lightning.pytorch.loggers.logger import DummyLogger

from project.callbacks import (
    Checkpoints,
    EpochBar,
    EpochLines,
    EvaluationLines,
    FiniteLoss,
    GivenOptions,
    LostProcesses,
    Predictions,
    ResumedLength,
    RunDirectory,
    SharedCores,
    ShortAverages,
    Stopwatch,
)
from project.callbacks.given_options import check_kinds
from project.checkpoints.files import TRAINING_KEYS, CheckpointFiles, check_keys, read
from project.cli.arguments import carried_over, replaced
from project.cli.messages import user_message
from project.cli.parser import CommandLine, Parser, is_first_process
from project.cli.preflight import check_fit, try_parts
from project.cli.user_parts import Instantiator
from project.data import ImageDataModule
from project.data.run_length import saved_position
from project.networks import TorchvisionModel
from project.networks.pretrained import load_weights
from project.runs import directories as runs
from project.runs import results
from project.system.errors import UserError
from project.system.signals import job, requeued
from project.training.classifier import Classifier
from project.training.trainer import ExperimentTrainer


class ExperimentCLI(CommandLine):
    """fit, validate, test and predict for a Classifier on an ImageDataModule."""

    def __init__(self, args: list[str] | None, held: ExitStack) -> None:
        self.held = held  # what is given back when the command ends
        self.words = sys.argv[1:] if args is None else args
        try:
            super().__init__(
                Classifier,
                ImageDataModule,
                save_config_callback=None,  # RunDirectory saves it, also for a resumed run
                trainer_class=ExperimentTrainer,
                parser_class=Parser,
                subclass_mode_data=True,
                args=args,
                auto_configure_optimizers=False,  # Classifier's own steps a schedule every batch
                load_from_checkpoint_support=False,
            )
        except Exception as error:  # of whatever kind, where a part of the user's own has raised it
            if isinstance(error, UserError) or not (line := user_message(error, vars(self).get("options"))):
                raise
            raise UserError(line) from error

    def _parse_ckpt_path(self) -> None:
        """Nothing: Lightning's own lets what is saved in a checkpoint win over the command line."""

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint and see that the run can be written, before anything is built."""
        self.options = self.config[self.subcommand]
        for line in (*replaced(self.words), *carried_over(self.words, self.options)):
            rank_zero_only(print)(line, flush=True)
        named = any(word.partition("=")[0] == "--name" for word in self.words)  # not in a run's own config.yaml
        self.configs = [] if named else [Path(str(path)) for path in self.options.config or ()]
        self.experiment = runs.experiment_name(self.configs, self.options.name)
        self.root = Path(self.options.trainer.default_root_dir or ".") / runs.ROOT
        self.resumed: Path | None = None
        self.checkpoint: dict[str, Any] | None = None
        if self.subcommand == "fit":
            self._find_run()
            if not self.options.trainer.fast_dev_run:
                runs.check_writable(self.root, self.experiment)
        elif self.options.ckpt_path is None:
            raise UserError(f"{self.subcommand} needs trained weights: give --ckpt_path best, last or a file")
        if self.options.ckpt_path in runs.SPECIAL:
            self._go_on_from(runs.find_checkpoint(self.root, self.experiment, self.options.ckpt_path, self.configs))
        elif self.options.ckpt_path and self.checkpoint is None:
            self.checkpoint = read(Path(self.options.ckpt_path))
        if self.subcommand == "fit" and self.checkpoint is not None:
            self._check_limits(self.checkpoint)

    def _check_limits(self, checkpoint: dict[str, Any]) -> None:
        check_keys(Path(self.options.ckpt_path), checkpoint, TRAINING_KEYS)
        for limit, done in (("max_epochs", checkpoint["epoch"]), ("max_steps", checkpoint["global_step"])):
            asked = self.options.trainer[limit] or 0
            if 0 < asked < done:
                raise UserError(f"--trainer.{limit} {asked}: {self.options.ckpt_path} is at {done}; give at least that")

    def _find_run(self) -> None:
        """Find the run to go on with, where that is asked for, keep others from it, and find where it goes on."""
        asked = self.options.ckpt_path == "last"
        if not (asked or (self.options.ckpt_path is None and requeued())):
            return
        self.resumed = runs.to_resume(self.root, self.experiment, self.configs, None if asked else job())
        if self.resumed is None:
            if asked:
                where = self.root / self.experiment
                raise UserError(f"--ckpt_path last: no run in {where}; start one without it, or {runs.NAME_A_RUN}")
            return
        if is_first_process():
            self.held.callback(runs.lock(self.resumed).release)
        limits = self.options.trainer
        if far := runs.finished(self.resumed, limits.max_epochs or 0, limits.max_steps):
            raise UserError(
                f"--ckpt_path last: {self.resumed} has finished {far}; ask for more with --trainer.max_epochs or "
                "--trainer.max_steps, or start a new run without --ckpt_path"
            )
        self._go_on_from(runs.newest_whole(self.resumed))

    def _go_on_from(self, found: runs.Found | None) -> None:
        path, self.checkpoint = found or (None, None)
        self.options.ckpt_path = path and str(path)

    def instantiate_classes(self) -> None:
        """Make all parts and try them; an error names the option that is to blame."""
        self.maker = Instantiator(self.options, self.words)
        try:
            self.config_init = self.parser.instantiate(self.config, instantiators=[(self.maker, object, True)])
        except Exception as error:
            raise self.maker.refusal or error from None
        self.made = self.config_init[self.subcommand]
        self.datamodule, self.model = (self.made[part] for part in ("data", "model"))
        self.trainer = self.instantiate_trainer()
        training = self.subcommand == "fit"
        made = try_parts(self.trainer, self.model, self.datamodule, self.options.model, training)
        if training:
            synchronised = self.options.trainer.sync_batchnorm
            check_fit(self.trainer, self.model, made[1], self.datamodule.val_size, synchronised)
            check_kinds(self.checkpoint or {}, *made)
        if self.checkpoint is not None:
            path = Path(self.options.ckpt_path)
            runs.check_fits(path, self.checkpoint, self.model.state_dict(), self.datamodule)
            if isinstance(files := self.trainer.strategy.checkpoint_io, CheckpointFiles):
                files.hand_over(path, self.checkpoint)
            self.checkpoint = None  # who loads it keeps what is needed of it
        elif isinstance(self.model.network, TorchvisionModel):
            load_weights(self.model.network)  # a checkpoint brings its own

    def instantiate_trainer(self, **options: Any) -> Trainer:
        """Add what every run does; a run's directory brings the loggers, unless others are asked for."""
        given = self.made["trainer"]
        if given["fast_dev_run"] or given["barebones"]:
            return self._make_trainer({**given, **options})
        default_loggers = given["logger"] in (None, True)
        logger = DummyLogger() if default_loggers else given["logger"]  # some callbacks look for one before the run's
        asked = [given["callbacks"]] if isinstance(given["callbacks"], Callback) else given["callbacks"] or []
        if self.subcommand != "fit":
            options["enable_checkpointing"] = False
            asked = [one for one in asked if not isinstance(one, Checkpoint | WeightAveraging)]  # of a fit alone
        callbacks = [*asked, *self._own_callbacks(default_loggers)]
        if given["enable_progress_bar"] is None and not any(isinstance(one, ProgressBar) for one in asked):
            options["enable_progress_bar"] = sys.stdout.isatty()
            callbacks += [EpochBar()] if sys.stdout.isatty() else []
        options |= {"callbacks": callbacks, "logger": logger}
        resume_command = self.run_directory.resume_command if self.subcommand == "fit" else str
        callbacks.append(lost := LostProcesses(resume_command))  # after the bar, which brings the cursor back
        trainer = self._make_trainer({**given, **options})
        lost.watch(trainer)
        self.held.callback(lost.stop)
        return trainer

    def _make_trainer(self, options: dict[str, Any]) -> Trainer:
        defaults = self.command_parser.get_defaults().trainer
        free = [name for name, value in self.options.trainer.items(nested=False) if value != defaults[name]]
        try:
            return ExperimentTrainer(**options)
        except Exception as error:
            if not free:
                raise
            more = "" if isinstance(error, MisconfigurationException) else "--help shows what it takes"
            raise self.maker.blame(error, "trainer", ExperimentTrainer, options, free, more) from error

    def _own_callbacks(self, default_loggers: bool) -> list[Callback]:
        if self.subcommand == "predict":
            return [Predictions(Path(self.options.ckpt_path).with_suffix(".predictions.csv"))]
        if self.subcommand != "fit":
            return [EvaluationLines()]
        self.stopwatch = Stopwatch()
        settings = self.command_parser.dump(self.options, skip_unset=False)
        self.run_directory = RunDirectory(self.root, self.experiment, settings, self.held, default_loggers)
        if self.resumed is not None:
            self.run_directory.resume(self.resumed, self.checkpoint["global_step"] if self.checkpoint else 0)
        self.checkpoints: Checkpoints = self.made["checkpoints"]
        parts = [self.stopwatch, EpochLines(self.stopwatch), self.run_directory, GivenOptions(), FiniteLoss()]
        if self.checkpoint is not None:
            parts = [ResumedLength(self.options.ckpt_path, saved_position(self.checkpoint)), *parts]
        kept = [] if self.options.trainer.enable_checkpointing is False else [self.checkpoints]
        given = self.options.trainer.callbacks or []
        averages = ShortAverages(given if isinstance(given, list) else [given])
        return [*parts, averages, SharedCores(), *kept]

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Checkpoints are read without running code from them, whatever plugin reads them."""
        given = {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}
        return {**given, "verbose": False} if subcommand in ("validate", "test") else given  # EvaluationLines prints

    def after_fit(self) -> None:
        """Test the best checkpoint once, or the last where nothing was validated; write and print the results."""
        if not any(isinstance(callback, Checkpoints) for callback in self.trainer.checkpoint_callbacks):
            return
        score, run = self.checkpoints.best_score, self.run_directory.opened
        path = self.checkpoints.path("last" if score is None else "best")
        # Gathered before the test, which brings every callback back to where it was when the checkpoint was written.
        figures = {
            "val/accuracy": score,
            "checkpoint": str(path.relative_to(run)),
            "epochs": self.trainer.current_epoch,
            "steps": self.trainer.global_step,
            "train_seconds": self.stopwatch.train_seconds,
            "fit_seconds": self.stopwatch.fit_seconds,
        }
        # It would put the weights of the last step in place of the averaged ones that the checkpoint brings.
        trainer: Any = self.trainer
        trainer.callbacks = [one for one in trainer.callbacks if not isinstance(one, WeightAveraging)]
        tested = {"datamodule": self.datamodule, "ckpt_path": path, "weights_only": True, "verbose": False}
        (measured,) = self.trainer.test(self.model, **tested) or [{}]  # none with --trainer.limit_test_batches 0
        if self.trainer.is_global_zero:
            settings = json.loads(self.command_parser.dump(self.options, format="json"))
            results.record(run, {**measured, **figures}, settings, self.trainer)
