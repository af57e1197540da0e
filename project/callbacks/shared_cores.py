"""A run says when other programs take the cores that it computes on."""

import sys
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

if sys.platform == "linux":  # Windows counts nothing, and what is usual on macOS was not measured
    import resource

SECONDS = 5.0  # from one look to the next
# Interruptions of each thread in a second. On two cores (Linux 6.18), mlp.yaml and convnet.yaml with two threads had 1
# alone, 60 beside programs that took a tenth of the cores, 120 to 140 beside a loop that took one of them, and 45 in a
# crowd of six programs.
OFTEN = 20.0


def interruptions() -> int:
    """How often the system has taken a core from a thread of this process (an involuntary context switch)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if sys.platform == "linux" else 0


class SharedCores(Callback):
    """Prints one line where the threads of a run on a CPU are interrupted often; at most once.

    Threads compute each operation together and wait for the last of them. Where another program has the core of one,
    all wait for it, at every operation. One thread waits for nobody. Processes that read images for the run also
    interrupt it, so a run that has such is not judged.
    """

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None
        self._is_done = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        on_cpu = trainer.strategy.root_device.type == "cpu"
        self._is_done = not (on_cpu and trainer.is_global_zero) or getattr(data, "workers", 0) > 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now, threads = time.monotonic(), torch.get_num_threads()
        if self._is_done or threads == 1 or (self._since is not None and now - self._since[0] < SECONDS):
            return
        before, self._since = self._since, (now, interruptions())
        if before is not None and (rate := (self._since[1] - before[1]) / (now - before[0])) > OFTEN * threads:
            self._is_done = True
            print(
                f"other programs interrupt the {threads} threads of this run {rate:.0f} times a second, which can make "
                "it many times slower; end them, or start the run with OMP_NUM_THREADS=1",
                flush=True,
            )
