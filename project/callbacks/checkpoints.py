"""When a run writes checkpoints, and which of them stay."""

import math
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from project.callbacks.finite_loss import FiniteLoss, remedy_for_not_finite
from project.callbacks.ranking import Mode, Ranking
from project.system.errors import NotFiniteError, UserError
from project.system.files import atomic_write, synchronise
from project.system.signals import Interrupted, Signals
from project.training.agreement import gathered
from project.training.loops import BoundaryCallback

MONITOR = "val/accuracy"
RANKED = r"epoch-\d+-step-\d+\.ckpt"


class Checkpoints(BoundaryCallback, Checkpoint):
    """Writes last.ckpt, previous.ckpt (the last.ckpt before it) and best.ckpt (best by a value of the validation).

    A checkpoint is written between two steps: at the end of each epoch, after each validation, as often as the options
    say, and when a signal asks the run to stop.
    """

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = None,
        monitor: str = MONITOR,
        mode: Mode | None = None,
        keep: int = 1,
    ) -> None:
        """Check the options.

        Args:
            every_n_steps: Number of steps after which a checkpoint is also written, at least 1. None: not by steps.
            every_n_minutes: Minutes after the last checkpoint at which one is also written, above 0. None: not by time.
            monitor: The value of the validation that chooses best.ckpt, such as val/loss. Of equal ones, the first is
                best.
            mode: Whether the smallest (min) or the largest value (max) is best. None: min if the monitor's name has
                "loss" in it, else max.
            keep: Number of the best checkpoints that stay, at least 1. From 2 on, they also have names such as
                epoch-3-step-1080.ckpt.
        """
        for name, value in (("every_n_steps", every_n_steps), ("every_n_minutes", every_n_minutes), ("keep", keep)):
            if value is not None and value <= 0:
                raise ValueError(f"--checkpoints.{name} {value}: give a number above 0")
        self.every_n_steps, self.every_n_minutes = every_n_steps, every_n_minutes
        self.ranking = Ranking(monitor, mode, keep)
        self.dirpath: str | None = None
        self._signals = Signals()
        self._saved_at = 0.0
        self._validated = False
        self._metrics: dict[str, Tensor] = {}

    def path(self, name: str) -> Path:
        """The file of the checkpoint last, previous or best, or of one of the ranking."""
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
        ranking = self.ranking
        return {"monitor": ranking.monitor, "mode": ranking.mode, "ranking": ranking.entries}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Forget the ranking if a new run starts from the checkpoint of another run."""
        self.ranking.entries = _with_ranking(state_dict)["ranking"] if self.path("best").exists() else []

    def check_resumed(self, checkpoint: Mapping[str, Any]) -> None:
        """Raises UserError if the resumed run has chosen its best checkpoint in another way."""
        saved = _with_ranking(checkpoint["callbacks"].get(self.state_key, {}))
        for option in ("monitor", "mode") if saved["ranking"] else ():
            value = getattr(self.ranking, option)
            if value != saved[option]:
                raise UserError(
                    f"--checkpoints.{option} {value}: the run has chosen its best checkpoint by {saved[option]}; give "
                    "that, or start a new run"
                )

    def _is_step(self, step: int) -> bool:
        return self.every_n_steps is not None and step % self.every_n_steps == 0

    def _is_time(self) -> bool:
        minutes = (time.monotonic() - self._saved_at) / 60
        return self.every_n_minutes is not None and minutes >= self.every_n_minutes

    def _save(self, trainer: Trainer) -> None:
        _check_losses_and_weights(trainer)
        names = self._ranked_names(trainer)
        for logger in trainer.loggers:
            logger.save()
        new, last = self.path("new"), self.path("last")
        if trainer.is_global_zero:
            _synchronise_logs(new.parents[1])
        _save_in_all_processes(trainer, new)
        if trainer.is_global_zero:
            # In this order, a run that is killed between two of these lines can be resumed.
            for name in names:
                _link(new, self.path(name))
            if last.exists():
                _link(last, self.path("previous"))
            new.replace(last)
            synchronise(new.parent)
            self._remove_dropped(new.parent)
        self._saved_at = time.monotonic()

    def _ranked_names(self, trainer: Trainer) -> list[str]:
        """Rank the checkpoint after a validation, and return the names of its further files.

        Raises:
            UserError: the validation has not measured the monitor.
        """
        if not self._validated:
            return []
        self._validated = False
        ranking = self.ranking
        if ranking.monitor not in trainer.callback_metrics:
            measured = ", ".join(sorted(name for name in trainer.callback_metrics if name.startswith("val/")))
            raise UserError(
                f"--checkpoints.monitor {ranking.monitor}: no validation measures it; give one of {measured}"
            )
        value = gathered(trainer, trainer.callback_metrics[ranking.monitor].item())[0]
        name = f"epoch-{trainer.fit_loop.epoch_progress.current.ready}-step-{trainer.global_step}"
        if math.isfinite(value):
            ranking.add(value, name)
        names = [name] if name in ranking.names and ranking.keep > 1 else []
        return [*names, "best"] if ranking.names[:1] == [name] else names

    def _remove_dropped(self, directory: Path) -> None:
        """Delete the checkpoints that are no longer in the ranking, now that no last.ckpt names them."""
        for path in directory.glob("epoch-*.ckpt"):
            if re.fullmatch(RANKED, path.name) and path.stem not in self.ranking.names:
                path.unlink()


def _with_ranking(state: Mapping[str, Any]) -> dict[str, Any]:
    """The saved state, also of an older version, which has only a best accuracy."""
    score = state.get("best_score")
    return {"monitor": MONITOR, "mode": "max", "ranking": [] if score is None else [(score, "best")], **state}


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
