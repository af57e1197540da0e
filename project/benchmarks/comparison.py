"""Compare two runs of the same settings bit for bit, without their times."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from project.checkpoints.files import read
from project.runs.results import TEST, read_metrics, read_results

logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns about the restart in each resumed run
TIMES = {"train/images_per_second", "train/peak_memory_gib", "train_seconds", "fit_seconds", "Stopwatch"}
NAMES = {"experiment", "settings", "environment"}  # of a checkpoint, which runs of the same figures may differ in


def differences(whole: Path, resumed: Path) -> list[str]:
    """The differences between the checkpoints, rows, curves, results and logits of two run directories, a line each."""
    lines = []
    for checkpoint in ("last", "best"):
        files = [run / f"checkpoints/{checkpoint}.ckpt" for run in (whole, resumed)]
        if any(file.exists() for file in files):
            lines += [f"{checkpoint}.ckpt: {name}" for name in _differing(read(files[0]), read(files[1]))]
    for kind, (lost, doubled) in lost_and_doubled(whole, resumed).items():
        lines += [f"{kind}: lost {row}" for row in lost] + [f"{kind}: too much {row}" for row in doubled]
    if Counter(_rows(whole)) == Counter(_rows(resumed)) and _rows(whole) != _rows(resumed):
        lines.append("metrics.csv: the same rows in another order")
    lines += [f"results.json: {name}" for name in _differing(read_results(whole), read_results(resumed))]
    logits = [file.read_bytes() if (file := run / TEST).exists() else None for run in (whole, resumed)]
    lines += [TEST] * (logits[0] != logits[1])
    return lines


def lost_and_doubled(whole: Path, resumed: Path) -> dict[str, tuple[list[Any], list[Any]]]:
    """The rows of metrics.csv, and the points of the curves, that only `whole` has and that only `resumed` has."""
    records = {"metrics.csv": _rows, "curves": _points}
    pairs = {kind: (Counter(read_run(whole)), Counter(read_run(resumed))) for kind, read_run in records.items()}
    return {kind: (list((a - b).elements()), list((b - a).elements())) for kind, (a, b) in pairs.items()}


def _rows(run: Path) -> list[Any]:
    return [tuple((name, row[name]) for name in row if name not in TIMES) for row in read_metrics(run)]


def _points(run: Path) -> list[Any]:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
    names = set(events.Tags()["scalars"]) - TIMES
    return [(name, point.step, point.value) for name in sorted(names) for point in events.Scalars(name)]


def _differing(first: Any, second: Any, name: str = "") -> Iterator[str]:
    """The dotted names of the values that differ between two nested structures, in any bit."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted((first.keys() | second.keys()) - TIMES - NAMES, key=str):
            yield from _differing(first.get(key), second.get(key), f"{name}.{key}" if name else str(key))
    elif isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)) and len(first) == len(second):
        for index, pair in enumerate(zip(first, second, strict=True)):
            yield from _differing(*pair, f"{name}.{index}")
    elif isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        if first.dtype != second.dtype or not torch.equal(first, second):
            yield name
    elif type(first) is not type(second) or first != second:
        yield name
