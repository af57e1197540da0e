"""Run main.py in processes that can be killed at a chosen moment."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from project.benchmarks.fitting import MAIN
from project.cli.main import main
from project.system import files
from project.system.process import settle
from project.training.classifier import Classifier

FORKSERVER = multiprocessing.get_context("forkserver")
# The server imports the project once, so that each new process starts in less than a second.
FORKSERVER.set_forkserver_preload(["project.cli.experiment", "project.benchmarks.resume", "sklearn.datasets"])


def run_main(
    arguments: Sequence[str], directory: Path, moment: tuple[str, int] = ("", 0), seconds: float | None = None
) -> int:
    """Run main.py in a new process and return its exit code.

    The moment is an event and its count: the process then kills itself. At the event `any`, this function kills it
    after `seconds`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    process: ForkServerProcess = FORKSERVER.Process(target=_run, args=(list(arguments), directory, *moment))
    process.start()
    if moment[0] == "any":
        process.join(seconds)
        if process.pid is not None and process.is_alive():
            with suppress(ProcessLookupError):  # it has no process group yet, so the run has not started
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(arguments: list[str], directory: Path, moment: str, count: int) -> None:
    imitate_shell(arguments, directory)
    _kill_at(moment, count)
    main(arguments)


def imitate_shell(arguments: list[str], directory: Path) -> None:
    """Make this process look as if a shell started `main.py` in `directory`. Its output goes to <directory>.log."""
    os.setsid()  # so that a kill also reaches the processes that this one starts
    log = os.open(directory.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.chdir(directory)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    sys.argv = [str(MAIN), *arguments]
    settle()


def _kill_at(moment: str, count: int) -> None:
    """Let this process kill itself when an event happens for the `count`th time."""
    calls = 0

    def kill_before(owner: Any, name: str, is_event: Callable[..., bool]) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any) -> Any:
            nonlocal calls
            calls += is_event(*args)
            if calls == count:
                os.killpg(os.getpid(), signal.SIGKILL)
            return original(*args)

        setattr(owner, name, wrapped)

    if moment == "validation":
        kill_before(Classifier, "validation_step", lambda *args: True)
    if moment == "last batch":
        kill_before(Classifier, "training_step", lambda model, _, i: i + 1 == model.trainer.num_training_batches)
    if moment == "while a checkpoint is written":
        kill_before(files, "synchronise", lambda path: path.is_file())
