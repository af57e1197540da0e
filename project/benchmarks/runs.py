"""Runs of `main.py fit` in processes of their own, kept as they end, so that a long benchmark can be continued."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from project.benchmarks.report import path_of, report, save, summary

MAIN = Path(__file__).parents[2] / "scripts/main.py"
CONFIGS = MAIN.parents[1] / "configs"
CLOCKS = ("train_seconds", "fit_seconds", "process_seconds", "peak_gib")


def seeds(configs: Sequence[str], count: int, further: Sequence[str]) -> None:
    """One experiment over `count` seeds: accuracy, the three clocks and memory."""
    name = "-".join(Path(config).stem for config in configs)
    runs = measure(name, configs, count, further)
    columns = [column for column in (*accuracies(runs[0]), *CLOCKS) if runs[0][column] is not None]
    rows = [{"seed": run["seed"], **{column: run[column] for column in columns}} for run in runs]
    report(name, [*rows, *summary(runs, columns)], finished=True, command=command_of(configs, further), runs=runs)


def measure(name: str, configs: Sequence[str], count: int, further: Sequence[str]) -> list[dict[str, Any]]:
    """The runs with seeds 0 .. count-1; those that the same command ended before it was cut short are not repeated."""
    command = command_of(configs, further)
    file = path_of(name, command)
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"finished": True}
    runs: list[dict[str, Any]] = [] if kept["finished"] else kept["runs"][:count]
    for seed in range(len(runs), count):
        print(f"{' + '.join(configs)}, seed {seed} ({seed + 1} of {count})", flush=True)
        runs.append({"seed": seed, **fit(configs, [*further, "--seed_everything", str(seed)])})
        save(name, {"finished": False, "command": command, "runs": runs})
    return runs


def accuracies(results: dict[str, Any]) -> list[str]:
    """Names of the accuracies that a run measured, the plain test accuracy first."""
    return sorted(
        (name for name in results if "accuracy" in name), key=lambda name: (not name.startswith("test"), name)
    )


def fit(configs: Sequence[str], further: Sequence[str]) -> dict[str, Any]:
    """The results of one `main.py fit`, with the seconds and the peak memory of its process.

    It ends with the benchmark: Ctrl-C is for the benchmark alone, which kills it and what it has started.
    """
    command = [sys.executable, str(MAIN), *command_of(configs, further)]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                print(f"  {line}", end="", flush=True)
                lines.append(line)
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        sys.exit(process.returncode if process.returncode > 0 else 128 - process.returncode)
    file = Path(lines[-1].removeprefix("results: ").strip())
    kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    clocks = {"process_seconds": seconds, "peak_gib": kib / 2**20}
    return {**json.loads(file.read_text()), **clocks, "run": str(file.parent)}


def command_of(configs: Sequence[str], further: Sequence[str]) -> list[str]:
    """What follows main.py."""
    return ["fit", *(word for config in configs for word in ("--config", config)), *further]
