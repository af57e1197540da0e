"""Checks of values that the parser accepts, and that would fail later or would be ignored without a word."""

import inspect
import math
import os
from collections.abc import Iterator, Sequence
from pydoc import locate
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser, Namespace

from project.cli.arguments import as_given
from project.cli.commands import MOST_THREADS, given_options
from project.cli.user_parts import LINKED, class_settings
from project.system.errors import UserError

LARGEST = 2**63 - 1  # the largest whole number of torch and of the operating system
LOCAL = ("ckpt_path", "trainer.default_root_dir", "data.data_dir", "model.weights", "model.network.weights")
LIBRARIES = ("torch.", "lightning.")
CHOICES: dict[str, tuple[Any, ...]] = {
    "model.loss.reduction": ("mean", "sum", "none"),
    "model.optimizer.differentiable": (False,),  # it would have training go through the optimizer itself
}
DEPRECATED = ("size_average", "reduce")  # arguments of torch's losses


class Range(NamedTuple):
    """From `low` to `high`, both included unless `above`, which leaves `low` out."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: object) -> bool:
        assert isinstance(value, int | float)
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        if self.above:
            return f"above {self.low}" + (f", at most {self.high}" if math.isfinite(self.high) else "")
        if math.isinf(self.high):
            return f"of at least {self.low}"
        return f"of at most {self.high}" if math.isinf(self.low) else f"from {self.low} to {self.high}"


# Options that Lightning and torch do not check; other classes check their options themselves.
RANGES = {
    "seed_everything": Range(0, 2**32 - 1),
    "threads": Range(1, MOST_THREADS),
    "trainer.devices": Range(high=max(2, os.cpu_count() or 1)),  # a process each; Lightning knows the rest
    "trainer.num_nodes": Range(1, 2**16),
    "trainer.min_epochs": Range(0),
    "trainer.min_steps": Range(0),
    "trainer.val_check_interval": Range(0, above=True),
    "trainer.check_val_every_n_epoch": Range(1),
    "trainer.num_sanity_val_steps": Range(-1),
    "trainer.log_every_n_steps": Range(0),
    "trainer.accumulate_grad_batches": Range(1),
    "trainer.gradient_clip_val": Range(0),
    "trainer.reload_dataloaders_every_n_epochs": Range(0),
    "model.loss.label_smoothing": Range(0, 1),
    "model.optimizer.lr": Range(0, above=True),
    "model.optimizer.weight_decay": Range(0),
    "model.optimizer.momentum": Range(0, 1),
    "model.optimizer.dampening": Range(0, 1),
    "model.optimizer.eps": Range(0, 1, above=True),  # at 0 a gradient of 0 gives 0 / 0
    "trainer.callbacks.patience": Range(0),
}


def check_values(options: Namespace, words: Sequence[str]) -> None:
    """Check the value of each option.

    Args:
        options: Of the command, as parsed.
        words: Of the command line; error lines show values as they are there.

    Raises:
        UserError: an option has no value, or one that it cannot have.
    """
    for name, value in given_options(words):
        if not value.strip():  # of a variable of the shell that is not set, perhaps
            raise UserError(f"--{name} {value!r}: give a value, or leave it out")
    for name, value, problem in _findings(options):
        raise UserError(f"--{name} {as_given(words, name, value)}: {problem}")


def _findings(options: Namespace) -> Iterator[tuple[str, Any, str]]:
    """Each option with a wrong value, the value, and what to do."""
    parts = list(class_settings(options))
    user_parts = tuple(f"{name}." for name, settings in parts if not settings.class_path.startswith(LIBRARIES))
    for name, value in leaves(options):
        if problem := _problem(name, value, is_checked=not name.startswith(user_parts)):
            yield name, value, problem
    for name, settings in parts:
        for argument, problem in _argument_problems(settings):
            yield f"{name}.{argument}", settings.init_args[argument], problem
    limits, optimizer = options.trainer, dict(parts).get("model.optimizer")
    if limits.max_epochs is None and limits.max_steps == -1 and limits.max_time is None:
        yield "trainer.max_epochs", None, "a run needs a length; give it, or --trainer.max_steps"
    arguments = optimizer.get("init_args", {}) if optimizer is not None else {}
    rate, decay = (arguments.get(name) for name in ("lr", "weight_decay"))
    if isinstance(rate, int | float) and isinstance(decay, int | float) and rate * decay >= 1:
        share = f"at --model.optimizer.lr {rate} a step takes {rate * decay:g} of each weight"
        yield "model.optimizer.weight_decay", decay, f"{share}; give values whose product is below 1"


def _problem(name: str, value: Any, is_checked: bool) -> str:
    """What to do about a wrong number, choice or path; empty if nothing is wrong.

    Args:
        name: The option, with dots.
        value: Its value.
        is_checked: Whether CHOICES and RANGES apply, which are those of classes of torch and Lightning.
    """
    if is_checked and name in CHOICES and value not in CHOICES[name]:
        return f"give {' or '.join(str(choice).lower() for choice in CHOICES[name])}"
    if name == "trainer.plugins" and value is not None:
        return "give a class, as in '{class_path: lightning.pytorch.plugins.environments.LightningEnvironment}'"
    if name in LOCAL and "://" in str(value):
        return "an address in a network; fetch what is there, and give a path"
    if isinstance(value, str) and name in RANGES and value.removeprefix("-").isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if not math.isfinite(value):
        return "give a finite number"
    if is_checked and name in RANGES and value not in RANGES[name]:
        return f"give a number {RANGES[name]}"
    return f"give at most {LARGEST}" if isinstance(value, int) and abs(value) > LARGEST else ""


def _argument_problems(settings: Namespace) -> Iterator[tuple[str, str]]:
    """Arguments of a class that come from the run, that are deprecated, or that are null and may not be."""
    maker: Any = locate(settings.class_path)
    kind = maker.__name__
    arguments = vars(settings.init_args) if "init_args" in settings else {}
    parameters = inspect.signature(maker).parameters
    for linked in LINKED:
        if linked in parameters and arguments.get(linked) not in (None, parameters[linked].default):
            yield linked, f"the run gives it to {kind}; leave it out"
    for name in DEPRECATED:
        if maker.__module__.startswith("torch.nn") and arguments.get(name) is not None:
            yield name, "torch has reduction in its place; give that"
    nulls = [name for name, value in arguments.items() if value is None and name not in LINKED]
    yield from _null_problems(maker, nulls)


def _null_problems(maker: Any, nulls: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those arguments of `nulls` that may not be null."""
    parameters = inspect.signature(maker).parameters
    typed = []
    for name in nulls:
        parameter = parameters.get(name)
        if parameter and parameter.default is parameter.annotation is parameter.empty:
            yield name, f"{maker.__name__} needs a value; give one"
        elif parameter is None or parameter.default is not None:
            typed.append(name)
    if not typed:
        return
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(maker, fail_untyped=False)
    for name in typed:
        default = parser.get_default(name)
        if default is not None:
            try:
                parser.validate(Namespace({name: None}), skip_unset=False, skip_required=True)  # type: ignore[no-untyped-call]
            except TypeError:
                yield name, f"{maker.__name__} needs a value; give one, or leave it out for {default}"


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value in the options, with the name of its option on the command line."""
    if isinstance(value, Namespace):
        for key, inner in vars(value).items():
            if key == "dict_kwargs":  # arguments that a class takes by ** and the parser does not know
                for keyword, keyword_value in inner.items():
                    yield from leaves(keyword_value, f"{name}.{keyword}")
            else:
                yield from leaves(inner, name if key == "init_args" else f"{name}.{key}".lstrip("."))
    elif isinstance(value, dict | list | tuple | set):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner, name)
    else:
        yield name, value
