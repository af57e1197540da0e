"""The command line: Lightning's, with this project's defaults, links, checks and messages."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar, WeightAveraging
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor

from project.callbacks.averaged_weights import ShortAverages
from project.callbacks.checkpoints import Checkpoints
from project.callbacks.compilation import Compilation
from project.callbacks.epoch_lines import EpochLines, EvaluationLines
from project.callbacks.evaluation_logits import EvaluationLogits
from project.callbacks.finite_loss import FiniteLoss
from project.callbacks.given_options import GivenOptions, check_kinds
from project.callbacks.lost_processes import LostProcesses
from project.callbacks.other_data import OtherData
from project.callbacks.pictures import Pictures
from project.callbacks.predictions import Predictions
from project.callbacks.progress_bar import EpochBar
from project.callbacks.resumed_length import ResumedLength
from project.callbacks.run_directory import RunDirectory
from project.callbacks.shared_cores import SharedCores
from project.callbacks.stopwatch import Stopwatch
from project.callbacks.trial_reports import TrialReports
from project.checkpoints.description import check_fits
from project.checkpoints.files import read, write
from project.cli.arguments import carried_over, replaced, user_modules
from project.cli.checkpoint_settings import with_checkpoint_settings
from project.cli.endings import endings
from project.cli.final_evaluation import FinalEvaluation
from project.cli.first_weights import take_first_weights, weights_file
from project.cli.messages import user_message
from project.cli.output import check_output_file
from project.cli.parser import CommandLine
from project.cli.preflight import check_fit, check_processes, try_parts
from project.cli.user_parts import Instantiator
from project.runs import directories
from project.runs.loggers import record
from project.runs.plan import Found, RunOptions, RunPlan, plan_evaluation, plan_fit
from project.runs.results import Result, write_test
from project.system.errors import UserError
from project.system.launch import is_first_process
from project.system.threads import threads
from project.system.yaml_text import load_yaml
from project.training.checkpoint_io import hand_over
from project.training.trainer import ExperimentTrainer


def run_experiment(words: list[str], trial: TrialReports | None = None) -> Result:
    """Run fit, validate, test or predict with the words of the command line; a fit perhaps as the trial of a search."""
    with ExitStack() as cleanup, user_modules(words), endings():  # cleanup sees how the command ends
        if "fit" in words[:1]:
            return ExperimentCLI(words, cleanup, trial=trial).result
        directory = Path(cleanup.enter_context(TemporaryDirectory()))
        words, found = with_checkpoint_settings(words, directory)
        return ExperimentCLI(words, cleanup, found).result


class ExperimentCLI(CommandLine):
    """fit, validate, test and predict for a Classifier on an ImageDataModule."""

    plan: RunPlan

    def __init__(
        self, words: list[str], cleanup: ExitStack, found: Found | None = None, trial: TrialReports | None = None
    ) -> None:
        """Run the command.

        Args:
            words: Of the command line.
            cleanup: Gives back at the command's end what it holds, such as the lock of a run.
            found: The checkpoint's path and content, if it was read for its settings.
            trial: The callback of a fit that is the trial of a search.
        """
        self.cleanup, self.found, self.trial = cleanup, found, trial
        self.result = Result()
        try:
            super().__init__(words)
        except Exception as error:  # of whatever kind, where a part of the user's own has raised it
            if isinstance(error, UserError) or not (line := user_message(error, vars(self).get("options"))):
                raise
            raise UserError(line) from error

    def before_instantiate_classes(self) -> None:
        """Find the run and its checkpoint, and see that the run can be written, before anything is built."""
        self.options = self.config[self.subcommand]
        for line in (*replaced(self.words), *carried_over(self.words, self.options)):
            rank_zero_only(print)(line, flush=True)
        if self.found is not None:
            path, checkpoint = self.found
            self.plan = RunPlan(checkpoint["experiment"], self._run_options().root, None, path, checkpoint)
        elif self.subcommand != "fit":
            self.plan = plan_evaluation(str(self.subcommand), self._run_options())
        else:
            plan = plan_fit(self._run_options(), self.cleanup, lock=is_first_process())
            self.plan = replace(plan, version=self.trial.version) if self.trial else plan
            if not self.options.trainer.fast_dev_run:
                directories.check_writable(self.plan.root, self.plan.experiment)
            self.options.model.weights = weights_file(self.options.model.weights, self.plan, self.words)
        if self.subcommand == "predict":
            self.predictions = self._predictions()
        self.options.ckpt_path = self.plan.checkpoint_path and str(self.plan.checkpoint_path)

    def _predictions(self) -> Path:
        """The file that predict writes, which is checked."""
        assert self.plan.checkpoint_path is not None
        path = Path(self.options.output or self.plan.checkpoint_path.with_suffix(".predictions.csv"))
        check_output_file(path, self.options.force, (".csv",))
        return path

    def _run_options(self) -> RunOptions:
        trainer = self.options.trainer
        is_named = any(word.partition("=")[0] == "--name" for word in self.words)  # not in a run's own config.yaml
        return RunOptions(
            root=Path(trainer.default_root_dir or ".") / directories.ROOT,
            configs=[] if is_named else [Path(str(path)) for path in self.options.config or ()],
            name=self.options.name,
            ckpt_path=self.options.ckpt_path,
            max_epochs=trainer.max_epochs,
            max_steps=trainer.max_steps,
        )

    def instantiate_classes(self) -> None:
        """Make all parts and try them; an error names the option that is to blame."""
        self.instantiator = Instantiator(self.options, self.words)
        try:
            self.config_init = self.parser.instantiate(self.config, instantiators=[(self.instantiator, object, True)])
        except Exception as error:
            raise self.instantiator.refusal or error from None
        self.parts = self.config_init[self.subcommand]
        self.datamodule, self.model = (self.parts[name] for name in ("data", "model"))
        self.config_text = self.command_parser.dump(self.options, skip_unset=False, skip_validation=True)
        self.settings: dict[str, Any] = load_yaml(self.config_text)
        self.model.run_description = self._description()
        self.trainer = self.instantiate_trainer()
        check_processes(self.trainer)
        processes = self.trainer.num_devices  # those of a trial share the threads that its worker has given
        count = max(1, torch.get_num_threads() // processes) if self.trial else self.options.threads
        self.cleanup.enter_context(threads(count, self._earlier_threads, processes))
        is_fit = self.subcommand == "fit"
        optimizer, schedule = try_parts(self.trainer, self.model, self.datamodule, self.options.model, is_fit)
        if is_fit:
            synchronised = self.options.trainer.sync_batchnorm
            check_fit(self.trainer, self.model, schedule, self.datamodule.val_size, synchronised)
            check_kinds(self.plan.checkpoint or {}, optimizer, schedule)
            if self.plan.resumed and self.plan.checkpoint:
                self.parts["checkpoints"].check_resumed(self.plan.checkpoint)
        if self.plan.checkpoint_path and self.plan.checkpoint:
            self._hand_over(self.plan.checkpoint_path, self.plan.checkpoint)
        else:
            take_first_weights(self.model)

    @property
    def _earlier_threads(self) -> int | None:
        """The number with which a resumed run began, if it has as many processes as then: its bits depend on it."""
        before = (self.plan.checkpoint or {}).get("environment", {}) if self.plan.resumed else {}
        return before.get("threads") if before.get("processes") == self.trainer.world_size else None

    def _description(self) -> dict[str, Any]:
        """The part of a checkpoint's description that comes from the options."""
        network, loss = (self.settings["model"][name] for name in ("network", "loss"))
        linked = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.instantiator.linked[type(self.model.network)].items()
        }
        return {
            "network": {**network, "init_args": network.get("init_args", {}) | linked},
            "loss": loss,
            "experiment": self.plan.experiment,
            "settings": {name: value for name, value in self.settings.items() if name not in ("ckpt_path", "config")},
        }

    def _hand_over(self, path: Path, checkpoint: dict[str, Any]) -> None:
        """Let Lightning load the checkpoint of the plan."""
        check_fits(path, checkpoint, self.model.state_dict(), self.datamodule.description())
        hand_over(self.trainer, path, checkpoint)
        self.found, self.plan = None, replace(self.plan, checkpoint=None)

    def instantiate_trainer(self, **options: Any) -> Trainer:
        """Add what every run does; a run's directory brings the loggers, unless the user has named some."""
        arguments = self.parts["trainer"]
        if arguments["fast_dev_run"] or arguments["barebones"]:
            return self._make_trainer({**arguments, **options})
        users = (
            [arguments["callbacks"]] if isinstance(arguments["callbacks"], Callback) else arguments["callbacks"] or []
        )
        if self.subcommand != "fit":
            options["enable_checkpointing"] = False
            users = [callback for callback in users if not isinstance(callback, Checkpoint | WeightAveraging)]
        callbacks = [*users, *self._callbacks()]
        if arguments["enable_progress_bar"] is None and not any(
            isinstance(callback, ProgressBar) for callback in users
        ):
            options["enable_progress_bar"] = sys.stdout.isatty()
            callbacks += [EpochBar()] if sys.stdout.isatty() else []
        resume_command = self.run_directory.resume_command if self.subcommand == "fit" else str
        callbacks.append(lost := LostProcesses(resume_command))  # after the bar, which brings the cursor back
        if self._has_default_loggers:
            options["logger"] = DummyLogger()  # some callbacks look for one before the run has its own
        trainer = self._make_trainer({**arguments, **options, "callbacks": callbacks})
        lost.watch(trainer)
        self.cleanup.callback(lost.stop)
        return trainer

    @property
    def _has_default_loggers(self) -> bool:
        return self.parts["trainer"]["logger"] in (None, True)

    def _make_trainer(self, options: dict[str, Any]) -> Trainer:
        try:
            return ExperimentTrainer(**options)
        except Exception as error:
            defaults = self.command_parser.get_defaults().trainer
            free = [name for name, value in self.options.trainer.items(nested=False) if value != defaults[name]]
            free.sort(key="callbacks".__eq__)  # last: if a switch forbids a callback, the switch is named
            if not free:
                raise
            hint = "" if isinstance(error, MisconfigurationException) else "--help shows what it takes"
            raise self.instantiator.blame(error, "trainer", ExperimentTrainer, options, free, hint) from error

    def _callbacks(self) -> list[Callback]:
        """This project's own, for the command."""
        if self.subcommand == "predict":
            return [Predictions(self.predictions)]
        checkpoint = self.plan.checkpoint
        checked = [] if checkpoint is None else [OtherData(self.options.ckpt_path, checkpoint)]
        if self.subcommand != "fit":
            return [EvaluationLines(), *checked]
        self.stopwatch, self.compilation = Stopwatch(), Compilation()
        settings = (self.config_text, self.settings)
        self.run_directory = RunDirectory(self.plan, *settings, self.cleanup, self._has_default_loggers)
        self.checkpoints: Checkpoints = self.parts["checkpoints"]
        self.logits = EvaluationLogits()
        measuring = [self.compilation, self.stopwatch, EpochLines(self.stopwatch)]
        callbacks = [*measuring, self.run_directory, GivenOptions(), FiniteLoss()]
        if checkpoint is not None:
            callbacks = [ResumedLength(self.options.ckpt_path, checkpoint), *callbacks]
        users = self.options.trainer.callbacks or []
        averages = ShortAverages(users if isinstance(users, list) else [users])
        checkpoints = [] if self.options.trainer.enable_checkpointing is False else [self.checkpoints]
        pictures = [Pictures(self.run_directory, self.stopwatch, self.logits)] if self.options.pictures else []
        trial = [self.trial] if self.trial else []
        return [*callbacks, *checked, self.logits, *pictures, averages, SharedCores(), *trial, *checkpoints]

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Checkpoints are read without running code from them, whatever plugin reads them."""
        options = {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}
        return {**options, "verbose": False} if subcommand in ("validate", "test") else options  # EvaluationLines print

    def after_validate(self) -> None:
        self.result = Result(figures=_numbers(self.trainer.callback_metrics))

    after_test = after_validate

    def after_predict(self) -> None:
        self.result = Result(predictions=self.predictions)

    def after_fit(self) -> None:
        """Test the best checkpoint once, or the last where nothing was validated; write and print the results."""
        if not any(isinstance(callback, Checkpoints) for callback in self.trainer.checkpoint_callbacks):
            return
        ranking, run = self.checkpoints.ranking, self.run_directory.opened
        path = self.checkpoints.path("best" if ranking.entries else "last")
        checkpoint = {name: value for name, value in read(path).items() if name != "calibration"}
        # Gathered before the test, which brings every callback back to where it was when the checkpoint was written.
        measured = _numbers(checkpoint["callback_metrics"])
        figures = {
            ranking.monitor: ranking.best_value,
            **{name: value for name, value in measured.items() if name.startswith("val/")},
            "checkpoint": str(path.relative_to(run)),
            "epochs": self.trainer.current_epoch,
            "steps": self.trainer.global_step,
            "train_seconds": self.stopwatch.train_seconds,
            "fit_seconds": self.stopwatch.fit_seconds,
            **self.compilation.figures,
        }
        evaluation = FinalEvaluation(self.trainer, self.datamodule, self.logits, path)
        if calibration := evaluation.calibrate(checkpoint):
            checkpoint["calibration"] = calibration
        self.result = Result(run, {**evaluation.test(checkpoint), **figures, **evaluation.per_class()})
        if self.trainer.is_global_zero:
            test = self.logits.test
            write_test(run, test.arrays(self.datamodule.test, self.datamodule.class_names) if test else {})
            write({**checkpoint, "figures": dict(self.result.figures)}, path)
            record(self.result, self.trainer.loggers)


def _numbers(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: value.item() for name, value in metrics.items()}
