"""Threads: a process computes with as many as it was given cores, not with as many as the machine has."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

from project.system import control_groups

OPENMP = "OMP_NUM_THREADS"


def usable_cores() -> int:
    """The number of cores that this process was given, at least 1.

    This is the smallest of three numbers: the cores on which the process may run (affinity), the computing time of its
    container (quotas of Linux's control groups, rounded down), and SLURM_CPUS_PER_TASK.
    """
    quotas = control_groups.limits("cpu", ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    limits = [_allowed_cores(), *(quota // period for quota, period in quotas if quota > 0)]  # -1 is no limit
    limits += [int(slurm)] if slurm.isdecimal() else []
    return max(1, min(limits))


def cores_of_each(processes: int) -> int:
    """The number of cores, at least 1, of each of the processes that share this machine, such as those of a run.

    SLURM_CPUS_PER_TASK is already the number of one process.
    """
    return usable_cores() if "SLURM_CPUS_PER_TASK" in os.environ else max(1, usable_cores() // processes)


@contextmanager
def threads(count: int | None = None, earlier: int | None = None, processes: int = 1) -> Iterator[None]:
    """Compute the block with this number of threads. If torch is not imported yet, it gets the number at its import.

    Args:
        count: The number, also for processes that are started in the block. None takes the number that the environment
            gives, or else at most one for each usable core.
        earlier: The number of a run that goes on. It takes the place of None, unless the environment gives a number or
            there are not so many cores.
        processes: Of the run, on this machine. They share its cores.
    """
    torch: Any = sys.modules.get("torch")
    before = number = torch.get_num_threads() if torch else _allowed_cores()  # torch counts physical cores
    if count is None and OPENMP not in os.environ and "MKL_NUM_THREADS" not in os.environ:
        number = min(number, cores := cores_of_each(processes))
        count = earlier if earlier and earlier <= cores else number if processes > 1 else None
    number = count or number
    with ExitStack() as restored:
        if count or (number < before and not torch):
            restored.callback(_set_variable, OPENMP, os.environ.get(OPENMP))
            _set_variable(OPENMP, str(number))
        if torch and number != before:
            restored.callback(torch.set_num_threads, before)
            torch.set_num_threads(number)
        yield


@cache
def _allowed_cores() -> int:
    """As it was at the first call. With OMP_PROC_BIND=true, the import of torch leaves one core to this thread."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _set_variable(name: str, value: str | None) -> None:
    """Set a variable of the environment, or remove it for None."""
    os.environ.pop(name, None)
    os.environ |= {name: value} if value is not None else {}
