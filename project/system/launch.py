"""The processes of one run: which launcher has started them, which one prints, and whose error is printed."""

import os
import re
import socket
import sys
import time
from datetime import timedelta
from typing import NamedTuple

JOIN_SECONDS = 10.0  # in which the first process, if it has no error itself, waits for the others


class Launch(NamedTuple):
    """The processes of a run that torchrun or srun has started."""

    launcher: str
    processes: int
    """On this machine."""
    machines: int


def external_launch() -> Launch | None:
    """How torchrun or srun has started this process as one of several; None if neither has.

    A batch script of SLURM without srun is a process like any other. So is the only task of srun: Lightning may start
    further processes there.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        processes = int(os.environ["LOCAL_WORLD_SIZE"])
        return Launch("torchrun", processes, int(os.environ["WORLD_SIZE"]) // processes)
    if "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        of_first_machine = re.match(r"\d+", os.environ["SLURM_STEP_TASKS_PER_NODE"])  # such as 2(x3)
        assert of_first_machine is not None
        return Launch("srun", int(of_first_machine[0]), int(os.environ["SLURM_STEP_NUM_NODES"]))
    return None


def is_first_process() -> bool:
    """Whether this process is the only one of the run, or the first of several, which prints."""
    if "lightning" not in sys.modules:
        return True
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def is_first_error() -> bool:
    """Whether this process prints its error: no other process of the run has had one before.

    The processes agree by torch's key-value store, which the first process or torchrun has. If that does not answer,
    the first process has ended by an error of its own.
    """
    if not (has_joined := _has_joined()) and is_first_process() and "TORCHELASTIC_RUN_ID" not in os.environ:
        return True
    address = os.environ.get("MASTER_ADDR", ""), int(os.environ.get("MASTER_PORT", 0))
    if not _answers(address, 0 if has_joined else JOIN_SECONDS):
        return is_first_process()
    from torch import distributed

    name, attempt = f"{socket.gethostname()} {os.getpid()}", os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)
    try:
        store = distributed.TCPStore(*address, is_master=False, timeout=timedelta(seconds=5))  # type: ignore[attr-defined]
        return bool(store.compare_set(f"error {attempt}", "", name) == name.encode())
    except distributed.DistError:
        return is_first_process()


def _has_joined() -> bool:
    """Whether this process knows the others."""
    distributed = sys.modules.get("torch.distributed")
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def _answers(address: tuple[str, int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while all(address):
        try:
            socket.create_connection(address, timeout=5).close()
            return True
        except OSError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.1)
    return False
