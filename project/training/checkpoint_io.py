"""How Lightning writes and reads the checkpoints of a run."""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, Trainer

from project.checkpoints.files import Checkpoint, read, write


class CheckpointFiles(CheckpointIO):
    """How Lightning writes and reads every checkpoint of a run."""

    def __init__(self) -> None:
        self._read_already: dict[Path, Checkpoint] = {}

    def hand_over(self, path: Path, checkpoint: Checkpoint) -> None:
        """Give the content of a file that was already read to the next load_checkpoint of its path."""
        self._read_already[path] = checkpoint

    def save_checkpoint(self, checkpoint: Checkpoint, path: Any, storage_options: Any = None) -> None:
        write(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Checkpoint:
        """Load without running code from the file, for any value of `weights_only`."""
        return self._read_already.pop(Path(path), None) or read(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def hand_over(trainer: Trainer, path: Path, checkpoint: Checkpoint) -> None:
    """Let Lightning load what was read already, and keep it no longer than that.

    The states of callbacks that this trainer does not have are left out, since Lightning asks the user to add them.
    """
    if isinstance(files := trainer.strategy.checkpoint_io, CheckpointFiles):
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        names = {callback.state_key for callback in callbacks}
        states = {name: state for name, state in checkpoint.get("callbacks", {}).items() if name in names}
        files.hand_over(path, {**checkpoint, "callbacks": states} if "callbacks" in checkpoint else checkpoint)
