"""Mistakes that would come up after the data is read, or an epoch later, heard before."""

from collections.abc import Sequence
from difflib import get_close_matches

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import BackboneFinetuning, BatchSizeFinder, LearningRateFinder
from torch.optim.lr_scheduler import LRScheduler

from project.optim import Plateau
from project.system.errors import UserError
from project.training.classifier import Classifier

ALSO_LOGGED = ("lr", "images_per_second", "epoch", "step")  # few would watch these
# Lightning's callbacks that look for what a Classifier does not have, and what does their work here.
INSTEAD = {
    BackboneFinetuning: "give Finetuning",
    LearningRateFinder: "give --model.optimizer.lr, which it cannot set",
    BatchSizeFinder: "give --data.batch_size, which it cannot set",
}


def check_fit(
    trainer: Trainer, model: Classifier, schedule: LRScheduler | None, val_size: int | None, sync_batchnorm: bool
) -> None:
    """Raises UserError for a run that cannot begin, or where something watches what is not measured."""
    _check_length(trainer)
    if sync_batchnorm and isinstance(trainer.accelerator, CPUAccelerator):
        raise UserError(
            "--trainer.sync_batchnorm true: torch synchronises batch normalisation on GPUs only; leave it out"
        )
    validated = val_size != 0 and trainer.limit_val_batches != 0
    if isinstance(schedule, Plateau) and not validated:
        raise UserError(
            "--model.lr_scheduler Plateau: watches the validation loss, and nothing is validated; give --data.val_size"
        )
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    _check_callbacks(callbacks, [*model.train_metrics, "train/loss_step", *(model.val_metrics if validated else ())])


def _check_length(trainer: Trainer) -> None:
    for name in ("max_epochs", "max_steps", "limit_train_batches"):
        if getattr(trainer, name) == 0:
            raise UserError(f"--trainer.{name} 0: nothing would be trained; give at least 1")
    if trainer.max_epochs == -1 and trainer.max_steps == -1:
        raise UserError("--trainer.max_epochs -1: a run needs a length; give that or --trainer.max_steps")


def _check_callbacks(callbacks: Sequence[Callback], measured: Sequence[str]) -> None:
    for callback in callbacks:
        name = f"--trainer.callbacks {type(callback).__name__}"
        if instead := INSTEAD.get(type(callback)):
            raise UserError(f"{name}: {instead}")
        monitor = getattr(callback, "monitor", None) or ""
        unknown = monitor and monitor not in (*measured, *ALSO_LOGGED) and not monitor.startswith("lr-")
        if unknown and not _any_own(callbacks):
            nearest, *others = get_close_matches(monitor, measured, n=len(measured), cutoff=0)
            more = ", ".join(others)
            raise UserError(f"{name}: nothing measures its monitor {monitor}; give {nearest} or another of {more}")


def _any_own(callbacks: Sequence[Callback]) -> bool:
    """Whether one is the user's own, which may measure something more."""
    return any(type(callback).__module__.partition(".")[0] not in ("lightning", "project") for callback in callbacks)
