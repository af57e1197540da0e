"""What the command line sets for its process; a program that calls `main` itself has a process of its own."""

import logging
import threading
import warnings

from project.system.memory import keep_freed_memory


def settle() -> None:
    """Set up a process that is the command line's alone, for good: what libraries say, and memory between steps.

    scripts/main.py does this. A program that calls main([...]) leaves it out and keeps its own settings.
    """
    quieten()
    keep_freed_memory()


def quieten() -> None:
    """Turn off what Lightning says of itself; what a run's reader needs, the project prints."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        "Be aware that when using `ckpt_path`, callbacks used",  # a checkpoint serves test and predict without them
        "Couldn't infer the batch indices",  # Predictions knows them
        "You're resuming from a checkpoint that ended before the epoch ended",  # TrainingBatches goes on exactly
        "Total length of `EvaluationBatches` across ranks is zero",  # val_size 0 asks for no validation
        "The `srun` command is available on your system but is not used",  # nor need be
        r"This process .* is multi-threaded, use of fork\(\)",  # image workers do nothing that a lock could stop
        "This DataLoader will create",  # the number of workers is the user's
        r"Found \d+ module\(s\) in eval mode at the start of training",  # Finetuning has frozen them
        "Checkpoint directory .* exists and is not empty",  # a ModelCheckpoint's that was asked for, in a resumed run
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # in Lightning's own code
    ):
        warnings.filterwarnings("ignore", f".*{message}")
    threading.excepthook = _threads_error


def _threads_error(error: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer raises its error again where it is next written to; there it is reported in one line."""
    if not (isinstance(error.exc_value, OSError) and type(error.thread).__name__ == "_AsyncWriterThread"):
        threading.__excepthook__(error)
