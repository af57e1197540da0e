"""From the start of the process to the end of the first step, in parts."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from project.benchmarks.report import report, summary

PARTS = ("python and imports", "options and parts", "data and run directory", "start of the fit", "first step")
# What scripts/main.py does, with the clock after the imports.
PROGRAM = """
import time
from project.cli.main import main
from project.system.process import settle
print("mark imported", time.time())
settle()
main()
"""


class Marks(Callback):
    """Prints the clock where a part of the start ends."""

    def __init__(self) -> None:
        mark("built")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            mark("data")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        mark("fit")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        mark("step")


def mark(name: str) -> None:
    print(f"mark {name} {time.time()}", flush=True)


def startup(turns: int, experiment: Sequence[str]) -> None:
    """Seconds of each part for the words that name an experiment: a new run's, and a resumed one's to its next step.

    The first start, with cold files, does not count.
    """
    with tempfile.TemporaryDirectory() as folder:
        _parts([*experiment, "--trainer.max_steps", "1"], folder)
    kinds: dict[str, list[dict[str, Any]]] = {"startup": [], "startup-resumed": []}
    for turn in range(turns):
        with tempfile.TemporaryDirectory() as folder:
            for steps, (kind, rows) in enumerate(kinds.items(), 1):
                resumed = ["--ckpt_path", "last"] if kind == "startup-resumed" else []
                rows.append(
                    {"seed": turn, **_parts([*experiment, "--trainer.max_steps", str(steps), *resumed], folder)}
                )
        print(f"start {turn + 1} of {turns}", flush=True)
    for kind, rows in kinds.items():
        report(kind, [*rows, *summary(rows, (*PARTS, "whole"))], turns=turns, command=list(experiment))


def _parts(experiment: Sequence[str], folder: str) -> dict[str, float]:
    words = ["fit", *experiment, "--trainer.callbacks", f"{__name__}.Marks"]
    words += ["--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "1"]
    command = [sys.executable, "-c", PROGRAM, *words, "--trainer.default_root_dir", folder]
    started = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    marks = {line.split()[1]: float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("mark ")}
    ends = [started, *(marks[name] for name in ("imported", "built", "data", "fit", "step"))]
    parts = {part: after - before for part, (before, after) in zip(PARTS, pairwise(ends), strict=True)}
    return {**parts, "whole": ends[-1] - ends[0]}
