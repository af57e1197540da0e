"""When a run writes checkpoints, and which of them stay."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from project.callbacks.finite_loss import FiniteLoss, remedy_for_not_finite
from project.system.errors import NotFiniteError, UserError
from project.system.files import atomic_write, synchronise
from project.system.signals import Interrupted, Signals
from project.training.agreement import gathered
from project.training.loops import BoundaryCallback

MONITOR = "val/accuracy"


class Checkpoints(BoundaryCallback, Checkpoint):
    """Writes last.ckpt, previous.ckpt (the last.ckpt before it) and best.ckpt (the best validation accuracy).

    A checkpoint is written between two steps: at the end of each epoch, after each validation, as often as the options
    say, and when a signal asks the run to stop.
    """

    def __init__(self, every_n_steps: int | None = None, every_n_minutes: float | None = None) -> None:
        """Check the options.

        Args:
            every_n_steps: Number of steps after which a checkpoint is also written, at least 1. None: not by steps.
            every_n_minutes: Minutes after the last checkpoint at which one is also written, above 0. None: not by time.
        """
        for name, value in (("every_n_steps", every_n_steps), ("every_n_minutes", every_n_minutes)):
            if value is not None and value <= 0:
                raise ValueError(f"--checkpoints.{name} {value}: give a number above 0")
        self.every_n_steps, self.every_n_minutes = every_n_steps, every_n_minutes
        self.dirpath: str | None = None
        self.best_score: float | None = None
        self._signals = Signals()
        self._saved_at = 0.0
        self._validated = False
        self._metrics: dict[str, Tensor] = {}

    def path(self, name: str) -> Path:
        """The file of the checkpoint last, previous or best."""
        assert self.dirpath is not None
        return Path(self.dirpath) / f"{name}.ckpt"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.callback_metrics.update(self._metrics)
        self._saved_at = time.monotonic()
        self._signals.watch()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._signals.watch(at_once=True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:  # after the training
            self._signals.watch(at_once=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = not trainer.sanity_checking

    def on_boundary(self, trainer: Trainer, epoch_ended: bool, agreement_due: bool) -> None:
        """Save if it is time. Raises Interrupted in every process if one of them was asked to stop."""
        due = epoch_ended or self._validated or self._is_step(trainer.global_step)  # the same in every process
        if not (due or agreement_due):
            return
        signals, times = zip(*gathered(trainer, (self._signals.received, self._is_time())), strict=True)
        received = max(signals)
        if due or received or any(times):
            self._save(trainer)
        if received:
            raise Interrupted(received)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["should_stop"] = trainer.should_stop
        # A plateau schedule and early stopping use the metrics of the last validation, which may be epochs ago.
        checkpoint["callback_metrics"] = {name: value.cpu() for name, value in trainer.callback_metrics.items()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Forget early stopping if a new run starts from another run's checkpoint: its directory is still empty."""
        resumed = any(self.path("last").parent.glob("*.ckpt"))
        trainer.should_stop = resumed and checkpoint.get("should_stop", False)
        for callback in () if resumed else trainer.early_stopping_callbacks:
            checkpoint["callbacks"].pop(callback.state_key, None)
        self._metrics = checkpoint.get("callback_metrics", {})

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Forget the best accuracy if a new run starts from the checkpoint of another run."""
        self.best_score = state_dict["best_score"] if self.path("best").exists() else None

    def _is_step(self, step: int) -> bool:
        return self.every_n_steps is not None and step % self.every_n_steps == 0

    def _is_time(self) -> bool:
        minutes = (time.monotonic() - self._saved_at) / 60
        return self.every_n_minutes is not None and minutes >= self.every_n_minutes

    def _save(self, trainer: Trainer) -> None:
        _check_losses_and_weights(trainer)
        improved = self._is_improved(trainer)
        for logger in trainer.loggers:
            logger.save()
        new, last = self.path("new"), self.path("last")
        if trainer.is_global_zero:
            _synchronise_logs(new.parents[1])
        _save_in_all_processes(trainer, new)
        if trainer.is_global_zero:
            # In this order, a run that is killed between two of these lines can be resumed.
            if improved:
                _link(new, self.path("best"))
            if last.exists():
                _link(last, self.path("previous"))
            new.replace(last)
            synchronise(new.parent)
        self._saved_at = time.monotonic()

    def _is_improved(self, trainer: Trainer) -> bool:
        """Whether a validation since the last checkpoint gave the best accuracy; updates the best accuracy."""
        accuracy = trainer.callback_metrics.get(MONITOR) if self._validated else None
        self._validated = False
        if accuracy is None or accuracy.item() <= (-1 if self.best_score is None else self.best_score):
            return False
        self.best_score = accuracy.item()
        return True


def _save_in_all_processes(trainer: Trainer, path: Path) -> None:
    """Let the first process write the file. Raises UserError in every process if the file cannot be written."""
    problem = None
    try:
        trainer.save_checkpoint(path)
    except UserError as error:
        problem = error
        trainer.strategy.barrier()  # the other processes wait here
    if trainer.strategy.reduce_boolean_decision(problem is not None, all=False):
        raise problem or UserError(f"{path} cannot be written by another process")


def _check_losses_and_weights(trainer: Trainer) -> None:
    """Raises NotFiniteError if a loss or a weight is not finite: no run could resume from such a checkpoint."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, FiniteLoss):
            callback.check(trainer)
    weights = trainer.lightning_module.state_dict().items()
    not_finite = (name for name, value in weights if value.is_floating_point() and not value.isfinite().all())
    # Processes share their weights, but not the statistics of batch normalisation.
    for name in filter(None, gathered(trainer, next(not_finite, None))):
        raise NotFiniteError(
            f"{name} is not finite after step {trainer.global_step - 1}; {remedy_for_not_finite(trainer)}"
        )


def _synchronise_logs(run: Path) -> None:
    """Bring the logs to the disk, so that they have the rows of all steps before the checkpoint."""
    for path in (*run.glob("metrics.csv"), *run.glob("events.*")):
        synchronise(path)


def _link(path: Path, target: Path) -> None:
    """Replace `target` by a hard link to `path`, or by a copy if the file system has no links."""
    with atomic_write(target) as unfinished:
        try:
            os.link(path, unfinished)
        except OSError:
            shutil.copyfile(path, unfinished)
