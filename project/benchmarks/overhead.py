"""Our fit against a loop written by hand, and against the network's own arithmetic, in alternating turns."""

import contextlib
import io
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from project.benchmarks.report import report
from project.benchmarks.runs import CONFIGS
from project.cli.main import main
from project.data import CIFAR10
from project.data.batches import Batch, TrainingBatches
from project.data.normalisation import Normalisation
from project.networks import ConvNet
from project.optim import OneCycle
from project.system.hardware import computes_bfloat16

STEPS = {16: 400, 125: 240, 500: 40}  # of a turn, by batch size; 4 to 12 s each on two cores


def overhead(data_dir: str, turns: int, sizes: Sequence[int] = tuple(STEPS), steps: int | None = None) -> None:
    """convnet.yaml at several batch sizes: milliseconds a step of our fit, of a loop by hand, of arithmetic alone."""
    rows = []
    for size in sizes:
        count = steps or STEPS[size]
        kinds: dict[str, Callable[[], float]] = {
            "fit": lambda size=size, count=count: _fit(data_dir, size, count),  # type: ignore[misc]
            "by hand": lambda size=size, count=count: _loop(training_batches(data_dir, size), count),  # type: ignore[misc]
            "arithmetic": lambda size=size, count=count: _loop(_made(data_dir, size, count), count),  # type: ignore[misc]
        }
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(turns + 1):
            for kind, run in kinds.items():
                taken = run()
                if turn:  # the first warms up
                    seconds[kind].append(taken)
            print(f"batches of {size}, turn {turn} of {turns}", flush=True)
        median = {kind: statistics.median(values) for kind, values in seconds.items()}
        rows.append(
            {
                "batch size": size,
                "steps": count,
                **{f"{kind}, ms a step": 1000 * value / count for kind, value in median.items()},
                "fit over by hand": median["fit"] / median["by hand"],
                "share outside arithmetic": 1 - median["arithmetic"] / median["fit"],
            }
        )
    report("overhead", rows, turns=turns)


def _fit(data_dir: str, size: int, steps: int) -> float:
    """Training seconds of main.py fit."""
    words = ["fit", "--config", str(CONFIGS / "convnet.yaml"), "--data.data_dir", data_dir]
    words += ["--data.batch_size", str(size), "--trainer.max_steps", str(steps), "--trainer.accelerator", "cpu"]
    words += ["--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "1"]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        main([*words, "--trainer.default_root_dir", folder])
        (file,) = Path(folder).rglob("results.json")
        results: dict[str, Any] = json.loads(file.read_text())
    assert results["steps"] == steps
    return float(results["train_seconds"])


def _loop(batches: Iterable[Batch], steps: int) -> float:
    """Seconds of a plain training loop: convnet.yaml's network, loss, optimizer and schedule, nothing else."""
    torch.manual_seed(0)
    network = ConvNet(10, batch_norm=True).to(memory_format=torch.channels_last)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005, weight_decay=0.05)
    schedule = OneCycle(optimizer, steps, warmup=0.2)
    started = time.perf_counter()
    for images, labels in islice(batches, steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_bfloat16("cpu")):
            loss = criterion(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - started


def training_batches(data_dir: str, size: int) -> TrainingBatches:
    """convnet.yaml's first epoch in batches of `size`."""
    data = CIFAR10(data_dir, batch_size=size, flip="random", shift=2)
    data.prepare_data()
    data.setup("fit")
    normalise = Normalisation(data.mean, data.std, torch.device("cpu"))
    return TrainingBatches(data.train, normalise, size, data.augmentation, 0, lambda: (0, 0, 0, math.inf))


def _made(data_dir: str, size: int, steps: int) -> list[Batch]:
    """The batches, made beforehand."""
    return list(islice(training_batches(data_dir, size), steps))
