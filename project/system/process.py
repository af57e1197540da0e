"""Settings of a process that is the command line's alone."""

import gc
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from project.system.memory import keep_freed_memory

LEVELS = {
    "lightning.pytorch": logging.WARNING,
    "lightning.fabric": logging.WARNING,
    "matplotlib": logging.ERROR,  # it warns if it cannot save its list of fonts
}


def settle() -> None:
    """Set up a process for the command line, until it ends: messages of libraries, and memory between steps.

    What is imported by then stays in memory, and Python no longer searches it for garbage.

    scripts/main.py does this. A program that calls main([...]) keeps its own settings; see `quiet`.
    """
    quieten()
    keep_freed_memory()
    escape_output()
    _remember_that_there_is_no_gpu()
    gc.freeze()
    threading.excepthook = _threads_error


def escape_output() -> None:
    """Print an escape in place of a letter that the terminal, a pipe or a log does not have, as \\xe9 for an accent."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _remember_that_there_is_no_gpu() -> None:
    """Let torch.cuda.is_available remember it. Adam asks at each step; with Lightning, torch looks anew."""
    import torch

    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


@contextmanager
def quiet() -> Iterator[None]:
    """Turn off messages of Lightning during the block. Afterwards, the process has its own settings again."""
    import lightning.pytorch  # noqa: F401  # as in quieten: its import sets levels and filters that stay

    levels = {logging.getLogger(name): logging.getLogger(name).level for name in LEVELS}
    with warnings.catch_warnings():
        quieten()
        try:
            yield
        finally:
            for logger, level in levels.items():
                logger.setLevel(level)


def quieten() -> None:
    """Turn off messages of Lightning. The project itself prints the lines that a user needs."""
    import lightning.pytorch  # noqa: F401  # its import sets the levels of its loggers, and takes seconds

    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    for message in (
        "Couldn't infer the batch indices",  # Predictions knows them
        "You're resuming from a checkpoint that ended before the epoch ended",  # TrainingBatches goes on exactly
        "Total length of `EvaluationBatches` across ranks is zero",  # val_size 0 asks for no validation
        "The `srun` command is available on your system but is not used",  # and does not have to be used
        r"This process .* is multi-threaded, use of fork\(\)",  # image workers take no lock that could block them
        "This DataLoader will create",  # the user chooses the number of workers
        r"Found \d+ module\(s\) in eval mode at the start of training",  # Finetuning has frozen them
        "Checkpoint directory .* exists and is not empty",  # of the user's ModelCheckpoint in a resumed run
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # in Lightning's own code
    ):
        warnings.filterwarnings("ignore", f".*{message}")


def _threads_error(error: threading.ExceptHookArgs) -> None:
    """Ignore errors of TensorBoard's writer thread: the next write raises them again, and they become one line."""
    if not (isinstance(error.exc_value, OSError) and type(error.thread).__name__ == "_AsyncWriterThread"):
        threading.__excepthook__(error)
