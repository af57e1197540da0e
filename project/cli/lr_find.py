"""Find a learning rate before a run: train for some steps while the rates rise, and look where the loss falls fastest.

All options of fit can be given. One factor multiplies the learning rates of all parameter groups, so their ratios stay.
The option to paste is printed, and the curve is written as a picture and as CSV. There is no run and no checkpoint.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from project.cli.commands import given_options
from project.cli.output import add_output_options, check_output
from project.runs.directories import experiment_name
from project.runs.results import Result
from project.system.errors import UserError
from project.system.launch import is_first_process
from project.system.process import quiet

FIT_OPTIONS = ("config", "c", "model", "data", "trainer", "checkpoints", "seed_everything", "pictures", "name")
STEPS = range(20, 100_001)


def add_options(parser: ArgumentParser) -> None:
    def add(option: str, text: str, **arguments: Any) -> None:
        parser.add_argument(option, help=text, **arguments)

    add("--lowest", "The first factor of the learning rates that are given; above 0.", type=float, default=0.001)
    add("--highest", "The last factor; the training ends earlier if the loss rises.", type=float, default=100.0)
    add("--steps", "Number of optimizer steps, from 20 to 100,000.", type=int, default=200)
    add_output_options(parser, "The directory to write; by default lr_find_ and the experiment's name, here.")


@quiet()
def run(options: Namespace) -> Result:
    """Print the option, and write the curve.

    Raises:
        UserError: an option is wrong, or the loss never falls.
    """
    if not math.isfinite(options.highest):
        raise UserError(f"--highest {options.highest}: give a finite number")
    if not 0 < options.lowest < options.highest:
        raise UserError(f"--lowest {options.lowest}: give a number above 0 and below --highest {options.highest}")
    if options.steps not in STEPS:
        raise UserError(f"--steps {options.steps}: give a number from {STEPS.start} to {STEPS.stop - 1}")
    directory = Path(options.output or f"lr_find_{_experiment(options.fit_words)}")
    check_output(directory, options.force)
    # These import torch and Lightning, which takes seconds.
    from project.callbacks.learning_rate_range import LearningRateRange
    from project.cli.arguments import check_yaml, user_modules
    from project.cli.rate_finder import RateFinder
    from project.search.rates import draw_curve, rounded, save_picture, steepest, write_curve

    curve = LearningRateRange(options.lowest, options.highest, options.steps)
    words = ["fit", *options.fit_words]
    check_yaml(words)
    with user_modules(words), ExitStack() as cleanup:
        finder = RateFinder(words, cleanup, curve)
    if not (rates := finder.rates):
        raise UserError("--model.optimizer: it has no option lr or ..._lr that a factor could multiply; give another")
    if not is_first_process():
        return Result()
    factor = steepest(curve.losses)
    directory.mkdir(exist_ok=True)
    write_curve(curve.losses, rates, directory / "curve.csv")
    name, rate = next(iter(rates.items()))
    save_picture(draw_curve(curve.losses, name, rate, factor), directory / "curve.png")
    chosen = {name: rounded(factor * rate) for name, rate in rates.items()}
    print(f"{len(curve.losses)} batches: {directory}/curve.png, {directory}/curve.csv")
    print(f"the loss falls fastest with: {' '.join(f'--{name} {value:g}' for name, value in chosen.items())}")
    return Result(directory, chosen)


def _experiment(words: Sequence[str]) -> str:
    """The name of the experiment whose words of fit these are."""
    configs = [Path(value) for name, value in given_options(words) if name == "config"]
    return experiment_name(configs, dict(given_options(words)).get("name"))
