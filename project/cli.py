"""The command line: Lightning's, with this project's defaults, links, checks and messages."""

import json
import logging
import re
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from project import results, runs
from project.callbacks import EpochLines, Predictions, RunDirectory, Stopwatch
from project.classifier import Classifier
from project.data import ImageDataModule
from project.errors import UserError
from project.memory import keep_freed_memory
from project.messages import check_config_files, explain
from project.trainer import ExperimentTrainer

RESUME_HELP = """last goes on with the experiment's newest run, in its own directory. A file, or best, starts a new run
from that state. None starts from the beginning."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one command, as the shell gives it. A user's mistake ends in one `error:` line and exit code 2.

    Args:
        args: The words after the program's name; None takes them from the shell.
    """
    _quieten()
    keep_freed_memory()
    try:
        check_config_files(sys.argv[1:] if args is None else args)
        ExperimentCLI(args=None if args is None else list(args))
    except UserError as error:
        _fail(str(error))


class Parser(LightningArgumentParser):
    """Says what is wrong in one line, and knows no abbreviations: a misspelt option is never taken for another."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, allow_abbrev=False)

    def format_help(self, *args: Any) -> str:
        """Without the hundreds of classes that torch knows as modules."""
        return re.sub(r",\s+known\s+subclasses:[^()]{1500,}\)", ")", super().format_help(*args))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a class's own parser, whose message becomes part of a longer one
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        _fail(explain(message, [action.dest for action in parser._actions]))


class ExperimentCLI(LightningCLI):
    """fit, validate, test and predict for a Classifier on an ImageDataModule."""

    def __init__(self, args: list[str] | None) -> None:
        super().__init__(
            Classifier,
            ImageDataModule,
            save_config_callback=None,  # RunDirectory saves it, also for a resumed run
            trainer_class=ExperimentTrainer,
            seed_everything_default=0,
            parser_class=Parser,
            subclass_mode_data=True,
            args=args,
            auto_configure_optimizers=False,  # Classifier's own steps a schedule every batch
            load_from_checkpoint_support=False,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        # Checkpoints are always read without running code from them, so weights_only is no option.
        hidden = {"weights_only", "verbose", "return_predictions"}
        return {command: skip | hidden for command, skip in LightningCLI.subcommands().items()}

    def setup_parser(self, *args: Any) -> None:
        super().setup_parser(*args)
        for command, parser in self._subcommand_parsers.items():
            (option,) = (action for action in parser._actions if action.dest == "ckpt_path")
            option.help = RESUME_HELP if command == "fit" else "A checkpoint's file, or best or last: the newest run's."

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults(
            {
                "data": {"class_path": "project.data.CIFAR10"},
                "model.loss": {"class_path": "torch.nn.CrossEntropyLoss"},
                "trainer.max_epochs": 10,
                "trainer.num_sanity_val_steps": 0,  # costs more than it tells: the tests run every config
                "trainer.enable_model_summary": False,
            }
        )
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=_checked_seed)
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")
        parser.link_arguments("data.num_classes", "model.network.init_args.num_classes", apply_on="instantiate")
        parser.link_arguments("data.image_shape", "model.network.init_args.image_shape", apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Nothing: Lightning's own lets what is saved in a checkpoint win over the command line."""

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint and see that the run can be written, before anything is built."""
        self.options = self.config[self.subcommand]
        self.experiment = runs.experiment_name([Path(str(path)) for path in self.options.config or ()])
        self.root = Path(self.options.trainer.default_root_dir or ".") / runs.ROOT
        self.resumes = self.subcommand == "fit" and self.options.ckpt_path == "last"
        self.checkpoint = self._read_checkpoint()
        if self.subcommand == "fit" and not self.options.trainer.fast_dev_run:
            runs.check_writable(self.root)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        path = self.options.ckpt_path
        if path is None:
            if self.subcommand != "fit":
                raise UserError(f"{self.subcommand} needs trained weights: give --ckpt_path best, last or a file")
            return None
        if path in runs.SPECIAL:
            path = self.options.ckpt_path = str(runs.find_checkpoint(self.root, self.experiment, path))
        if self.resumes and 0 < (self.options.trainer.max_epochs or 0) <= results.epochs_done(Path(path).parents[1]):
            raise UserError(
                f"--ckpt_path last: {Path(path).parents[1]} has finished its {self.options.trainer.max_epochs} epochs; "
                "ask for more with --trainer.max_epochs, or start a new run without --ckpt_path"
            )
        return runs.read_checkpoint(Path(path))

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except MisconfigurationException as error:
            accelerator = self.options.trainer.accelerator
            asked = "--trainer" if accelerator == "auto" else f"--trainer.accelerator {accelerator}"
            raise UserError(f"{asked}: {error} Change the trainer's options to what this machine has") from error
        except ValueError as error:
            raise UserError(_root_cause(error)) from error
        self._try_parts()
        if self.checkpoint is not None:
            data = type(self.datamodule).__qualname__
            runs.check_fits(Path(self.options.ckpt_path), self.checkpoint, self.model.state_dict(), data)

    def _try_parts(self) -> None:
        """Use optimizer, schedule and loss once, to hear now, not after the data is read, what is out of range."""
        option = "optimizer"
        try:
            self.model.make_optimizer(total_steps=100)
            option = "loss"
            self.model.loss(torch.zeros(1, self.datamodule.num_classes), torch.zeros(1, dtype=torch.long))
        except (ValueError, RuntimeError) as error:
            name = self.options.model[option].class_path
            raise UserError(f"--model.{option} {name}: {error}; give a value in its range") from error

    def instantiate_trainer(self, **options: Any) -> Trainer:
        """Add what every run does; a run's directory brings the loggers, unless others are asked for."""
        given = self._get(self.config_init, "trainer")
        if given["fast_dev_run"] or given["barebones"]:
            return super().instantiate_trainer(**options)
        bar = given["enable_progress_bar"] is not False and sys.stdout.isatty()
        default_loggers = given["logger"] in (None, True)
        logger = False if default_loggers else given["logger"]
        asked = [given["callbacks"]] if isinstance(given["callbacks"], Callback) else given["callbacks"] or ()
        callbacks = [*asked, *self._own_callbacks(default_loggers)]
        callbacks += [RichProgressBar()] if bar else []
        options |= {"callbacks": callbacks, "logger": logger, "enable_progress_bar": bar}
        if self.subcommand != "fit":
            options["enable_checkpointing"] = False
        return super().instantiate_trainer(**options)

    def _own_callbacks(self, default_loggers: bool) -> list[Callback]:
        if self.subcommand == "predict":
            return [Predictions(Path(self.options.ckpt_path).with_suffix(".predictions.csv"))]
        if self.subcommand != "fit":
            return []
        self.stopwatch = Stopwatch()
        settings = self._parser("fit").dump(self.options, skip_unset=False)
        self.run_directory = RunDirectory(self.root, self.experiment, settings, default_loggers)
        if self.resumes:
            assert self.checkpoint is not None
            self.run_directory.resume(Path(self.options.ckpt_path).parents[1], self.checkpoint["global_step"])
        # Two, since save_last links to the newest best, not to the newest. Both save when a training epoch ends: what
        # is saved when a validation ends would run that epoch's end again on resume.
        saved = partial(ModelCheckpoint, save_on_train_epoch_end=True, enable_version_counter=False)
        self.checkpoints = [saved(filename="best", monitor="val/accuracy", mode="max"), saved(filename="last")]
        if self.options.trainer.enable_checkpointing is False:
            self.checkpoints = []
        return [self.stopwatch, EpochLines(self.stopwatch), self.run_directory, *self.checkpoints]

    def after_fit(self) -> None:
        """Test the best checkpoint once, or the last where nothing was validated; write and print the results."""
        chosen = next((one for one in getattr(self, "checkpoints", ()) if one.best_model_path), None)
        if chosen is None:
            return
        path, run = Path(chosen.best_model_path), self.run_directory.opened
        score = chosen.best_model_score if chosen.monitor else None
        # Gathered before the test, which brings every callback back to where it was when the checkpoint was written.
        figures = {
            "val/accuracy": None if score is None else score.item(),
            "checkpoint": str(path.relative_to(run)),
            "epochs": self.trainer.current_epoch,
            "steps": self.trainer.global_step,
            "train_seconds": self.stopwatch.train_seconds,
            "fit_seconds": self.stopwatch.fit_seconds,
        }
        (measured,) = self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=path, verbose=False)
        if self.trainer.is_global_zero:
            settings = json.loads(self._parser("fit").dump(self.options, format="json"))
            results.record(run, {**measured, **figures}, settings, self.trainer)


