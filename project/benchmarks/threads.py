"""An epoch with one thread, and with all in each way to wait for one another: alone and beside other programs."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from project.benchmarks.fitting import CONFIGS, MAIN, fit_arguments, fit_in_new_process
from project.benchmarks.report import report
from project.system.threads import OPENMP, usable_cores

# By variables of OpenMP, before torch is imported.
WAYS: dict[str, dict[str, str]] = {
    "one thread": {OPENMP: "1"},
    "OpenMP's default": {},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "OMP_WAIT_POLICY=active": {"OMP_WAIT_POLICY": "active"},
}
LOOP = [sys.executable, "-c", "while True: pass"]
NEIGHBOURS = {
    "alone": [],
    "beside a loop": LOOP,
    "beside a loop of lower priority": ["nice", *LOOP],
    "beside such a run": [sys.executable, str(MAIN)],
}


def measure(turns: int, epochs: int, fit_options: Sequence[str] = ()) -> None:
    """Report the median seconds of an epoch of convnet.yaml on the digits, in training steps alone."""
    options = ["--trainer.accelerator", "cpu", "--pictures", "false", *fit_options, "--trainer.max_epochs"]
    words = fit_arguments([CONFIGS / "convnet.yaml", CONFIGS / "data/digits.yaml"], options)
    seconds: dict[tuple[str, str], list[float]] = {(way, other): [] for way in WAYS for other in NEIGHBOURS}
    for turn in range(turns):
        for (way, other), durations in seconds.items():
            print(f"turn {turn}: {way}, {other}", flush=True)
            command = [*NEIGHBOURS[other], *([*words, "1000"] if str(MAIN) in NEIGHBOURS[other] else [])]
            with tempfile.TemporaryDirectory() as root, _running(command, root, WAYS[way]):
                fit = [*words, str(epochs), "--trainer.default_root_dir", root]
                durations.append(fit_in_new_process(fit, WAYS[way])["train_seconds"] / epochs)
    median = {key: statistics.median(durations) for key, durations in seconds.items()}
    rows = [{"": way, **{f"{other}, s": median[way, other] for other in NEIGHBOURS}} for way in WAYS]
    report("threads", rows, usable_cores=usable_cores(), turns=turns, command=[*words, str(epochs)])


@contextmanager
def _running(command: Sequence[str], directory: str, variables: Mapping[str, str]) -> Iterator[None]:
    """Run another program during the block, or none."""
    if not command:
        yield
        return
    with subprocess.Popen(
        command, cwd=directory, env={**os.environ, **variables}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.kill()
