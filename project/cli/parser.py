"""The command line's options, and what their parser says of a mistake."""

import inspect
import sys
from collections.abc import Sequence
from copy import deepcopy
from numbers import Number
from pydoc import locate
from typing import Any, NoReturn

import torch
import yaml
from jsonargparse import Namespace
from jsonargparse.typing import register_type
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch import Tensor

from project import data, networks
from project.callbacks.checkpoints import Checkpoints
from project.cli.arguments import asks_for_help, asks_for_settings
from project.cli.classes import parameters
from project.cli.commands import ALLOW, CKPT_PATH, THREADS
from project.cli.endings import fail
from project.cli.messages import explain
from project.cli.user_parts import class_settings
from project.cli.values import check_values
from project.data import ImageDataModule
from project.data.image_transforms import CONTAINERS, Transform
from project.training.classifier import Classifier
from project.training.trainer import ExperimentTrainer

RESUME_HELP = """last goes on with the experiment's newest run, in its own directory, or with the run whose config.yaml
is given. A file, or best, starts a new run from that state. None starts from the beginning."""

PICTURES_HELP = """Draw pictures of a fit into the run's directory pictures, and for TensorBoard: the first training
batch, the confusion matrix, each class, reliability, the most confident mistakes, curves."""
PREDICTIONS_HELP = "The CSV file to write; by default beside the checkpoint, as in best.predictions.csv."
PICTURES = True  # the default
PARSERS: dict[tuple[Any, ...], dict[str, Any]] = {}
"""The attributes that setup_parser sets, for each command, once in a process: building takes as long as parsing."""


def _to_tensor(numbers: Any) -> Tensor:
    """float32, as the weights of a loss are, also of whole numbers."""
    try:
        tensor = torch.tensor(numbers, dtype=torch.float32)
        if tensor.ndim and tensor.isfinite().all():
            return tensor
    except (ValueError, TypeError, RuntimeError):
        pass
    raise ValueError("Expected a Tensor")  # in the parser's words


def _to_numbers(tensor: Tensor) -> Any:
    """The shortest decimal numbers that are these: 0.1, not 0.10000000149011612."""
    return tensor.numpy().astype(str).astype(float).tolist()


def _number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ValueError("Expected a number")


register_type(Tensor, _to_numbers, _to_tensor)  # an argument of any class that is a Tensor is given as a list
register_type(Number, _number, _number)  # the degrees of torchvision's rotations; the parser takes it for a class


class Parser(LightningArgumentParser):
    """Says what is wrong in one line, and knows no abbreviations: a misspelt option is never taken for another."""

    words: Sequence[str] = ()  # of the command line
    is_complete = False  # whether it has all its options, so that their defaults stay the same
    defaults: Namespace | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, allow_abbrev=False)

    def get_defaults(self, skip_validation: bool = False, **options: Any) -> Namespace:
        """The default of each option. Each command needs them, and to find them takes as long as to read its words."""
        if not (self.is_complete and skip_validation):
            return super().get_defaults(skip_validation, **options)
        self.defaults = self.defaults or super().get_defaults(skip_validation, **options)
        return self.defaults.clone()

    def instantiate_classes(self, cfg: Any, **options: Any) -> Any:
        """What Lightning calls, by the method that took its place in jsonargparse."""
        return self.instantiate(cfg, **options)

    def dump(self, cfg: Namespace, **options: Any) -> str:
        """Leave out the defaults of classes that no YAML file can contain; the classes still use them."""
        copied = deepcopy(cfg)
        for (_, settings), (_, written) in zip(class_settings(cfg), class_settings(copied), strict=True):
            for name in _objects(settings):
                del written.init_args[name]
        return str(super().dump(copied, **options))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a class's own parser, whose message becomes part of a longer one
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        fail(explain(message, [action.dest for action in parser._actions], self.words))


