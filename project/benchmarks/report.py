"""Tables on the terminal and JSON in lightning_logs/benchmarks/, both with hardware and versions."""

import json
import os
import shlex
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from project.runs.environment import cpu_and_threads, cpu_name
from project.system.files import atomic_write

OUTPUT = Path("lightning_logs/benchmarks")


def machine() -> dict[str, Any]:
    """The hardware and versions that a figure depends on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    packages = {name: version(name) for name in ("torch", "torchvision", "lightning")}
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu, **packages}


def report(name: str, rows: Sequence[Mapping[str, Any]], **details: Any) -> None:
    """Print `rows` as a table with their keys as columns. Write the rows and the details as JSON.

    If `details` has a `command` (arguments of main.py), the table shows it too.
    """
    described = machine()
    packages = ", ".join(f"{package} {described[package]}" for package in ("torch", "torchvision", "lightning"))
    processor = described["gpu"] or cpu_and_threads()
    caption = "\n".join([f"{processor}; {packages}", shlex.join(details.get("command", ()))]).strip()
    table = Table(*rows[0], title=name, caption=Text(caption), caption_justify="left")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    Console(width=120).print(table)
    for detail, value in details.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            print(f"{detail.replace('_', ' ')}: {_text(value)}")
    print(save(name, {"machine": described, "rows": list(rows), **details}))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same table as `report` prints, for a Markdown file."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def save(name: str, content: Mapping[str, Any]) -> Path:
    """Write the JSON of a benchmark and return its path."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    file = path_of(name, content.get("command", ()))
    with atomic_write(file) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return file


def path_of(name: str, command: Sequence[str] = ()) -> Path:
    """The JSON file of a benchmark with this `command`. The files of later commands have a number in their names."""
    files = (OUTPUT / f"{name}{f'-{number}' if number > 1 else ''}.json" for number in count(1))
    return next(file for file in files if not file.exists() or read(file).get("command", []) == list(command))


def read(file: Path) -> dict[str, Any]:
    """The content of the JSON file of a benchmark."""
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def summary(runs: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Three rows: the mean, the standard deviation, and half the 95 % confidence interval of the mean (Student's t)."""
    if len(runs) < 2:
        return []
    from scipy.stats import t  # comes with scikit-learn

    values = {column: [float(run[column]) for run in runs] for column in columns}
    half = float(t.ppf(0.975, len(runs) - 1)) / len(runs) ** 0.5
    return [
        {"seed": "mean", **{column: statistics.mean(value) for column, value in values.items()}},
        {"seed": "deviation", **{column: statistics.stdev(value) for column, value in values.items()}},
        {"seed": "95 % +-", **{column: half * statistics.stdev(value) for column, value in values.items()}},
    ]


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
