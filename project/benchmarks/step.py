"""The parts of a training step: arithmetic, seconds, and their share of this machine's own matrix product."""

import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from project.benchmarks.article import train_program
from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_this_process
from project.benchmarks.report import report
from project.cli.main import main
from project.data.batches import TrainingBatches
from project.system.hardware import computes_bfloat16
from project.training.classifier import Classifier

STEPS = {"mlp": 300, "convnet": 60, "speed61": 60, "speed71": 120, "speed": 20}  # less than an epoch each
OTHER_STEPS = 40  # of any other experiment
PROGRAM, PROGRAM_STEPS, PROGRAM_EPOCHS = "the article's program", 300, 10
REST = "rest"  # Lightning, callbacks, metrics, schedule
PARTS = ("batch", "forward", "backward", "optimizer", REST)
Functions = Sequence[tuple[Any, str, str]]
"""Functions that are parts of a step: the owner, the name, and the part."""
BACKWARD = (torch.Tensor, "backward", "backward")
FIT: Functions = [(Classifier, "training_losses", "forward"), BACKWARD]
BY_HAND: Functions = [(nn.Sequential, "forward", "forward"), (nn.CrossEntropyLoss, "forward", "forward"), BACKWARD]


def measure(
    data_dir: str, configs: Sequence[str] | None = None, steps: int | None = None, fit_options: Sequence[str] = ()
) -> None:
    """Report the parts of a step of each experiment on a CPU. Without `configs`, the article's program is one."""
    rows = []
    for config in configs or [str(CONFIGS / f"{name}.yaml") for name in STEPS]:
        name = Path(config).stem
        arguments = fit_arguments([config], ["--data.data_dir", data_dir, "--trainer.accelerator", "cpu"])
        short = ["--trainer.max_steps", str(steps or STEPS.get(name, OTHER_STEPS)), "--trainer.limit_val_batches", "0"]
        before, clock = matrix_products(), StepClock()
        with clock.watching(FIT, TrainingBatches):
            fit_in_this_process([*arguments, *short, "--trainer.limit_test_batches", "1", *fit_options])
        rows += _rows(name, clock, before, _steps_of_run([*arguments, *fit_options], clock.batches))
    if not configs:
        before, clock = matrix_products(), StepClock(steps or PROGRAM_STEPS)
        with clock.watching(BY_HAND, DataLoader), suppress(_EnoughSteps):
            next(train_program(data_dir, 1))
        rows += _rows(PROGRAM, clock, before, PROGRAM_EPOCHS * clock.batches)
    report("step", rows, command=[*(configs or ()), *fit_options])


def _steps_of_run(arguments: Sequence[str], batches: int) -> int:
    """The steps of a whole run whose epochs have so many batches."""
    with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        main([*arguments, "--print_config"])
    trainer = yaml.safe_load(printed.getvalue())["trainer"]
    return min(limit for limit in ((trainer["max_epochs"] or 0) * batches, trainer["max_steps"]) if limit > 0)


def _rows(name: str, clock: "StepClock", before: dict[torch.dtype, float], steps: int) -> list[dict[str, Any]]:
    """A row for each part, for the whole step, and for the matrix product before and after the steps."""
    products = {"before": before.get(clock.dtype), "after": matrix_products().get(clock.dtype)}
    known = [speed for speed in products.values() if speed is not None]  # none in an unusual precision
    whole, rows = clock.mean(PARTS)[0], []
    for part in (*PARTS, "step"):
        seconds, operations = clock.mean(PARTS if part == "step" else (part,))
        row: dict[str, Any] = {"experiment": name, "part": part, "ms": 1000 * seconds}
        row |= {"all steps, s": steps * seconds if part == "step" else None, "share of the step": seconds / whole}
        speed = operations / seconds / 1e9 if operations else None
        of_product = speed * len(known) / sum(known) if speed and known else None
        row |= {"GFLOP": operations / 1e9 or None, "GFLOP/s": speed, "share of the product": of_product}
        rows.append(row)
    empty = dict.fromkeys(rows[0])
    precision = str(clock.dtype).removeprefix("torch.")
    for when, speed in products.items():
        rows.append({**empty, "experiment": name, "part": f"{precision} product {when}", "GFLOP/s": speed})
    return rows


