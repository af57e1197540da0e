"""The end of a run when one of its processes is lost."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from project.system.launch import external_launch, is_first_error
from project.system.signals import KILL, Interrupted

CHECK_SECONDS = 0.2  # between two checks of the other processes
GRACE_SECONDS = 5.0  # in which an error of one process also ends the other processes
PARENT_VARIABLE = "STARTED_BY_PROCESS"  # environment variable: the id of the process that started this one


class LostProcesses(Callback):
    """Ends all processes of a run, with one `error:` line, when one of them is lost.

    Without it, the other processes wait in a collective operation, forever or until torch raises a connection error.
    Some seconds after another process is lost, Lightning kills the first process without a message.
    """

    def __init__(self, resume_command: Callable[[], str]) -> None:
        """Prepare; `watch` begins.

        Args:
            resume_command: Returns the command that resumes the run, or an empty text if the run cannot be resumed.
        """
        self.resume_command = resume_command
        self._launcher: _SubprocessScriptLauncher | None = None
        self._launched_externally = False
        self._thread: threading.Thread | None = None
        self._failed = False  # by an error in this process, which explains more than the loss of another process
        self._connection_lost, self._stopped = threading.Event(), threading.Event()

    def watch(self, trainer: Trainer) -> None:
        """Begin, before Lightning starts the other processes. Does nothing in a run of one process."""
        launcher, parent = trainer.strategy.launcher, os.environ.pop(PARENT_VARIABLE, "")
        if not isinstance(launcher, _SubprocessScriptLauncher):
            return
        if not launcher.cluster_environment.creates_processes_externally:
            os.environ[PARENT_VARIABLE] = str(os.getpid())
            self._launcher = launcher
            self._start_thread(self._watch_others, launcher)
        elif external_launch():
            self._launched_externally = True
            self._start_thread(self._watch_parent, os.getppid())
        elif parent and rank_zero_only.rank:  # type: ignore[attr-defined]
            self._start_thread(self._watch_parent, int(parent))

    def stop(self) -> None:
        self._stopped.set()
        os.environ.pop(PARENT_VARIABLE, None)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Wait until every process has finished its part, such as its predictions."""
        trainer.strategy.barrier()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """After a connection error, wait until the thread finds the reason. Any other error ends this process.

        torchrun and srun know the reason, and say it.
        """
        if self._thread is not None and _is_connection_error(exception):
            self._connection_lost.set()
            if self._launched_externally:
                self._report("another process of this run has ended")
                _exit(1)
            self._thread.join(2 * GRACE_SECONDS)
            return
        self._failed = True
        if self._launcher is not None and isinstance(exception, Interrupted):
            self._launcher.kill(KILL)  # in the final test, they would wait for this process

    def _start_thread(self, function: Callable[..., None], *args: object) -> None:
        self._thread = threading.Thread(target=function, args=args, daemon=True)
        self._thread.start()

    def _watch_parent(self, parent: int) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            if os.getppid() != parent:
                _exit(1)

    def _watch_others(self, launcher: _SubprocessScriptLauncher) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            if len(launcher.procs) < launcher.num_processes - 1:
                continue
            # Lightning has a thread that would kill this process. It looks at the first list of processes.
            watched_by_lightning, launcher.procs = launcher.procs, list(launcher.procs)
            watched_by_lightning.clear()
            codes = [process.poll() for process in launcher.procs]
            if lost := [(rank, code) for rank, code in enumerate(codes, 1) if code]:
                self._connection_lost.wait(GRACE_SECONDS)  # the same error may end this process too
                if not self._failed:
                    self._end(launcher, *lost[0])
            if lost or None not in codes:
                return

    def _end(self, launcher: _SubprocessScriptLauncher, rank: int, code: int) -> None:
        ending = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._report(f"process {rank + 1} of {launcher.num_processes} {ending}")
        launcher.kill(KILL)
        _exit(code if code > 0 else 128 - code)

    def _report(self, problem: str) -> None:
        """Print the line, unless a process that has ended has printed its own error."""
        if is_first_error():
            command = self.resume_command()
            advice = f"resume with: {command}" if command else "give the command again"
            print(f"error: {problem}; {advice}", file=sys.stderr, flush=True)


def _is_connection_error(exception: BaseException) -> bool:
    """Whether another process does not answer. Errors of gloo have no class, but their text names its source file."""
    return isinstance(exception, torch.distributed.DistError) or (
        isinstance(exception, RuntimeError) and "/gloo/" in str(exception)
    )


def _exit(code: int) -> None:
    """End this process and its data workers at once. The main thread may wait forever, so it cannot do this."""
    with suppress(OSError, ValueError):  # nobody may read it any more
        sys.stdout.flush()
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(code)
