"""validate, test and predict without --config: their settings are those in the checkpoint."""

import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml
from torch import nn

from project.checkpoints.classes import TRUSTED
from project.checkpoints.description import data_settings
from project.checkpoints.files import read
from project.cli.arguments import asks_for_help, asks_for_settings
from project.cli.commands import ALLOW, TRAINER_COMMANDS, given_options
from project.data import ImageDataModule
from project.runs.checkpoint_path import find_path
from project.runs.directories import ROOT
from project.runs.plan import Found, missing_checkpoint
from project.system.errors import UserError
from project.system.yaml_text import load_yaml

IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
MODEL = ("network", "loss", "test_views")  # all that an evaluation needs of the model's options
TRAINER = ("precision", "accelerator", "limit_val_batches", "limit_test_batches", "limit_predict_batches")
FILES = ("data_dir", "file", "labels")  # options of the data that are paths, such as data.v2, and nothing to import


def with_checkpoint_settings(words: Sequence[str], directory: Path) -> tuple[list[str], Found | None]:
    """The words of a command with the settings of its checkpoint before its own options, which win.

    Args:
        words: Of the command line. With --config they stay as they are.
        directory: Where a file with the settings is written.

    Returns:
        The words, and the checkpoint's path and content, if it was read.

    Raises:
        UserError: none is given, there is no such checkpoint, or it names a class that the user has not allowed.
    """
    options = dict(given_options(words))
    is_help = asks_for_help(words) or asks_for_settings(words)
    if not words or words[0] not in TRAINER_COMMANDS or is_help or "config" in options:
        return list(words), None
    if "ckpt_path" not in options:
        raise missing_checkpoint(words[0])
    root = Path(options.get("trainer.default_root_dir", ".")) / ROOT
    path = find_path(options["ckpt_path"], root, options.get("name"))
    checkpoint = read(path)
    if not checkpoint.get("settings"):
        raise UserError(f"--ckpt_path {path}: it has no settings; give its run's config.yaml with --config")
    allow = ArgumentParser(add_help=False, allow_abbrev=False)
    allow.add_argument("--allow", **ALLOW)
    allowed = allow.parse_known_args(words)[0].allow
    needed = evaluation_settings(path, checkpoint)
    class_path, arguments = needed["data"].values()
    checked = [value for name, value in arguments.items() if name not in FILES]
    for import_path in _import_paths([needed["model"], class_path, checked]):
        check_trusted(import_path, allowed)
    file = directory / "settings.yaml"
    file.write_text(yaml.safe_dump(needed), "utf-8")
    return [words[0], "--config", str(file), *words[1:]], (path, checkpoint)


def evaluation_settings(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the checkpoint of `path` that validate, test and predict need.

    The others, such as callbacks and loggers, could run any code. Those of the Trainer are plain numbers and words.

    Raises:
        UserError: they are damaged.
    """
    try:
        settings = checkpoint["settings"]
        class_path, arguments = data_settings(checkpoint)
        model, trainer = settings["model"], settings["trainer"]
        return {
            "data": {"class_path": class_path, "init_args": arguments},
            "model": {name: model[name] for name in MODEL if name in model},
            "trainer": {name: trainer[name] for name in TRAINER if name in trainer and _is_plain(trainer[name])},
        }
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(
            f"--ckpt_path {path}: its settings are damaged ({problem}); give another, such as best"
        ) from None


def check_trusted(import_path: str, allowed: Sequence[str]) -> None:
    """Raises UserError for a path whose module is not trusted, or that is neither network, loss nor data set.

    Only the user can allow any other code to run.
    """
    root = import_path.partition(".")[0]
    if root in allowed:
        return
    if root not in TRUSTED and (root not in sys.modules or root in sys.stdlib_module_names):
        if find_spec(root) is None:
            return
        raise UserError(
            f"{import_path}: the checkpoint names this class, which is not of this project, torch, torchvision or "
            f"timm; if you trust its code, give --allow {root}"
        )
    try:
        kind = resolve_name(import_path)
    except (ImportError, AttributeError):
        return  # a text, or a class that is missing, which is said where it is made
    if not (isinstance(kind, type) and issubclass(kind, nn.Module | ImageDataModule)):
        raise UserError(
            f"{import_path}: the checkpoint names this, and it is no network, loss or data set; if you trust the "
            f"checkpoint, give --allow {root}"
        )


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and re.fullmatch(r"[\w-]+", value) is not None)


def _import_paths(value: Any) -> Iterator[str]:
    """All texts in the settings that Python could import; a text may be YAML with such texts in it."""
    if isinstance(value, str) and not IMPORT_PATH.fullmatch(value):
        with suppress(yaml.YAMLError):
            value = load_yaml(value)
    if isinstance(value, dict):
        for inner in value.values():
            yield from _import_paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _import_paths(inner)
    elif isinstance(value, str) and IMPORT_PATH.fullmatch(value):
        yield value