def matrix_products(side: int = 2048, turns: int = 5) -> dict[torch.dtype, float]:
    """GFLOP/s of the product of two square matrices in each precision that the CPU computes natively: the best turn."""
    speeds = {}
    for dtype in (torch.float32, torch.bfloat16) if computes_bfloat16("cpu") else (torch.float32,):
        left, right = (torch.randn(side, side).to(dtype) for _ in range(2))
        best = float("inf")
        for _ in range(turns):
            started = time.perf_counter()
            left @ right
            best = min(best, time.perf_counter() - started)
        speeds[dtype] = 2 * side**3 / best / 1e9
    return speeds


class _EnoughSteps(Exception):
    """The limit of a StepClock is reached."""


@dataclass
class Step:
    """What is measured of a step."""

    side: int = 0  # of the images, in pixels; 0 before the first batch
    is_first: bool = False  # of this side
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # of each part
    operations: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # of each part of a first step


class StepClock:
    """Measures the parts of each step. A part within another one interrupts it, so that they add up to the step.

    The first step on images of each size is slow. Its floating-point operations are counted, and its seconds are not.
    """

    def __init__(self, limit: int | None = None) -> None:
        """Measure nothing yet. The loader raises an exception after `limit` steps."""
        self.dtype = torch.float32
        self.limit = limit
        self.batches = 0  # of an epoch
        self.steps = [Step()]
        self._part, self._since = REST, time.perf_counter()
        self._counter: FlopCounterMode | None = None

    def mean(self, parts: Sequence[str]) -> tuple[float, float]:
        """Seconds and floating-point operations of these parts in a step. The step that ends the run is left out."""
        operations = {step.side: step.operations for step in self.steps if step.is_first}
        timed = [step for step in self.steps[1:-1] if not step.is_first]
        seconds = sum(step.seconds[part] for step in timed for part in parts)
        return seconds / len(timed), sum(operations[step.side][part] for step in timed for part in parts) / len(timed)

    @contextmanager
    def watching(self, functions: Functions, loader: Any) -> Iterator[None]:
        """Measure these functions, the batches of `loader`, and the updates of all optimizers."""
        with ExitStack() as stack:
            stack.callback(self._stop_counting)
            stack.enter_context(patch.object(loader, "__iter__", self._batches(loader.__iter__)))
            for owner, name, part in functions:
                stack.enter_context(patch.object(owner, name, self._timed(part, getattr(owner, name))))
            stack.callback(register_optimizer_step_pre_hook(self._before_update).remove)
            stack.callback(register_optimizer_step_post_hook(self._after_update).remove)
            yield

    def _begin(self, part: str) -> str:
        """Begin a part; return the one that was measured until now."""
        step, before = self.steps[-1], self._part
        step.seconds[before] += time.perf_counter() - self._since
        if self._counter is not None:
            step.operations[before] += self._counter.get_total_flops() - sum(step.operations.values())
        self._part, self._since = part, time.perf_counter()
        return before

    def _end_step(self) -> None:
        self._begin(REST)
        self._stop_counting()
        self.steps.append(Step())

    def _stop_counting(self) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self._counter = None

    def _batches(self, iterate: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        def batches(loader: Any) -> Iterator[Any]:
            iterator, self.batches = iterate(loader), len(loader)
            while True:
                self._end_step()
                if self.limit is not None and len(self.steps) > self.limit + 1:
                    raise _EnoughSteps
                self._begin("batch")
                batch = next(iterator, None)
                self._begin(REST)
                if batch is None:
                    return
                self._set_side(batch[0].shape[-1])
                yield batch

        return batches

    def _set_side(self, side: int) -> None:
        step = self.steps[-1]
        step.side, step.is_first = side, side not in {earlier.side for earlier in self.steps}
        if step.is_first:
            self._counter = FlopCounterMode(display=False)
            self._counter.__enter__()  # type: ignore[no-untyped-call]

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            if torch.is_autocast_enabled("cpu"):
                self.dtype = torch.get_autocast_dtype("cpu")
            before = self._begin(part)
            result = function(*args, **options)
            self._begin(before)
            return result

        return timed

    def _before_update(self, optimizer: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Begin the optimizer's part. The closure in which Lightning takes the step is not a part of it."""
        self._begin("optimizer")
        if closure := options.get("closure"):
            options = {**options, "closure": self._timed(REST, closure)}
        return args, options

    def _after_update(self, *_: Any) -> None:
        self._begin(REST)
