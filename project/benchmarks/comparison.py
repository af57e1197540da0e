"""Two runs of the same settings, compared bit for bit, but for their times."""

import csv
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from project.checkpoints.files import read

logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns of each resumed run that there was a restart
TIMES = {"images_per_second", "train_seconds", "fit_seconds", "Stopwatch"}


def differences(whole: Path, resumed: Path) -> list[str]:
    """Where the run `resumed` is not what the run `whole` is, a line each: checkpoints, rows, curves, results."""
    found = []
    for name in ("last", "best"):
        files = [run / f"checkpoints/{name}.ckpt" for run in (whole, resumed)]
        if any(file.exists() for file in files):
            found += [f"{name}.ckpt: {place}" for place in _differing(read(files[0]), read(files[1]))]
    for kind, (lost, doubled) in {"metrics.csv": rows(whole, resumed), "curves": points(whole, resumed)}.items():
        found += [f"{kind}: lost {row}" for row in lost] + [f"{kind}: too much {row}" for row in doubled]
    if Counter(_rows(whole)) == Counter(_rows(resumed)) and _rows(whole) != _rows(resumed):
        found.append("metrics.csv: the same rows in another order")
    found += [f"results.json: {place}" for place in _differing(_results(whole), _results(resumed))]
    return found


def rows(whole: Path, resumed: Path) -> tuple[list[Any], list[Any]]:
    """Rows of metrics.csv that `resumed` lacks, and those that it has too much."""
    return _missing(*(_rows(run) for run in (whole, resumed)))


def points(whole: Path, resumed: Path) -> tuple[list[Any], list[Any]]:
    """Points of TensorBoard's curves that `resumed` lacks, and those that it has too much."""
    return _missing(*(_points(run) for run in (whole, resumed)))


def _missing(whole: list[Any], resumed: list[Any]) -> tuple[list[Any], list[Any]]:
    ours, theirs = Counter(whole), Counter(resumed)
    return list((ours - theirs).elements()), list((theirs - ours).elements())


def _rows(run: Path) -> list[Any]:
    with (run / "metrics.csv").open(newline="") as file:
        return [tuple((name, row[name]) for name in row if name not in TIMES) for row in csv.DictReader(file)]


def _points(run: Path) -> list[Any]:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
    names = set(events.Tags()["scalars"]) - TIMES
    return [(name, point.step, point.value) for name in sorted(names) for point in events.Scalars(name)]


def _results(run: Path) -> Any:
    return json.loads((run / "results.json").read_text())


def _differing(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """Dotted places at which two nested structures differ in any bit."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted((ours.keys() | theirs.keys()) - TIMES, key=str):
            yield from _differing(ours.get(key), theirs.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from _differing(*pair, f"{place}.{number}")
    elif isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        if ours.dtype != theirs.dtype or not torch.equal(ours, theirs):
            yield place
    elif type(ours) is not type(theirs) or ours != theirs:
        yield place
