"""The command line on Windows and macOS, as far as it can be seen on Linux."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.conftest import REPOSITORY


def test_without_posix_names_and_unicode(digits: Callable[..., list[str]]) -> None:
    """A fit, its resume, a test and a comparison, of an experiment whose name the terminal cannot print.

    oneDNN may not use bfloat16 units, so `auto` chooses float32, and Muon computes in it.
    """
    program = [sys.executable, "-X", "warn_default_encoding", str(Path(__file__).with_name("without_posix.py"))]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "ascii"}
    environment["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    words = [*digits(), "--name", "größe", "--pictures", "false", "--trainer.precision", "auto"]
    done = subprocess.run([*program, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(REPOSITORY) not in done.stderr  # warnings of a missing encoding name the file
    assert yaml.safe_load(Path("lightning_logs/größe/version_0/environment.yaml").read_text())["precision"] == "32-true"
    run = "lightning_logs/gr\\xf6\\xdfe/version_0"
    assert f"continuing {run} after 4 steps" in done.stdout
    assert done.stdout.endswith("training: True\ntraining: False\nhelp: False\nmuon: torch.float32\n")
