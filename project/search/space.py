"""The space of a search: the YAML file that says which options vary, and how Optuna chooses their values."""

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import Any, Literal

import optuna
import yaml

from project.system.errors import UserError
from project.system.yaml_text import read_settings_file

KINDS = {
    "log": "[1.0e-4, 1.0e-1]",
    "float": "[0, 0.5]",
    "uniform": "[0, 0.5]",
    "int": "[0, 4]",
    "choice": "[125, 250]",
    "all": "[0, 1, 2]",
}
LISTS = ("choice", "all")
TRIED = 12  # trials; some samplers choose at random until they know ten
DIRECTIONS = ("maximize", "minimize")
OBJECTIVE = "val/accuracy"
Value = bool | int | float | str | None


@dataclass(frozen=True)
class Range:
    """The values that an option can take."""

    kind: str
    values: Sequence[Any]

    def suggest(self, trial: optuna.Trial, name: str) -> Value:
        """The value of the trial, which Optuna chooses at the first call."""
        if self.kind == "choice":
            chosen: Value = trial.suggest_categorical(name, self.values)
            return chosen
        low, high = self.values
        if self.kind == "int":
            return trial.suggest_int(name, low, high)
        return trial.suggest_float(name, low, high, log=self.kind == "log")

    @property
    def listed(self) -> Sequence[Any] | None:
        """All values; None for those that cannot be counted."""
        if self.kind == "int":
            return range(self.values[0], self.values[1] + 1)
        return self.values if self.kind == "choice" else None

    def contains(self, value: Any) -> bool:
        if self.kind == "choice":
            return any(type(value) is type(choice) and value == choice for choice in self.values)
        is_number = type(value) is int or (type(value) is float and self.kind != "int")
        return is_number and self.values[0] <= value <= self.values[1]


