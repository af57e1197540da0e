"""The classes that options take: which there are, what they are made with, and the nearest of a misspelt name."""

import inspect
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

import torch
from lightning.pytorch import Callback, callbacks, loggers
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler
from torchvision.transforms import v2

from project import callbacks as project_callbacks
from project import data, networks, optim
from project.data import ImageDataModule

# Each option's base class, and the modules where its classes are.
CLASSES: dict[str, tuple[type, tuple[Any, ...]]] = {
    "model.network": (nn.Module, (networks,)),
    "model.loss": (nn.Module, (torch.nn, networks)),
    "model.optimizer": (Optimizer, (optim, torch.optim)),
    "model.lr_scheduler": (LRScheduler, (optim, lr_scheduler)),
    "data": (ImageDataModule, (data,)),
    "data.transforms": (v2.Transform, (v2,)),
    "trainer.callbacks": (Callback, (project_callbacks, callbacks)),
    "trainer.logger": (Logger, (loggers,)),
}
LENGTHS = ("total_steps", "T_max", "total_iters")  # the names that schedules have for the number of steps of a run
# Lightning's callbacks that need what a Classifier does not have, and what to give in their place.
REPLACEMENTS = {
    callbacks.BackboneFinetuning: "give Finetuning",
    callbacks.LearningRateFinder: "give --model.optimizer.lr, which it cannot set",
    callbacks.BatchSizeFinder: "give --data.batch_size, which it cannot set",
}
# Transforms of labels, boxes or videos, and those that take or give no tensor of one image.
WITHOUT_IMAGES = (
    *(v2.MixUp, v2.CutMix, v2.FiveCrop, v2.TenCrop, v2.ToPILImage, v2.PILToTensor, v2.ToTensor, v2.RandomIoUCrop),
    *(v2.ClampBoundingBoxes, v2.ClampKeyPoints, v2.ConvertBoundingBoxFormat, v2.SetClampingMode),
    *(v2.SanitizeBoundingBoxes, v2.SanitizeKeyPoints, v2.UniformTemporalSubsample),
)
BASES = (callbacks.BaseFinetuning, callbacks.BasePredictionWriter, callbacks.Checkpoint, callbacks.ProgressBar)
SYNONYMS = {"learning_rate": "lr", "epochs": "max_epochs", "gpus": "devices"}  # names in other programs


def classes(option: str) -> Iterator[type]:
    """The classes of this project, torch and Lightning that `option` takes; none for an option without classes."""
    base, modules = CLASSES.get(option, (object, ()))
    for name, value in ((name, value) for module in modules for name, value in inspect.getmembers(module)):
        is_derived = inspect.isclass(value) and issubclass(value, base) and value is not base and name[0] != "_"
        is_loss = name.endswith(("Loss", "Criterion"))
        if is_derived and (base is not nn.Module or is_loss == (option == "model.loss")):
            yield value


def is_usable(option: str, kind: type) -> bool:
    """Whether a run can use the class: schedules of a run's length, losses of logits and labels, and so on."""
    if option == "model.lr_scheduler":
        return bool(set(list(inspect.signature(kind).parameters)[1:2]) & set(LENGTHS))
    if option == "model.loss":
        return not kind.__module__.startswith("torch.") or kind in (nn.CrossEntropyLoss, nn.MultiMarginLoss)
    return kind not in (*REPLACEMENTS, *BASES, *WITHOUT_IMAGES)


def parameters(kind: type, without: str = "") -> dict[str, inspect.Parameter]:
    """The parameters of a class and of its base classes, but for those of the module `without`."""
    bases = [base for base in reversed(kind.__mro__[:-1]) if base.__module__ != without]  # the last one is object
    makers = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
    return {name: parameter for maker in makers for name, parameter in inspect.signature(maker).parameters.items()}


def option_names(kind: type) -> set[str]:
    """The parameters of a class; without those of torch's schedules, few of which a run can use."""
    return set(parameters(kind, without=lr_scheduler.__name__))


def nearest_option(name: str, options: Iterable[str]) -> str:
    """The option, of the command or of a class, that ends like `name` or is spelt like it; empty if none is."""
    known = [option for option in options if not option.endswith(".help")]
    known += [
        f"{option}.{name}" for option in CLASSES for kind in classes(option) for name in sorted(option_names(kind))
    ]
    by_end = {option.rpartition(".")[2]: option for option in reversed(known)}
    end = name.rpartition(".")[2]
    if option := by_end.get(SYNONYMS.get(end, end)):
        return option
    return "".join(
        get_close_matches(name, known, n=1) or [by_end[near] for near in get_close_matches(end, by_end, n=1)]
    )


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of `names` that is spelt most like `name`, in any case; empty if none is."""
    by_case = {candidate.casefold(): candidate for candidate in sorted(names, reverse=True)}
    return "".join(by_case[near] for near in get_close_matches(name.casefold(), by_case, n=1))
