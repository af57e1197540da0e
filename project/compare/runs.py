"""The runs that are compared: where they are, and what each of them has reached."""

import csv
import glob
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from project.compare.settings import IN_USE, Settings, read_environment, read_settings, with_short_classes
from project.runs import directories
from project.runs.results import METRICS, RESULTS, read_metrics, read_results
from project.runs.settings import ClassPath
from project.system.errors import UserError

FILES = (directories.CONFIG, directories.ENVIRONMENT, RESULTS, METRICS)
DEPTH = 4  # of run directories below a folder: a project, lightning_logs, an experiment, a run
SECTIONS = ("trainer", "model", "data")  # of each config.yaml, all with options
END = "ckpt_path"  # the last option of each config.yaml
ACCURACY = "val/accuracy"
DAMAGED = (OSError, ValueError, TypeError, OverflowError, RecursionError, csv.Error, yaml.YAMLError)


@dataclass(frozen=True, eq=False)
class Run:
    """A run directory and what could be read of it."""

    path: Path
    label: str = ""
    """The experiment and the directory's name, such as mlp/version_0."""
    problem: str = ""
    """Why the run is broken."""
    progress: str = ""
    """How far a run has come that has not finished."""
    is_running: bool = False
    settings: Settings = field(default_factory=dict)
    environment: Settings = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    """Of results.json; of an unfinished run the best validation figure so far."""

    @property
    def state(self) -> str:
        if self.problem:
            return f"broken: {self.problem}"
        return f"{'running' if self.is_running else 'unfinished'}, {self.progress}" if self.progress else "finished"

    @property
    def is_finished(self) -> bool:
        return self.state == "finished"


def read_runs(words: Sequence[str]) -> list[Run]:
    """The runs that the words mean, each once, in their order.

    Args:
        words: Run directories, folders with runs somewhere below them, patterns, names of experiments.

    Raises:
        UserError: a word means nothing, or there is no run at all.
    """
    found: dict[Path, Path] = {}
    for word in words:
        for directory in _directories(word):
            for run in list(_runs_below(directory)) or [directory]:
                found.setdefault(run.resolve(), run)
    if not any(_is_run(run) for run in found.values()):
        raise UserError(f"{' '.join(words)}: no run is there; train one first, or name a run directory")
    names = [f"{path.parent.name}/{path.name}" for path in found]
    labels = [name if names.count(name) == 1 else str(path) for name, path in zip(names, found.values(), strict=True)]
    runs = [replace(read_run(path), label=label) for label, path in zip(labels, found.values(), strict=True)]
    settings = with_short_classes([run.settings for run in runs])
    return [replace(run, settings=shown) for run, shown in zip(runs, settings, strict=True)]


def read_run(path: Path) -> Run:
    """What a run directory has. A file that cannot be read makes a broken run, never an exception."""
    if problem := _missing(path):
        return Run(path, problem=problem)
    run = Run(path)
    results = RESULTS if (path / RESULTS).exists() else METRICS
    parts = {directories.CONFIG: _with_settings, directories.ENVIRONMENT: _with_environment, results: _with_figures}
    for file, part in parts.items():
        try:
            run = part(run)
        except DAMAGED as error:
            run = replace(run, problem=run.problem or _reason(error, file))
    return run


def _missing(path: Path) -> str:
    try:
        names = os.listdir(path)
    except OSError as error:
        return str(error.strerror)
    if not names:
        return "the directory is empty"
    return "" if directories.CONFIG in names else f"no {directories.CONFIG}: it is no run of this project"


def _with_settings(run: Run) -> Run:
    settings = read_settings(run.path)
    for section in (*SECTIONS, END):
        if not any(name.partition(".")[0] == section for name in settings):
            raise ValueError(f"it has no {section}: it is cut, or of another project")
    for section in SECTIONS:
        if section in settings and not isinstance(settings[section], ClassPath):
            raise ValueError(f"its {section} is {settings[section]}: it is of another project")
    return replace(run, settings=settings)


def _with_environment(run: Run) -> Run:
    environment = read_environment(run.path)
    in_use = {f"environment.{name}": str(environment[name])[:16] for name in IN_USE if name in environment}
    return replace(run, settings={**run.settings, **in_use} if run.settings else {}, environment=environment)


