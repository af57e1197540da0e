"""The measurements of a picture, from runs of `main.py fit`, and the file that saves them."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from project.benchmarks.fitting import fit_in_this_process
from project.system.errors import NotFiniteError
from project.system.files import atomic_write

DIRECTORY = Path("lightning_logs/figures")


class Measurements:
    """The values that a picture needs. They are saved in lightning_logs/figures/<name>.json, one by one."""

    def __init__(self, name: str) -> None:
        self.file = DIRECTORY / f"{name}.json"
        self.values: dict[str, Any] = json.loads(self.file.read_text("utf-8")) if self.file.exists() else {}

    def get(self, name: str, measure: Callable[..., Any], *args: Any) -> Any:
        """The value with this name. If there is none, measure it and save it."""
        if name not in self.values:
            self.values[name] = measure(*args)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.file) as unfinished:
                unfinished.write_text(json.dumps(self.values, indent=1) + "\n", "utf-8")
        return self.values[name]


def fit(arguments: Sequence[str]) -> tuple[Mapping[str, Any], list[dict[str, float]]]:
    """Run main.py once on the CPU in this process. Return results.json and the rows of metrics.csv.

    Raises NotFiniteError if the loss is no longer finite. Any other error is printed and raises SystemExit.
    """
    errors = StringIO()
    try:
        with redirect_stderr(errors):
            return fit_in_this_process([*arguments, "--trainer.accelerator", "cpu"])
    except SystemExit as stop:
        if isinstance(stop.__context__, NotFiniteError):
            raise stop.__context__ from None
        print(errors.getvalue(), end="", file=sys.stderr)
        raise
