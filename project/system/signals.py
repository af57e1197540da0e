"""Signals that ask a run to stop: it finishes its step first."""

import os
import signal
import subprocess
import threading
from types import FrameType

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

REQUEUE = signal.SIGUSR1  # what `sbatch --signal=SIGUSR1@90` sends 90 seconds before a job's time is up


class Interrupted(BaseException):
    """What ends a fit that was asked to stop, once its step is done and saved."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Signals:
    """Remembers the first of SIGTERM, Ctrl-C and, on SLURM, the requeue signal; the next Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.received = 0
        self._at_once = False

    def watch(self, at_once: bool = False) -> None:
        """Begin, once Lightning has set its own handlers; when it ends it restores what was there before.

        Args:
            at_once: Raise Interrupted where the signal comes, since there is no step to finish.
        """
        self._at_once = at_once
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT, *((REQUEUE,) if SLURMEnvironment.detect() else ())):
                signal.signal(signum, self._receive)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.received = self.received or signum
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if self._at_once:
            raise Interrupted(signum)
        os.write(2, f"{signal.Signals(signum).name}: finishing the step; Ctrl-C stops at once\n".encode())


def job() -> str | None:
    """SLURM's name for the job that this is, the same when it is started again."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID")


def requeue() -> None:
    """Ask SLURM to start this job again."""
    subprocess.run(["scontrol", "requeue", str(job())], check=False)


def requeued() -> bool:
    """Whether SLURM has started this job before."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0