def _with_figures(run: Run) -> Run:
    results = read_results(run.path)
    if not isinstance(results, dict | None):
        raise TypeError("no object")
    is_running = directories.is_training(run.path)
    if results is not None and not is_running and not _goes_on(run.path, numbers := _numbers(results)):
        return replace(run, figures=numbers)
    rows = read_metrics(run.path)
    figures = _best_validation(run.settings, rows)
    return replace(run, progress=_progress(run.settings, rows), figures=figures, is_running=is_running)


def _numbers(results: Mapping[str, Any]) -> dict[str, float]:
    """The figures that are numbers. Raises ValueError if there are none, or if one of a metric is anything else."""
    numbers = {name: _number(value) for name, value in results.items() if type(value) in (int, float)}
    for name in results.keys() - numbers.keys():
        if "/" in name and results[name] is not None:
            raise ValueError(f"its {name} is {json.dumps(results[name])[:20]}, which is no number")
    if not numbers:
        raise ValueError("it has no figures")
    return numbers


def _number(value: float) -> float:
    """A whole number that is too large for float arithmetic is no int. Raises OverflowError if no float is so large."""
    return value if abs(value) < 2**53 else float(value)


def _goes_on(path: Path, figures: Mapping[str, float]) -> bool:
    """Whether the run was made longer after these results, and has not finished again."""
    if len(directories.config_files(path)) < 2:
        return False
    return _largest("step", read_metrics(path)) > figures.get("steps", math.inf)


def _progress(settings: Settings, rows: Sequence[Mapping[str, str]]) -> str:
    limit = settings.get("trainer.max_epochs")
    is_known = isinstance(limit, int) and limit > 0
    return f"epoch {_largest('epoch', rows)}" + (f" of {limit}" if is_known else "")


def _largest(name: str, rows: Sequence[Mapping[str, str]]) -> int:
    return max((int(float(row[name])) for row in rows if row.get(name)), default=0)


def _best_validation(settings: Settings, rows: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """The best figure so far of what chooses the checkpoint."""
    monitor = str(settings.get("checkpoints.monitor", ACCURACY))
    values = [float(row[monitor]) for row in rows if row.get(monitor)]
    if monitor == "null" or not values:
        return {}
    mode = settings.get("checkpoints.mode", "null")
    is_lowest = mode == "min" if mode in ("min", "max") else "loss" in monitor
    numbers = [value for value in values if not math.isnan(value)] or values
    return {monitor: min(numbers) if is_lowest else max(numbers)}


def _reason(error: Exception, file: str) -> str:
    """What is wrong with the file, in a few words."""
    if isinstance(error, OSError):
        return f"{file}: {error.strerror}"
    if isinstance(error, yaml.YAMLError | json.JSONDecodeError | csv.Error):
        return f"{file} is cut or damaged"
    is_explained = type(error) is ValueError and file in (directories.CONFIG, RESULTS)
    return f"{file}: {error}" if is_explained else f"{file}: its content is none of this project"


def _directories(word: str) -> list[Path]:
    """The directories that a word of the command line means."""
    if not word.strip():
        raise UserError("an empty path: name a run directory, a folder with runs, or an experiment")
    path = Path(word)
    if path.is_dir():
        return [path]
    if path.exists():
        raise UserError(f"{word}: it is a file; name a run directory, or a folder with runs")
    if "/" not in word and (experiment := Path(directories.ROOT) / word).is_dir():
        return [experiment]
    found = [Path(name) for name in glob.glob(word, recursive=True)] if glob.has_magic(word) else []
    if not (matches := [path for path in found if path.is_dir() and any(_runs_below(path))]):
        raise UserError(f"{word}: no run is there; name a run directory, a folder with runs, or an experiment")
    return sorted(matches, key=_order)


def _runs_below(directory: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The runs in a directory and in those below it; a link to one of the directories `above` is not followed."""
    if _is_run(directory):
        yield directory
    elif len(above) < DEPTH and (resolved := directory.resolve()) not in above:
        try:
            below = [path for path in directory.iterdir() if path.name[0] != "." and path.is_dir()]
        except OSError:  # a folder that nobody has named
            below = []
        for path in sorted(below, key=_order):
            yield from _runs_below(path, (*above, resolved))


def _is_run(path: Path) -> bool:
    return directories.version_of(path) >= 0 or any((path / name).exists() for name in FILES)


def _order(path: Path) -> tuple[str, int, str]:
    """version_10 comes after version_9."""
    return str(path.parent), directories.version_of(path), path.name