class CommandLine(LightningCLI):
    """The options of all commands: this project's defaults, what is linked, and what is checked at once."""

    def __init__(self, words: Sequence[str]) -> None:
        """Parse the words of the command line, of which the first is the command, and run it."""
        self.words = words
        super().__init__(
            Classifier,
            ImageDataModule,
            save_config_callback=None,  # RunDirectory saves it, also for a resumed run
            trainer_class=ExperimentTrainer,
            parser_class=Parser,
            subclass_mode_data=True,
            args=list(words),
            auto_configure_optimizers=False,  # Classifier's own steps a schedule every batch
            load_from_checkpoint_support=False,
        )

    def _parse_ckpt_path(self) -> None:
        """Nothing: Lightning's own lets what is saved in a checkpoint win over the command line."""

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The command that is asked for, since the options of each take a tenth of a second; all, if it is none."""
        # Checkpoints are always read without running code from them, so weights_only is no option.
        hidden = {"weights_only", "verbose", "return_predictions"}
        commands = {command: skip | hidden for command, skip in LightningCLI.subcommands().items()}
        return {command: commands[command] for command in self.words[:1] if command in commands} or commands

    def setup_parser(self, *args: Any) -> None:
        kind, is_printed = (type(self), *self.subcommands()), asks_for_settings(self.words)
        if kind not in PARSERS or is_printed:
            before = dict(vars(self))
            super().setup_parser(*args)
            (option,) = (action for action in self.command_parser._actions if action.dest == "ckpt_path")
            option.help = RESUME_HELP if "fit" in self.words[:1] else CKPT_PATH
            self.command_parser.is_complete = True
            PARSERS[kind] = {name: value for name, value in vars(self).items() if name not in before}
        vars(self).update(PARSERS.pop(kind) if is_printed else PARSERS[kind])  # it would print the next ones, too
        Parser.words = self.words

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Lightning's own takes true and false as well, which data and weights read as different seeds."""
        seed_help = f"Seed of weights, order and augmentation: a whole number from 0 to {2**32 - 1}."
        parser.add_argument("--seed_everything", type=int, default=0, help=seed_help)
        name_help = "Name of the experiment, which is the directory of its runs; None: the first config file's."
        parser.add_argument("--name", type=str | None, default=None, help=name_help)
        parser.add_argument("--threads", type=int | None, default=None, help=THREADS)
        parser.add_argument("--pictures", type=bool, default=PICTURES, help=PICTURES_HELP)
        if "fit" not in self.words[:1]:
            allow_help = "Modules with classes of your own that a checkpoint may import."
            parser.add_argument("--allow", **ALLOW, help=allow_help)
        if "predict" in self.words[:1]:
            parser.add_argument("--output", type=str | None, default=None, help=PREDICTIONS_HELP)
            parser.add_argument("--force", action="store_true", help="Replace an output that exists.")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        assert isinstance(parser, Parser)
        self.command_parser = parser  # where no command is named, that of the last, which nobody will see
        parser.add_class_arguments(Checkpoints, "checkpoints")
        for package in (networks, data):  # the parser finds a short class name only among imported classes
            inspect.getmembers(package)
        for container in CONTAINERS:  # torchvision's annotation is Callable, for which the parser knows no short names
            container.__init__.__annotations__["transforms"] = Sequence[Transform]
        parser.set_defaults(
            {
                "data": {"class_path": "project.data.CIFAR10"},
                "model.loss": {"class_path": "torch.nn.CrossEntropyLoss"},
                "trainer.max_epochs": 10,
                "trainer.num_sanity_val_steps": 0,  # costs more than it tells: the tests run every config
                "trainer.enable_model_summary": False,
            }
        )
        parser.link_arguments(("seed_everything", "data"), "data.init_args.seed", compute_fn=_checked_seed)
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")
        parser.link_arguments("data.num_classes", "model.network.init_args.num_classes", apply_on="instantiate")
        parser.link_arguments("data.image_shape", "model.network.init_args.image_shape", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Not by Lightning's own, which warns where the program that calls main([...]) was started with other words."""
        if asks_for_help(self.words):
            from project.cli.help import help_text  # takes time, and few commands need it

            rank_zero_only(print)(help_text(self.words, self.command_parser))
            sys.exit(0)
        if list(self.subcommands()) == args[:1] and not asks_for_settings(args):
            self.config = Namespace(subcommand=args[0])  # type: ignore[no-untyped-call]
            self.config[args[0]] = self.command_parser.parse_args(args[1:])  # the parser of all does it twice
        else:
            self.config = parser.parse_args(args)
        options = self.config[self.config.subcommand]
        try:
            self.command_parser.validate(_nulls(options), skip_unset=False, skip_required=True)  # it left them out
        except TypeError as error:
            self.command_parser.error(str(error))
        check_values(options, self.words)


def _nulls(options: Namespace) -> Namespace:
    """The options of a command that are null, but for those of classes."""
    nulls = Namespace()  # type: ignore[no-untyped-call]
    for name, value in options.items():
        if value is None and ".init_args." not in name:
            nulls[name] = None
    return nulls


def _objects(settings: Namespace) -> list[str]:
    """The arguments of a class that are defaults and that no YAML file can contain."""
    arguments = vars(settings.init_args) if "init_args" in settings else {}
    defaults = parameters(locate(settings.class_path))  # type: ignore[arg-type]
    return [name for name, value in arguments.items() if name in defaults and _is_object(value, defaults[name])]


def _is_object(value: Any, parameter: inspect.Parameter) -> bool:
    if isinstance(value, Tensor) or repr(value) != repr(parameter.default):
        return False
    try:
        yaml.safe_dump(value)
    except yaml.YAMLError:
        return True
    return False


def _checked_seed(seed: int, data: dict[str, Any] | None) -> int:
    own = (data or {}).get("init_args", {}).get("seed", 0)
    if own not in (0, seed):
        raise ValueError(f"--data.seed {own}: data and weights have one seed; give --seed_everything instead")
    return seed
