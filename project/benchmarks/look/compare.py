"""How long main.py compare takes for 200 runs, from the start of Python to its end, and whether it imports torch."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from project.benchmarks.fitting import CONFIGS, MAIN, fit_arguments, fit_in_new_process
from project.benchmarks.look.part import Options, Row
from project.runs.directories import CONFIG
from project.runs.results import RESULTS, TEST, read_results

RUNS, SEEDS, IMAGES, CLASSES = 200, 5, 10_000, 10
# scripts/main.py, which also says whether torch was imported.
PROGRAM = """
import sys
from project.cli.main import main
main(own_process=True)
print("torch" in sys.modules)
"""


def rows(options: Options) -> list[Row]:
    """The table of 200 runs of the digits, and of 200 runs with the logits of as many test images as CIFAR-10 has."""
    with tempfile.TemporaryDirectory() as root:
        words = ["--trainer.max_epochs", "2", "--trainer.default_root_dir", f"{root}/real"]
        fit = fit_in_new_process(fit_arguments([CONFIGS / "convnet.yaml", CONFIGS / "data/digits.yaml"], words))
        runs = [_copy(Path(fit["run"]), Path(root, "runs"), number) for number in range(RUNS)]
        seconds, imports_torch = _compare(root, options.turns)
        for run in runs:
            _write_logits(run / TEST)
        with_logits, _ = _compare(root, options.turns)
    return [
        (f"seconds of main.py compare of {RUNS} runs of the digits", seconds, "under 1"),
        ("imports of torch in it", float(imports_torch), "0"),
        (f"seconds of it with the logits of {IMAGES:,} test images in each run", with_logits, ""),
    ]


def _copy(run: Path, root: Path, number: int) -> Path:
    """A copy of the run, with another learning rate or seed and other results; without checkpoints and events."""
    setting, seed = divmod(number, SEEDS)
    path = root / f"experiment{setting // SEEDS}" / f"version_{number % SEEDS**2}"
    path.mkdir(parents=True)
    for file in run.iterdir():
        if file.suffix in (".yaml", ".csv", ".npz"):
            shutil.copy(file, path)
    settings: dict[str, Any] = yaml.safe_load((run / CONFIG).read_text("utf-8"))
    settings["seed_everything"] = seed
    settings["model"]["optimizer"]["init_args"]["lr"] = 0.001 * (1 + setting)
    (path / CONFIG).write_text(yaml.safe_dump(settings, sort_keys=False))
    results = {**(read_results(run) or {}), "test/accuracy": 0.9 + number / 10_000}
    (path / RESULTS).write_text(json.dumps(results))
    return path


def _write_logits(file: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, IMAGES)
    logits = random.normal(size=(IMAGES, CLASSES)).astype(np.float32)
    names = np.array([f"class {number}" for number in range(CLASSES)])
    np.savez(file, index=np.arange(IMAGES), label=labels, logits=logits, class_names=names)


def _compare(root: str, turns: int) -> tuple[float, bool]:
    """The median of the seconds, and whether torch was imported."""
    command = [sys.executable, "-c", PROGRAM, "compare", f"{root}/runs"]
    seconds, done = [], None
    for _ in range(turns + 1):  # the first one does not count, because its files are not yet in the memory
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=MAIN.parents[1])
        seconds.append(time.perf_counter() - started)
    assert done is not None
    return statistics.median(seconds[1:]), done.stdout.splitlines()[-1] == "True"
