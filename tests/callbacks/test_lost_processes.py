"""If a process of a run is lost, the other processes end soon, with one line."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from project.benchmarks.processes import FORKSERVER, imitate_shell
from project.benchmarks.resume import arguments_of
from project.callbacks import lost_processes
from project.callbacks.lost_processes import LostProcesses
from project.cli.main import main
from project.training.classifier import Classifier
from tests.runs.test_kills import PLAIN


def _fit_and_lose(lost: str, words: list[str], folder: Path) -> None:
    """A fit in two processes. SIGKILL ends one of them."""
    imitate_shell(words, folder)
    original = Classifier.training_step

    def training_step(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == 8:  # of the second epoch: there is a checkpoint
            launcher: Any = self.trainer.strategy.launcher
            os.kill(os.getpid() if lost == "the first" else launcher.procs[0].pid, signal.SIGKILL)
        return original(self, batch, batch_idx)

    Classifier.training_step = training_step  # type: ignore[method-assign]
    main(words)


def running_processes(group: int) -> list[str]:
    """The command lines of the processes in `group` that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group = (path / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append((path / "cmdline").read_text())
        except OSError:  # it has just ended
            continue
    return found


@pytest.mark.parametrize(("lost", "code"), [("another", 128 + signal.SIGKILL), ("the first", -signal.SIGKILL)])
def test_lost(lost: str, code: int, tmp_path: Path) -> None:
    process = FORKSERVER.Process(target=_fit_and_lose, args=(lost, arguments_of({**PLAIN, "processes": 2}), tmp_path))
    process.start()
    process.join()
    output = tmp_path.with_suffix(".log").read_text()
    assert process.exitcode == code, output
    assert process.pid is not None
    for _ in range(600):
        if not running_processes(process.pid):
            break
        time.sleep(0.1)
    assert running_processes(process.pid) == []
    output = tmp_path.with_suffix(".log").read_text()
    assert "Traceback" not in output
    errors = [line for line in output.splitlines() if "error" in line.lower()]
    if lost == "the first":
        assert errors == []
        return
    (line,) = errors
    start, command = line.split("; resume with: ")
    assert start == "error: process 2 of 2 was killed by SIGKILL"
    _, _, fit, *options = shlex.split(command)
    assert (fit, options) == ("fit", ["--config", "lightning_logs/mlp/version_0/config.yaml", "--ckpt_path", "last"])
    assert (tmp_path / options[1]).exists()


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    codes: list[int] = []
    monkeypatch.setattr(lost_processes, "_exit", codes.append)
    monkeypatch.setattr(lost_processes, "GRACE_SECONDS", 0.01)
    return codes


@pytest.fixture
def launcher() -> _SubprocessScriptLauncher:
    """A launcher with two processes: the first ends with exit code 3, the other goes on."""
    started = _SubprocessScriptLauncher(None, 3, 1)  # type: ignore[arg-type]
    programs = ("raise SystemExit(3)", "import time; time.sleep(600)")
    started.procs = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    started.procs[0].wait()
    return started


def test_a_process_that_failed(
    launcher: _SubprocessScriptLauncher, exits: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    given = launcher.procs
    LostProcesses(str)._watch_others(launcher)
    assert capsys.readouterr().err == "error: process 2 of 3 ended with exit code 3; give the command again\n"
    assert exits == [3]
    assert launcher.procs[1].wait() == -signal.SIGKILL
    assert given == []  # what Lightning's own watch looks at


def test_an_error_of_the_first_process_is_shown_instead(
    launcher: _SubprocessScriptLauncher, exits: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    watch, trainer, module = LostProcesses(str), Any, Any
    watch.on_exception(trainer, module, ValueError("a bug"))  # type: ignore[arg-type]
    watch._watch_others(launcher)
    assert (capsys.readouterr().err, exits) == ("", [])
    launcher.kill(signal.SIGKILL)
