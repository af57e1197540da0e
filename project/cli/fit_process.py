"""Fits in processes of their own, for a search. A fork server has imported the project, so each starts at once."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from project.runs.settings import flatten
from project.search.fits import Fit, Report
from project.system.errors import UserError
from project.system.files import FULL_OR_CLOSED
from project.system.signals import REQUEUE, STOP_SIGNALS, Interrupted

FORKSERVER = multiprocessing.get_context("forkserver")
DISK = 74  # exit code of a fit that could not write to the disk, as in sysexits.h
STOPPED = {128 + signum: signum for signum in (*STOP_SIGNALS, REQUEUE or signal.SIGTERM)}


class FitProcesses:
    """Checks and runs fits, each in a new process."""

    def __init__(self) -> None:
        FORKSERVER.set_forkserver_preload(["project.cli.experiment", "project.cli.fit_process"])
        with _no_interrupts():  # Ctrl-C is for this process, which ends the others
            forkserver.ensure_running()

    def check(self, candidates: Sequence[Sequence[str]], objective: str) -> Mapping[str, Any]:
        """The settings of the first candidate. Raises UserError if a fit with the words of one cannot begin."""
        with _started(_check, [list(words) for words in candidates], objective) as (process, connection):
            with suppress(EOFError):
                settings, problem = connection.recv()
            process.join()
        if process.exitcode:
            raise RuntimeError(f"the check of the options ended with exit code {process.exitcode}")
        if problem:
            raise UserError(problem)
        return dict(settings)

    def run(self, fit: Fit, report: Report) -> str:
        """The error line of a fit that failed; empty for one that finished, or that ended because it was asked to."""
        begin = fit.log.stat().st_size if fit.log.exists() else 0
        ended = False
        with _started(_fit, fit) as (process, connection):
            while connection in wait([connection, process.sentinel]):
                try:
                    ended = report(*connection.recv()) or ended
                    connection.send(ended)
                except (EOFError, OSError):
                    break
            process.join()
        code = process.exitcode or 0
        if code == 0 or (ended and code in STOPPED):
            return ""
        if code in STOPPED:  # by somebody else
            raise Interrupted(STOPPED[code])
        line = _error_line(fit.log, begin, code)
        if code == DISK:
            raise UserError(line)
        return line

    def test(self, run: Path) -> Mapping[str, float]:
        """What the test measures of the run's best checkpoint."""
        with _started(_test, run) as (process, connection):
            try:
                figures: Mapping[str, float] = connection.recv()
            except EOFError:
                raise UserError(f"the test of {run} has failed; main.py test --ckpt_path {run} shows why") from None
            process.join()
        return figures


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C, here for the moment and in processes that the block starts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _started(target: Any, *arguments: Any) -> Any:
    """A process and the connection to it. If the block ends early, the process finishes its step and stops."""
    connection, other = FORKSERVER.Pipe()
    process: ForkServerProcess = FORKSERVER.Process(target=_begin, args=(Path.cwd(), target, *arguments, other))
    process.start()
    other.close()
    try:
        yield process, connection
    except BaseException:
        process.terminate()
        connection.close()  # it may wait for the answer to a report
        process.join()
        raise
    finally:
        connection.close()


def _begin(directory: Path, target: Any, *arguments: Any) -> None:
    os.chdir(directory)  # the fork server has that of its own start
    threading.Thread(target=_stop_with_worker, daemon=True).start()
    target(*arguments)


def _check(candidates: Sequence[Sequence[str]], objective: str, connection: Connection) -> None:
    from project.cli.arguments import check_yaml, user_modules
    from project.cli.checked_fit import CheckedFit
    from project.cli.endings import endings
    from project.system.process import settle

    settle()
    settings: dict[str, Any] = {}
    errors = StringIO()
    try:
        for words in candidates:
            printed = redirect_stdout(StringIO()) if settings else ExitStack()  # the lines of the first are enough
            with redirect_stderr(errors), printed, endings(), user_modules(words), ExitStack() as cleanup:
                check_yaml(words)
                found = CheckedFit(["fit", *words], cleanup, objective).settings
                settings = settings or flatten(found)
    except SystemExit:
        connection.send((settings, errors.getvalue().strip().removeprefix("error: ")))
    else:
        connection.send((settings, ""))


def _fit(fit: Fit, connection: Connection) -> None:
    from project.callbacks.trial_reports import TrialReports
    from project.cli.arguments import user_modules
    from project.cli.endings import endings
    from project.cli.experiment import run_experiment
    from project.system.process import settle

    words = ["fit", *fit.current_words]

    def report(percent: int, value: float) -> bool:
        with suppress(OSError, EOFError):  # the worker is gone
            connection.send((percent, value))
            return bool(connection.recv())
        return False

    reports = TrialReports(int(fit.run.name.removeprefix("version_")), fit.objective, report)
    try:
        _settle(fit, words)
        settle()
        with endings(), user_modules(fit.words):  # modules beside the files of --config, also for a run that goes on
            run_experiment(words, reports)
    except BaseException as error:
        if _is_of_disk(error):
            sys.exit(DISK)
        raise


def _is_of_disk(error: BaseException) -> bool:
    """Whether a full disk, or one that cannot be written, is the cause: no fault of the trial's settings."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL_OR_CLOSED:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _settle(fit: Fit, words: list[str]) -> None:
    """Make this process like one that a shell has started, but for Ctrl-C, which the worker passes on."""
    import torch

    os.setsid()
    log = os.open(fit.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    sys.argv = [sys.argv[0], *words]  # for the other processes of the run, which Lightning starts
    os.environ["OMP_NUM_THREADS"] = str(fit.threads)
    for name in (
        "SLURM_RESTART_COUNT",
        "SLURM_JOB_ID",
        "SLURM_ARRAY_JOB_ID",
        "SLURM_STEP_ID",
    ):  # the worker answers SLURM
        os.environ.pop(name, None)
    if REQUEUE:
        signal.signal(REQUEUE, signal.SIG_IGN)
    torch.set_num_threads(fit.threads)


def _stop_with_worker() -> None:
    """Stop if the worker is gone. A fit saves its run first, so that another worker can go on with it."""
    if worker := multiprocessing.parent_process():
        worker.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _test(run: Path, connection: Connection) -> None:
    from project.cli.main import main

    words = ["test", "--ckpt_path", str(run), "--trainer.limit_test_batches", "1.0"]
    with redirect_stdout(StringIO()):
        result = main(words)
    connection.send(dict(result.figures))


def _error_line(log: Path, begin: int, code: int) -> str:
    """The `error:` line of a fit, or the last line that it has printed."""
    lines = log.read_bytes()[begin:].decode(errors="replace").splitlines() if log.exists() else []
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1]
    if code == DISK:
        return f"{log.parent.parent} cannot be written; make room, then run the command again"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}; if nobody sent it, the memory was perhaps too small; see {log}"
    return f"{lines[-1] if lines else f'exit code {code}'}; see {log}"
