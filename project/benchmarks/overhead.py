"""A step of main.py fit compared with a loop written by hand and with the arithmetic alone, in alternating turns."""

import math
import signal
import statistics
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from multiprocessing import get_context
from typing import Any

import torch
from torch import nn

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_this_process
from project.benchmarks.report import report
from project.data import CIFAR10
from project.data.batches import Batch, TrainingBatches
from project.data.normalisation import Normalisation
from project.networks import ConvNet
from project.optim import OneCycle
from project.system.hardware import computes_bfloat16
from project.system.process import settle

KINDS = ("fit", "by hand", "arithmetic")
STEPS = {16: 400, 125: 240, 500: 40}  # steps of a turn, by batch size: 4 to 30 s on two cores
WARM_UP_STEPS = 5


def measure(data_dir: str, turns: int, sizes: Sequence[int] = tuple(STEPS), steps: int | None = None) -> None:
    """Report the milliseconds of a step of convnet.yaml at several batch sizes, for each of the three."""
    rows = []
    for size in sizes:
        count = steps or STEPS[size]
        seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for turn in range(turns):
            for kind in KINDS[:: 1 if turn % 2 == 0 else -1]:
                seconds[kind].append(in_new_process(kind, data_dir, size, count))
            print(f"batches of {size}, turn {turn + 1} of {turns}", flush=True)
        median = {kind: statistics.median(durations) for kind, durations in seconds.items()}
        row = {f"{kind}, ms a step": 1000 * value / count for kind, value in median.items()}
        row |= {"fit over by hand": median["fit"] / median["by hand"]}
        row |= {"share outside arithmetic": 1 - median["arithmetic"] / median["fit"]}
        rows.append({"batch size": size, "steps": count, **row})
    report("overhead", rows, turns=turns)


def in_new_process(*arguments: Any) -> float:
    """What `seconds_of` returns, in a process of its own: what a process did before changes a loop's time."""
    with get_context("spawn").Pool(1, _start) as pool:
        return float(pool.apply(seconds_of, arguments))


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    settle()


def seconds_of(kind: str, data_dir: str, size: int, steps: int) -> float:
    """Training seconds of one of KINDS, after a few steps that warm it up."""
    loops = {"fit": _fit, "by hand": _by_hand, "arithmetic": _arithmetic}
    loops[kind](data_dir, size, WARM_UP_STEPS)
    return loops[kind](data_dir, size, steps)


def _fit(data_dir: str, size: int, steps: int) -> float:
    """Training seconds of main.py fit."""
    options = ["--data.data_dir", data_dir, "--data.batch_size", str(size), "--trainer.max_steps", str(steps)]
    options += ["--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "1", "--trainer.accelerator", "cpu"]
    results, _ = fit_in_this_process(fit_arguments([CONFIGS / "convnet.yaml"], options))
    assert results["steps"] == steps
    return float(results["train_seconds"])


def _by_hand(data_dir: str, size: int, steps: int) -> float:
    return _loop(training_batches(data_dir, size), steps)


def _arithmetic(data_dir: str, size: int, steps: int) -> float:
    return _loop(list(islice(training_batches(data_dir, size), steps)), steps)


def _loop(batches: Iterable[Batch], steps: int) -> float:
    """Seconds of a plain training loop with only the network, loss, optimizer and schedule of convnet.yaml."""
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


def training_batches(data_dir: str, size: int, **options: Any) -> TrainingBatches:
    """The first epoch of convnet.yaml in batches of `size`; `options` of the data change its augmentation."""
    data = CIFAR10(data_dir, batch_size=size, **({"flip": "random", "shift": 2} | options))
    data.prepare_data()
    data.setup("fit")
    normalise = Normalisation(data.mean, data.std, torch.device("cpu"))
    return TrainingBatches(
        data.train, normalise, size, data.augmentation, 0, lambda: (0, 0, 0, math.inf), 0, 1, data.transforms
    )
