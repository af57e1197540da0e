"""Run `main.py fit` for a measurement and return what it measured, in this process or in a new one."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from project.cli.main import main

MAIN = Path(__file__).parents[2] / "scripts/main.py"
CONFIGS = MAIN.parents[1] / "configs"


def fit_arguments(configs: Sequence[str | Path], options: Sequence[str] = ()) -> list[str]:
    """The arguments of main.py that fit an experiment of these config files with these options."""
    return ["fit", *(word for config in configs for word in ("--config", str(config))), *options]


@contextlib.contextmanager
def temporary_fit(arguments: Sequence[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run main.py in this process and print nothing: the run directory, which is temporary, and results.json."""
    with tempfile.TemporaryDirectory() as root:
        with contextlib.redirect_stdout(io.StringIO()):
            main([*arguments, "--trainer.default_root_dir", root])
        (file,) = Path(root).rglob("results.json")
        yield file.parent, json.loads(file.read_text())


def fit_in_new_process(arguments: Sequence[str]) -> dict[str, Any]:
    """Run main.py in a new process: results.json, with the seconds and the peak memory (GiB) of the process.

    If the benchmark is stopped by Ctrl-C, it kills this process and all processes that it started.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(MAIN), *arguments], stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                print(f"  {line}", end="", flush=True)
                lines.append(line)
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
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
