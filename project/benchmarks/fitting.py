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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from project.cli.main import main

MAIN = Path(__file__).parents[2] / "scripts/main.py"
CONFIGS = MAIN.parents[1] / "configs"
# scripts/main.py, with a file for the Result.
PROGRAM = """
import json, sys
from pathlib import Path
from project.cli.main import main
from project.system.memory import peak_gib
from project.system.process import settle
file, *sys.argv = sys.argv[1:]
settle()
result = main()
Path(file).write_text(json.dumps({**result.figures, "run": str(result.directory), "peak_gib": peak_gib()}))
"""


def fit_arguments(configs: Sequence[str | Path], options: Sequence[str] = ()) -> list[str]:
    """The arguments of main.py that fit an experiment of these config files with these options."""
    return ["fit", *(word for config in configs for word in ("--config", str(config))), *options]


def fit_in_this_process(arguments: Sequence[str]) -> tuple[Mapping[str, Any], list[dict[str, float]]]:
    """Run main.py in a temporary directory and print nothing. Return results.json and the rows of metrics.csv."""
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
        result = main([*arguments, "--trainer.default_root_dir", root])
        return result.figures, result.metrics()


def fit_in_new_process(arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run main.py in a new process: results.json, the run directory, and the seconds and GiB of the process.

    Args:
        arguments: Of main.py.
        variables: Of the environment, besides those of this process.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "result.json")
        seconds = _run([sys.executable, "-c", PROGRAM, str(file), str(MAIN), *arguments], variables or {})
        return {**json.loads(file.read_text("utf-8")), "process_seconds": seconds}


def _run(command: list[str], variables: Mapping[str, str]) -> float:
    """Run a command and print its output. Return its seconds.

    At Ctrl-C it kills the process and all processes that the process started.
    """
    started = time.perf_counter()
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(f"  {line}", end="", flush=True)
            process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if process.returncode:
        sys.exit(process.returncode if process.returncode > 0 else 128 - process.returncode)
    return time.perf_counter() - started
