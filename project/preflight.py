"""Mistakes that would come up after the data is read, or an epoch later, heard before."""

import importlib
import inspect
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import BackboneFinetuning, BatchSizeFinder, LearningRateFinder
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from project.classifier import Classifier
from project.data import ImageDataModule
from project.errors import UserError
from project.optim import Plateau

IMAGES = 3  # of the trial: what is wrong with one or two may look right
LENGTHS = ("total_steps", "T_max", "total_iters")  # what schedules, torch's too, call the run's length
# Lightning's callbacks that look for what a Classifier does not have, and what does their work here.
INSTEAD = {
    BackboneFinetuning: "give Finetuning",
    LearningRateFinder: "give --model.optimizer.lr, which it cannot set",
    BatchSizeFinder: "give --data.batch_size, which it cannot set",
}


def try_parts(
    trainer: Trainer, model: Classifier, data: ImageDataModule, given: Any
) -> tuple[Optimizer, LRScheduler | None]:
    """Use network, optimizer, schedule and loss once; the optimizer and the schedule, which are like the run's.

    The network is tried where it will compute on a CPU: one made for a GPU may need it.

    Args:
        given: The options of the model, whose class paths are named in a message.

    Raises:
        UserError: one of them does not fit the data or the others, or has an option out of range.
    """
    images = torch.zeros(IMAGES, *data.image_shape)
    part, remedy = "network", f"it gets images {list(images.shape)}"
    try:
        logits = torch.zeros(IMAGES, data.num_classes)
        if isinstance(trainer.accelerator, CPUAccelerator):
            logits = _without_a_trace(model.network, images)
        _check_shape(logits, (IMAGES, data.num_classes), f"give logits [N, {data.num_classes}]")
        part, remedy = "lr_scheduler", "give values in their range"
        _check_schedule(given.lr_scheduler)
        part = "optimizer"
        made = model.make_optimizer(total_steps=100)
        part = "loss"
        _check_shape(model.loss(logits, torch.zeros(IMAGES, dtype=torch.long)), (), "give one number")
    except Exception as error:  # of whatever kind, since the part may be the user's own
        said = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, UserError):
            said += f"{_place(error) if part in ('network', 'loss') else ''}; {remedy}"
        raise UserError(f"--model.{part} {given[part].class_path}: {said}") from error
    return made


def _without_a_trace(network: nn.Module, images: Tensor) -> Any:
    """What the network makes of images in evaluation, after which it is as it was."""
    modes = {module: module.training for module in network.modules()}
    with torch.no_grad():
        made = network.eval().forward(images)  # forward, since a call would compile what is to be compiled
    for module, training in modes.items():
        module.training = training
    return made


def _check_shape(made: Any, shape: tuple[int, ...], remedy: str) -> None:
    if not isinstance(made, Tensor) or made.shape != shape:
        what = list(made.shape) if isinstance(made, Tensor) else f"a {type(made).__name__}"
        raise UserError(f"gives {what} for {IMAGES} images; {remedy}")


def _check_schedule(given: Any) -> None:
    """A schedule is made as schedule(optimizer, total_steps)."""
    if given is None:
        return
    module, _, name = given.class_path.rpartition(".")
    arguments = list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    if not set(arguments[1:2]) & set(LENGTHS):
        raise UserError(
            f"the second of its arguments ({', '.join(arguments)}) is not the run's length; give OneCycle, "
            "WarmupLinear, Plateau, torch's CosineAnnealingLR, or a class of your own that is made as "
            "schedule(optimizer, total_steps)"
        )


def _place(error: Exception) -> str:
    """The file and the line outside of torch that raised it."""
    own = Path(torch.__file__).parent
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if own not in Path(frame.filename).parents]
    file, line = Path(frames[-1].filename), frames[-1].lineno
    return f" ({file.name}, line {line})" if file != Path(__file__) else ""


def check_fit(trainer: Trainer, model: Classifier, schedule: LRScheduler | None, val_size: int | None) -> None:
    """Raises UserError for a run without a length, or where something watches what is not measured."""
    _check_length(trainer)
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
        if monitor.startswith(("train", "val", "test")) and monitor not in measured and not _any_own(callbacks):
            nearest, *others = get_close_matches(monitor, measured, n=len(measured), cutoff=0)
            more = ", ".join(others)
            raise UserError(f"{name}: nothing measures its monitor {monitor}; give {nearest} or another of {more}")


def _any_own(callbacks: Sequence[Callback]) -> bool:
    """Whether one is the user's own, which may measure something more."""
    return any(type(callback).__module__.partition(".")[0] not in ("lightning", "project") for callback in callbacks)
