"""The classes and options that a command can name, and the nearest to a misspelt one."""

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

from project import data, networks, optim
from project.callbacks import finetuning
from project.data import ImageDataModule

# Where the classes that an option takes live, and what they are.
CLASSES: dict[str, tuple[type, tuple[Any, ...]]] = {
    "model.optimizer": (Optimizer, (optim, torch.optim)),
    "model.lr_scheduler": (LRScheduler, (optim, lr_scheduler)),
    "model.network": (nn.Module, (networks,)),
    "model.loss": (nn.Module, (torch.nn, networks)),
    "data": (ImageDataModule, (data,)),
    "trainer.callbacks": (Callback, (finetuning, callbacks)),
    "trainer.logger": (Logger, (loggers,)),
}


USUAL = {"learning_rate": "lr", "epochs": "max_epochs", "gpus": "devices"}  # what other programs call them


def classes(option: str) -> Iterator[type]:
    """Those that `option` takes."""
    base, modules = CLASSES.get(option, (object, ()))
    for name, found in ((name, found) for module in modules for name, found in vars(module).items()):
        of_its_kind = inspect.isclass(found) and issubclass(found, base) and found is not base and name[0] != "_"
        is_loss = name.endswith(("Loss", "Criterion"))
        if of_its_kind and (base is not nn.Module or is_loss == (option == "model.loss")):
            yield found


def arguments(kind: type) -> set[str]:
    """What a class is made with; not for torch's schedules, which few runs can take."""
    makers = [maker for maker in kind.__mro__ if maker.__module__ != lr_scheduler.__name__]
    return {name for maker in makers for name in inspect.signature(vars(maker).get("__init__", object)).parameters}


def nearest_option(name: str, options: Iterable[str]) -> str:
    """That of the command's `options` or of a class which ends like `name`, or is spelt like it; empty if none is."""
    known = [option for option in options if not option.endswith(".help")]
    known += [f"{owner}.{one}" for owner in CLASSES for kind in classes(owner) for one in sorted(arguments(kind))]
    ends = {option.rpartition(".")[2]: option for option in reversed(known)}
    end = name.rpartition(".")[2]
    if found := ends.get(USUAL.get(end, end)):
        return found
    return "".join(get_close_matches(name, known, n=1) or [ends[one] for one in get_close_matches(end, ends, n=1)])


def nearest(name: str, names: Iterable[str]) -> str:
    """That of `names` which is spelt like `name`, in whatever case; empty if none is."""
    by_case = {one.casefold(): one for one in sorted(names, reverse=True)}
    return "".join(by_case[one] for one in get_close_matches(name.casefold(), by_case, n=1))
