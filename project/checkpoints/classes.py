"""The classes that a checkpoint names, made without running code that the user does not trust."""

import importlib
import inspect
import sys
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from project.system.errors import UserError

TRUSTED = ("project", "torch", "torchvision", "timm")
Base = TypeVar("Base")


def instantiate(settings: Mapping[str, Any], allow: Collection[str] = ()) -> nn.Module:
    """Make a module from its class path and arguments.

    Args:
        settings: class_path and init_args. An argument may be such a mapping itself.
        allow: Modules that may be imported besides those of this project, torch, torchvision and timm.

    Raises:
        UserError: the class may not be imported, is not there, or cannot be made with these arguments.
    """
    class_path = settings.get("class_path")
    if not isinstance(class_path, str) or "." not in class_path:
        raise UserError(f"the checkpoint names {class_path!r} where the path of a class has to be; give another")
    kind = import_class(class_path, allow, nn.Module)
    try:
        arguments = {name: _argument(kind, name, value, allow) for name, value in settings.get("init_args", {}).items()}
        return kind(**arguments)
    except UserError:
        raise
    except Exception as error:  # the class may be the user's own
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{class_path} cannot be made with the arguments in the checkpoint ({problem})") from None


def import_class(class_path: str, allow: Collection[str], base: type[Base]) -> type[Base]:
    """Import a class. Raises UserError if it is not trusted, not there, or not a subclass of `base`."""
    module, _, name = class_path.rpartition(".")
    root = module.partition(".")[0]
    if root not in (*TRUSTED, *allow) and module not in sys.modules:
        raise UserError(
            f"{class_path}: the checkpoint's class is not of this project, torch, torchvision or timm; if you trust "
            f"its code, allow it: --allow {root}, or allow=['{root}'] in Python"
        )
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        remedy = "put its module where Python finds it, or export the weights alone with --to safetensors"
        raise UserError(f"{class_path}: this class cannot be imported ({error}); {remedy}") from None
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise UserError(f"{class_path}: it is not a {base.__name__}, so no checkpoint of this project names it")
    return kind


def _argument(kind: type, name: str, value: Any, allow: Collection[str]) -> Any:
    """A value of a checkpoint as its class takes it: a class for a class path, a tensor for a list of numbers."""
    if isinstance(value, Mapping) and "class_path" in value:
        return instantiate(value, allow)
    parameter = inspect.signature(kind).parameters.get(name)
    if isinstance(value, list) and parameter and "Tensor" in str(parameter.annotation):
        return torch.tensor(value, dtype=torch.float32)
    return value


def load_weights(module: nn.Module, state: Mapping[str, Tensor], prefix: str) -> None:
    """Put into a module the weights whose names begin with `prefix`. Raises UserError if they do not fit."""
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"the checkpoint's weights do not fit {type(module).__name__} ({error})") from None