@dataclass(frozen=True)
class Space:
    """Which options vary, what is measured, and how values are chosen."""

    path: Path
    ranges: Mapping[str, Range]
    repeated: tuple[str, Sequence[Any]] | None
    """An option with which every setting is run several times, and its values."""
    objective: str
    direction: Literal["maximize", "minimize"]
    sampler: tuple[str, Mapping[str, Any]]
    """The name of a class of optuna.samplers, and its arguments."""
    pruner: tuple[str, Mapping[str, Any]]
    """The same of optuna.pruners."""

    @property
    def repeats(self) -> list[dict[str, Any]]:
        """The further settings of each run of a trial."""
        return [{self.repeated[0]: value} for value in self.repeated[1]] if self.repeated else [{}]

    def examples(self) -> list[dict[str, Any]]:
        """Settings in which each end of a range and each choice stand at least once."""
        lists = {name: list(values.values) for name, values in self.ranges.items()}
        if self.repeated:
            lists[self.repeated[0]] = list(self.repeated[1])
        longest = max(map(len, lists.values()))
        return [{name: values[min(n, len(values) - 1)] for name, values in lists.items()} for n in range(longest)]

    def all_settings(self, most: int) -> list[dict[str, Any]]:
        """All settings of the space, in the file's order; none if there are more than `most`, or infinitely many."""
        lists = [values.listed for values in self.ranges.values()]
        if math.prod(math.inf if values is None else len(values) for values in lists) > most:
            return []
        return [dict(zip(self.ranges, values, strict=True)) for values in itertools.product(*filter(None, lists))]

    def make_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """A sampler for the trial with this number. Its random choices depend on the number, not on the worker."""
        name, arguments = self.sampler
        kind = getattr(optuna.samplers, name)
        if "seed" in inspect.signature(kind).parameters and name != "QMCSampler":  # that needs one seed for all trials
            seed = Random(f"{arguments.get('seed', 0)} {number}").getrandbits(32)
            arguments = {**arguments, "seed": seed}
        sampler: optuna.samplers.BaseSampler = kind(**arguments)
        return sampler

    def make_pruner(self) -> optuna.pruners.BasePruner:
        name, arguments = self.pruner
        pruner: optuna.pruners.BasePruner = getattr(optuna.pruners, name)(**arguments)
        return pruner

    def try_optuna(self) -> None:
        """Use sampler and pruner for some trials in memory. Raises UserError if Optuna cannot."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        parts: dict[str, Callable[[], Any]] = {"sampler": lambda: self.make_sampler(0), "pruner": self.make_pruner}
        for key, make in parts.items():
            try:
                self._try(**{key: make()})
            except Exception as error:  # of whatever kind: Optuna checks many arguments late or never
                text = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
                problem = f"{key} {getattr(self, key)[0]}: {text}; see Optuna's documentation"
                raise UserError(f"--space {self.path}: {problem}") from None

    def _try(self, sampler: Any = None, pruner: Any = None) -> None:
        study = optuna.create_study(pruner=pruner)
        for value in range(TRIED):
            study.sampler = sampler or study.sampler
            trial = study.ask()
            for option, values in self.ranges.items():
                values.suggest(trial, option)
            for step in range(3):
                trial.report(value + step, step)
                trial.should_prune()
            study.sampler = optuna.samplers.RandomSampler()  # as Study.end does
            study.tell(trial, value)


def read_space(path: Path) -> Space:
    """The space of a YAML file.

    Raises:
        UserError: the file is missing or wrong; the line names the key.
    """
    content = read_settings_file(path, "--space", "configs/search/convnet.yaml")
    own = {name: content.pop(name) for name in ("objective", "direction", "sampler", "pruner") if name in content}
    ranges = {str(name): _range(f"--space {path}: {name}", value) for name, value in content.items()}
    repeated = [(name, values.values) for name, values in ranges.items() if values.kind == "all"]
    if len(repeated) > 1:
        raise UserError(f"--space {path}: {repeated[1][0]}: only one option can have all; leave one out")
    varied = {name: values for name, values in ranges.items() if values.kind != "all"}
    if not varied:
        example = f"model.optimizer.lr: {{log: {KINDS['log']}}}"
        raise UserError(f"--space {path}: no option varies; add a line such as {example}")
    objective = str(own.get("objective", OBJECTIVE))
    direction = own.get("direction", DIRECTIONS["loss" in objective])
    if direction not in DIRECTIONS:
        raise UserError(f"--space {path}: direction {direction}: give {' or '.join(DIRECTIONS)}")
    sampler = _class(path, "sampler", own.get("sampler", "TPESampler"), optuna.samplers)
    pruner = _class(path, "pruner", own.get("pruner", _default_pruner(bool(repeated))), optuna.pruners)
    space = Space(path, varied, next(iter(repeated), None), objective, direction, sampler, pruner)
    space.try_optuna()
    return space


def _default_pruner(is_repeated: bool) -> dict[str, Any]:
    """The best quarter goes on after a quarter of a run; with repeated settings, after the first run of a trial."""
    return {"class_path": "SuccessiveHalvingPruner", "init_args": {"min_resource": 1 if is_repeated else 25}}


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """The words of the command line for these options."""
    return [word for name, value in settings.items() for word in (f"--{name}", word_of(value))]


def _range(place: str, value: Any) -> Range:
    if not (isinstance(value, dict) and len(value) == 1 and isinstance(next(iter(value.values())), list)):
        raise UserError(f"{place}: give one of {', '.join(KINDS)} with a list, as in {{log: {KINDS['log']}}}")
    ((kind, values),) = value.items()
    if kind not in KINDS:
        raise UserError(f"{place}: {kind} is no range; {_nearest(str(kind), list(KINDS))}")
    if kind in LISTS:
        return Range(kind, _choices(f"{place}: {kind} {word_of(values)}", values))
    return Range(kind, _ends(f"{place}: {kind} {word_of(values)}", kind, values))


def _choices(place: str, values: Sequence[Any]) -> list[Any]:
    words = [word_of(value) for value in values]
    if len(set(words)) < len(words):
        raise UserError(f"{place}: a value stands twice; leave one out")
    if len(words) < 2:
        raise UserError(f"{place}: there is nothing to choose from; give at least two values, or leave the option out")
    return [value if isinstance(value, Value) else word_of(value) for value in values]


def _ends(place: str, kind: str, values: Sequence[Any]) -> list[Any]:
    whole = kind == "int"
    try:
        ends = [int(value) if whole else float(value) for value in values]  # YAML reads 1e-4, without a dot, as text
    except (TypeError, ValueError, OverflowError):
        ends = []
    is_cut = whole and any(type(value) is not int for value in values)
    if len(values) != 2 or len(ends) != 2 or is_cut or not all(map(math.isfinite, ends)):
        raise UserError(f"{place}: give two {'whole ' * whole}numbers, as in {KINDS[kind]}")
    if ends[0] >= ends[1]:
        problem = "there is nothing between its ends" if ends[0] == ends[1] else "the first number is the larger one"
        raise UserError(f"{place}: {problem}; give the smallest value, then the largest")
    if kind == "log" and ends[0] <= 0:
        raise UserError(f"{place}: a logarithm needs numbers above 0; give float, or a first number such as 1.0e-4")
    return ends


def _class(path: Path, key: str, value: Any, module: Any) -> tuple[str, dict[str, Any]]:
    """The name of an Optuna class, and its arguments."""
    settings = {"class_path": value} if isinstance(value, str) else value
    if not (isinstance(settings, dict) and {"class_path"} <= settings.keys() <= {"class_path", "init_args"}):
        raise UserError(f"--space {path}: {key}: give a name, or class_path and init_args")
    name = str(settings["class_path"]).rpartition(".")[2]
    known = [known for known in module.__all__ if known.endswith(key.capitalize()) and not known.startswith("Base")]
    if name not in known:
        raise UserError(f"--space {path}: {key} {name}: Optuna has none; {_nearest(name, known)}")
    arguments = settings.get("init_args") or {}
    if problem := _class_problem(getattr(module, name), arguments):
        raise UserError(f"--space {path}: {key} {name}: {problem}")
    return name, arguments


def _class_problem(kind: type, arguments: Any) -> str:
    """What is wrong with the choice of a class of Optuna, and what to do."""
    if not isinstance(arguments, dict):
        return f"init_args {arguments}: give them by name, as {{seed: 1}}"
    parameters = inspect.signature(kind).parameters
    for argument in arguments:
        if argument not in parameters:
            return f"it has no {argument}; {_nearest(str(argument), list(parameters))}"
    needed = [n for n, parameter in parameters.items() if parameter.default is parameter.empty and n not in arguments]
    return f"it needs {' and '.join(needed)}; give init_args" if needed else ""


def _nearest(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"give one of {', '.join(known)}"


def word_of(value: Any) -> str:
    """The value as a word of the command line: YAML in one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("\n").removesuffix("\n...")