def _checked_seed(seed: bool | int) -> int:
    if not 0 <= seed < 2**32:
        raise ValueError(f"--seed_everything {seed}: give a whole number from 0 to {2**32 - 1}")
    return int(seed)


def _root_cause(error: BaseException) -> str:
    """What was raised first: the parser wraps what a class says of its options."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error)


def _quieten() -> None:
    """Turn off what Lightning says of itself; what a run's reader needs, the project prints."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        "LightningCLI's args parameter",  # a program that calls main([...]) has arguments of its own
        "Checkpoint directory .* exists and is not empty",  # it is the resumed run's
        "Be aware that when using `ckpt_path`, callbacks used",  # a checkpoint serves test and predict without them
        "The dirpath has changed",  # a run that starts from another's checkpoint has a best of its own
        "Couldn't infer the batch indices",  # Predictions knows them
        "You're resuming from a checkpoint that ended before the epoch ended",  # TrainingBatches goes on exactly
        r"`ModelCheckpoint\(monitor='val/accuracy'\)` could not find",  # nothing was validated: the last one is tested
        "Total length of `EvaluationBatches` across ranks is zero",  # val_size 0 asks for no validation
        r"The number of training batches .* is smaller than the logging interval",  # each epoch is logged as well
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # in Lightning's own code
    ):
        warnings.filterwarnings("ignore", f".*{message}")


def _fail(message: str) -> NoReturn:
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
