"""Signals that ask a run to stop: it finishes its step first."""

import os
import signal
import subprocess
import threading
from types import FrameType
from typing import NoReturn

from project.system.launch import is_first_process

# `sbatch --signal=SIGUSR1@90` sends it 90 seconds before the time limit of a job; Windows has neither.
REQUEUE = getattr(signal, "SIGUSR1", None)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows ends a process at once by any signal


class Interrupted(BaseException):
    """Ends a fit that a signal has asked to stop, after its step is done and saved."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Signals:
    """Remembers the first SIGTERM, Ctrl-C or, on SLURM, requeue signal. The next Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.received = 0
        self._at_once = False

    def watch(self, at_once: bool = False) -> None:
        """Begin to listen. Call it after Lightning has set its handlers; at its end, Lightning restores the old ones.

        Args:
            at_once: Raise Interrupted as soon as a signal arrives, because there is no step to finish.
        """
        self._at_once = at_once
        if threading.current_thread() is threading.main_thread():
            for signum in (*STOP_SIGNALS, REQUEUE) if REQUEUE and job() else STOP_SIGNALS:
                signal.signal(signum, self._receive)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.received = self.received or signum
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if self._at_once:
            raise Interrupted(signum)
        if is_first_process():
            os.write(2, f"{signal.Signals(signum).name}: finishing the step; Ctrl-C stops at once\n".encode())


def stop_if_requeued() -> None:
    """On SLURM, raise Interrupted at the requeue signal, until a run that can save itself watches for it.

    Otherwise the signal would kill a command that has just begun, or that ends, and nobody would queue its job again.
    """
    if REQUEUE and job():
        signal.signal(REQUEUE, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(signum)


def job() -> str | None:
    """SLURM's name of this job, which stays the same when SLURM starts the job again; None outside SLURM."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID")


def requeue() -> None:
    """Ask SLURM to start this job again."""
    subprocess.run(["scontrol", "requeue", str(job())], check=False)


def requeued() -> bool:
    """Whether SLURM has started this job before."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0
