"""Search good values for options of an experiment: many fits, whose options Optuna chooses.

All options of fit can be given, such as --config and --model.network. The same command in another terminal, or on
another machine that shares the directory, joins the search. A trial that was killed goes on where it was. The test
images are not looked at. lightning_logs/NAME has the runs, the study, and best.yaml, which fit takes with --config.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from project.cli.commands import given_options
from project.runs.directories import ROOT, experiment_name
from project.runs.results import Result
from project.system.errors import UserError

# The options of fit, whose words go to every trial.
FIT_OPTIONS = ("config", "c", "model", "data", "trainer", "checkpoints", "seed_everything", "pictures")
COUNTS = range(1, 100_001)  # of trials
CONFIRMING = range(2, 1001)  # seeds; an interval needs two


def add_options(parser: ArgumentParser) -> None:
    def add(option: str, text: str, **arguments: Any) -> None:
        parser.add_argument(option, help=text, **arguments)

    space = "The YAML file with the options that vary; see configs/search/."
    add("--space", space, type=str, required=True, metavar="FILE")
    add("--trials", "Number of trials of the whole study, however many workers there are.", type=int, default=20)
    add("--name", "The experiment whose directory has the study; by default NAME-search.", type=str)
    add("--keep", "Number of the best trials that keep their checkpoints.", type=int, default=3)
    confirm = (
        "Number of new seeds with which the best settings and the starting ones are run again; the winner is tested."
    )
    add("--confirm", confirm, type=int, default=0, metavar="SEEDS")


def run(options: Namespace) -> Result:
    """Work on the study until it has all its trials.

    Raises:
        UserError: an option is wrong, or all trials have failed.
    """
    for name in ("trials", "keep"):
        if options[name] not in COUNTS:
            raise UserError(f"--{name} {options[name]}: give a number from 1 to {COUNTS.stop - 1}")
    if options.confirm not in (0, *CONFIRMING):
        raise UserError(f"--confirm {options.confirm}: give a number of seeds from 2 to {CONFIRMING.stop - 1}, or 0")
    if find_spec("optuna") is None:
        raise UserError("search: optuna is not installed: pip install -e '.[search]'")
    if not hasattr(os, "fork"):
        raise UserError("search: this system cannot fork processes; use Linux, macOS, or WSL on Windows")
    from project.cli.fit_process import FitProcesses
    from project.search.search import Search  # imports Optuna

    words = list(options.fit_words)
    if not any(word.startswith("--pictures") for word in words):
        words += ["--pictures", "false"]
    directory = _root(words) / _name(options)
    counts = options.trials, options.keep, options.confirm
    return Search(FitProcesses(), words, directory, Path(options.space), *counts).run()


def _name(options: Namespace) -> str:
    """Of the experiment that the trials are runs of."""
    configs = [Path(value) for name, value in given_options(options.fit_words) if name == "config"]
    name = options.name or f"{experiment_name(configs)}-search"[:60]
    return experiment_name([], name)


def _root(words: list[str]) -> Path:
    given = dict(given_options(words)).get("trainer.default_root_dir", ".")
    return Path(given) / ROOT
