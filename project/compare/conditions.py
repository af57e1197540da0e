"""The conditions of --where, such as data.batch_size>125, and the names that options take."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from operator import ge, gt, le, lt
from typing import Any

from project.compare.runs import Run
from project.runs.settings import ClassPath, class_name, plain_value
from project.system.errors import UserError

ORDERS: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Condition:
    """A setting or a figure, an operator and a value."""

    text: str
    name: str
    operator: str
    value: str | float | bool

    def holds(self, run: Run) -> bool:
        """Whether the run is to be compared. Without the setting, only != holds.

        Raises:
            UserError: < or > of a setting that is no number.
        """
        value = run.figures.get(self.name, run.settings.get(self.name))
        if self.operator in ("=", "!="):
            return self._equals(value) == (self.operator == "=")
        if value is None or value == "null":
            return False
        if not isinstance(value, int | float):
            raise UserError(f"--where {self.text}: {self.name} is {value} here, which is no number; compare it by =")
        assert isinstance(self.value, int | float)
        return ORDERS[self.operator](value, self.value)

    def _equals(self, value: Any) -> bool:
        if isinstance(value, ClassPath):  # torch.optim.AdamW, or AdamW
            return self.value in (value.path, value, ", ".join(map(class_name, value.parts)))
        return bool(value == self.value) and isinstance(value, bool) == isinstance(self.value, bool)


def select(runs: Sequence[Run], texts: Iterable[str]) -> list[Run]:
    """The runs for which all conditions hold.

    Raises:
        UserError: a condition has no name, operator and value, no run has the name, or no run is left.
    """
    conditions = [_condition(text, runs) for text in texts]
    left = [run for run in runs if all(condition.holds(run) for condition in conditions)]
    if not left:
        given = " ".join(f"--where {condition.text}" for condition in conditions)
        raise UserError(f"{given}: no run is so; {_values(conditions[-1].name, runs)}")
    return left


def check_name(option: str, name: str, runs: Iterable[Run]) -> None:
    """Raises UserError where no run has a setting or a figure of this name."""
    known = list(dict.fromkeys(name for run in runs for name in (*run.figures, *run.settings)))
    if name in known:
        return
    ends = [other for other in known if re.split(r"[./]", other)[-1] == re.split(r"[./]", name)[-1]]
    nearest = get_close_matches(name, known, 1, 0.5) or ends[:1]
    remedy = f"did you mean {nearest[0]}?" if nearest else "config.yaml and results.json have the names"
    raise UserError(f"{option}: no run has {name}; {remedy}")


def _condition(text: str, runs: Sequence[Run]) -> Condition:
    match = re.fullmatch(r"\s*([^<>=!\s]+)\s*(<=|>=|!=|==?|<|>)\s*(.*?)\s*", text, re.DOTALL)
    if not match or not match[3]:
        raise UserError(f"--where {text}: give a name, one of = != < <= > >=, and a value: 'data.batch_size>100'")
    name, operator, value = match[1].removeprefix("--"), match[2].replace("==", "="), _typed(match[3])
    check_name(f"--where {text}", name, runs)
    if operator in ORDERS and (isinstance(value, str | bool)):
        raise UserError(f"--where {text}: {match[3]} is no number; give a number, or compare by = or !=")
    return Condition(text, name, operator, value)


def _typed(text: str) -> str | float | bool:
    """A truth value, a number, a percentage as a fraction, or text."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    number, factor = (text[:-1], 0.01) if text.endswith("%") else (text, 1)
    try:
        return float(number) * factor
    except ValueError:
        unquoted = text.strip("'\"")
        return text if unquoted == text else plain_value(unquoted)


def _values(name: str, runs: Iterable[Run]) -> str:
    """What there is of a name."""
    values = dict.fromkeys(run.figures.get(name, run.settings.get(name)) for run in runs)
    there = [str(value) for value in values if value is not None]
    return f"{name} is {', '.join(there[:5])}{', ...' if len(there) > 5 else ''}"
