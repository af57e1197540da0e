"""What becomes of the processes of a run when one of them is lost."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from project.system.signals import Interrupted

PERIOD = 0.2  # seconds between two looks at the other processes
GRACE = 5.0  # seconds in which a process ends by itself that another one's error reaches
STARTED_BY = "STARTED_BY_PROCESS"  # environment variable: the process that has started this one


class LostProcesses(Callback):
    """Ends every process of a run when one of them is lost, with one `error:` line; none is left behind.

    A process that is lost leaves the others in a collective operation that never ends, or in which torch raises that
    the connection is gone. Lightning would kill the first process some seconds after another one, without a word.
    """

    def __init__(self, resume_command: Callable[[], str]) -> None:
        """Nothing is watched before `watch`.

        Args:
            resume_command: What resumes the run; empty where nothing does.
        """
        self.resume_command = resume_command
        self._launcher: _SubprocessScriptLauncher | None = None
        self._thread: threading.Thread | None = None
        self._ending = False  # by an error of this process's own, which says more than that another is gone
        self._waits, self._stopped = threading.Event(), threading.Event()

    def watch(self, trainer: Trainer) -> None:
        """Begin before the other processes are started. Does nothing where Lightning does not start them."""
        launcher, first = trainer.strategy.launcher, os.environ.pop(STARTED_BY, "")
        if not isinstance(launcher, _SubprocessScriptLauncher):
            return
        if not launcher.cluster_environment.creates_processes_externally:
            os.environ[STARTED_BY] = str(os.getpid())
            self._launcher = launcher
            self._begin(self._watch_others, launcher)
        elif first and rank_zero_only.rank:  # type: ignore[attr-defined]
            self._begin(self._watch_first, int(first))

    def stop(self) -> None:
        self._stopped.set()
        os.environ.pop(STARTED_BY, None)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let no process leave before each has done its part, such as its predictions."""
        trainer.strategy.barrier()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Where a connection is gone, give the watch the time to find out why; any other error ends the process."""
        if self._thread is not None and _is_of_connection(exception):
            self._waits.set()
            self._thread.join(2 * GRACE)
            return
        self._ending = True
        if self._launcher is not None and isinstance(exception, Interrupted):
            self._launcher.kill(signal.SIGKILL)  # in the final test they would wait for this one

    def _begin(self, function: Callable[..., None], *args: object) -> None:
        self._thread = threading.Thread(target=function, args=args, daemon=True)
        self._thread.start()

    def _watch_first(self, first: int) -> None:
        while not self._stopped.wait(PERIOD):
            if os.getppid() != first:
                _exit(1)

    def _watch_others(self, launcher: _SubprocessScriptLauncher) -> None:
        while not self._stopped.wait(PERIOD):
            if len(launcher.procs) < launcher.num_processes - 1:
                continue
            # Lightning's own watch, which would kill this process, looks at the list that it was given.
            given, launcher.procs = launcher.procs, list(launcher.procs)
            given.clear()
            codes = [process.poll() for process in launcher.procs]
            if lost := [(rank, code) for rank, code in enumerate(codes, 1) if code]:
                self._waits.wait(GRACE)  # the same error may end this process, too
                if not self._ending:
                    self._end(launcher, *lost[0])
            if lost or None not in codes:
                return

    def _end(self, launcher: _SubprocessScriptLauncher, rank: int, code: int) -> None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        command = self.resume_command()
        advice = f"resume with: {command}" if command else "give the command again"
        print(f"error: process {rank + 1} of {launcher.num_processes} {how}; {advice}", file=sys.stderr, flush=True)
        launcher.kill(signal.SIGKILL)
        _exit(code if code > 0 else 128 - code)


def _is_of_connection(exception: BaseException) -> bool:
    """Whether another process does not answer. What gloo raises has no class of its own, but the name of its file."""
    return isinstance(exception, torch.distributed.DistError) or (
        isinstance(exception, RuntimeError) and "/gloo/" in str(exception)
    )


def _exit(code: int) -> None:
    """End at once, with the processes that read images: the main thread may wait for what never comes."""
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(code)
