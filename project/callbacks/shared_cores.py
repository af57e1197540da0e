"""A warning if other programs use the cores of a run."""

import sys
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

if sys.platform == "linux":  # Windows does not count interruptions, and no limit was measured on macOS
    import resource

CHECK_SECONDS = 5.0  # between two checks
# Interruptions of each thread in a second. Measured with mlp.yaml and convnet.yaml, two threads, two cores, Linux 6.18:
# 1 without other programs, 60 beside programs that used a tenth of the cores, 120 to 140 beside a loop that used one
# core, and 45 beside six other programs.
MAX_INTERRUPTIONS = 20.0


def interruptions() -> int:
    """The number of involuntary context switches: how often the system took a core from a thread of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if sys.platform == "linux" else 0


class SharedCores(Callback):
    """Prints one line, once, if the threads of a run on a CPU are often interrupted.

    Threads compute each operation together and wait for the slowest of them. If another program uses the core of one
    thread, all threads wait for it, at every operation. A run with one thread does not have this problem. The data
    workers of a run also interrupt it, so a run with data workers is not checked.
    """

    def __init__(self) -> None:
        self._last_check: tuple[float, int] | None = None
        self._is_finished = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        on_cpu = trainer.strategy.root_device.type == "cpu"
        self._is_finished = not (on_cpu and trainer.is_global_zero) or getattr(data, "workers", 0) > 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, threads, last = time.monotonic(), torch.get_num_threads(), self._last_check
        if self._is_finished or threads == 1 or (last is not None and now - last[0] < CHECK_SECONDS):
            return
        self._last_check = now, interruptions()
        if last is None:
            return
        if (rate := (self._last_check[1] - last[1]) / (now - last[0])) > threads * MAX_INTERRUPTIONS:
            self._is_finished = True
            print(
                f"other programs interrupt the {threads} threads of this run {rate:.0f} times a second, which can make "
                "it many times slower; end them, or start the run with --threads 1",
                flush=True,
            )
