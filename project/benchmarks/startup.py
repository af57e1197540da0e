"""From the start of the process to the end of the first step, in parts."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.benchmarks.report import report, summary

PARTS = ("python and imports", "options and parts", "data and run directory", "start of the fit", "first step")
# scripts/main.py, with the time after the imports.
PROGRAM = """
import time
import project.cli.experiment
from project.cli.main import main
from project.system.process import settle
print("mark imported", time.time())
settle()
main()
"""


class Marks(Callback):
    """Print the time at the end of each part of the start."""

    def __init__(self) -> None:
        mark("built")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            mark("data")

    def on_train_batch_start(self, *args: Any) -> None:
        mark("fit")

    def on_train_batch_end(self, *args: Any) -> None:
        mark("step")


def mark(name: str) -> None:
    print(f"mark {name} {time.time()}", flush=True)


def measure(data_dir: str, turns: int, fit_options: Sequence[str] = ()) -> None:
    """Report the seconds of each part for a new and for a resumed run of convnet.yaml."""
    measure_fit(fit_arguments([CONFIGS / "convnet.yaml"], ["--data.data_dir", data_dir, *fit_options]), turns)


def measure_fit(arguments: Sequence[str], turns: int) -> None:
    """Report the seconds of each part for a fit with these arguments of main.py.

    The first start does not count, because its files are not yet in the memory of the system.
    """
    with tempfile.TemporaryDirectory() as root:
        _parts([*arguments, "--trainer.max_steps", "1"], root)
    kinds: dict[str, list[dict[str, Any]]] = {"startup": [], "startup-resumed": []}
    for turn in range(turns):
        with tempfile.TemporaryDirectory() as root:
            for steps, (kind, rows) in enumerate(kinds.items(), 1):
                resumed = ["--ckpt_path", "last"] if kind == "startup-resumed" else []
                rows.append({"seed": turn, **_parts([*arguments, "--trainer.max_steps", str(steps), *resumed], root)})
        print(f"start {turn + 1} of {turns}", flush=True)
    for kind, rows in kinds.items():
        report(kind, [*rows, *summary(rows, (*PARTS, "whole"))], turns=turns, command=list(arguments))


def _parts(arguments: Sequence[str], root: str) -> dict[str, float]:
    command = [sys.executable, "-c", PROGRAM, *arguments, "--trainer.callbacks", f"{__name__}.Marks"]
    command += ["--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "1"]
    command += ["--trainer.default_root_dir", root]
    started = time.time()
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        print(process.stderr, end="", file=sys.stderr)
        sys.exit(process.returncode)
    lines = [line.split() for line in process.stdout.splitlines() if line.startswith("mark ")]
    marks = {name: float(seconds) for _, name, seconds in lines}
    ends = [started, *(marks[name] for name in ("imported", "built", "data", "fit", "step"))]
    parts = {part: after - before for part, (before, after) in zip(PARTS, pairwise(ends), strict=True)}
    return {**parts, "whole": ends[-1] - ends[0]}
