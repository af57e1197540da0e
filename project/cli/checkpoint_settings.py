"""validate, test and predict without --config: their settings are those in the checkpoint."""

import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from project.checkpoints.classes import TRUSTED
from project.checkpoints.files import read
from project.cli.arguments import given_options
from project.cli.commands import ALLOW, TRAINER_COMMANDS
from project.runs.checkpoint_path import find_path
from project.runs.directories import ROOT
from project.runs.plan import Found
from project.system.errors import UserError

LIGHTNING = ("lightning", "torchmetrics")
HELP = ("-h", "--help", "--print_config")
IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def with_checkpoint_settings(words: Sequence[str], directory: Path) -> tuple[list[str], Found | None]:
    """The words of a command with the settings of its checkpoint before its own options, which win.

    Args:
        words: Of the command line. With --config, or without --ckpt_path, they stay as they are.
        directory: Where a file with the settings is written.

    Returns:
        The words, and the checkpoint's path and content, if it was read.

    Raises:
        UserError: there is no such checkpoint, or it names a class that the user has not allowed.
    """
    options = dict(given_options(words))
    is_evaluation = bool(words) and words[0] in TRAINER_COMMANDS and not set(HELP) & set(words)
    if not is_evaluation or "config" in options or "ckpt_path" not in options:
        return list(words), None
    root = Path(options.get("trainer.default_root_dir", ".")) / ROOT
    path = find_path(options["ckpt_path"], root, options.get("name"))
    checkpoint = read(path)
    settings = checkpoint.get("settings")
    if not settings:
        raise UserError(f"--ckpt_path {path}: it has no settings; give its run's config.yaml with --config")
    allow = ArgumentParser(add_help=False, allow_abbrev=False)
    allow.add_argument("--allow", **ALLOW)
    for class_path in _import_paths(settings):
        check_trusted(class_path, allow.parse_known_args(words)[0].allow)
    file = directory / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    return [words[0], "--config", str(file), *words[1:]], (path, checkpoint)


def check_trusted(class_path: str, allowed: Sequence[str]) -> None:
    """Raises UserError for a path that would import code which is neither trusted nor loaded already."""
    root = class_path.partition(".")[0]
    if root in (*TRUSTED, *LIGHTNING, *allowed) or (root in sys.modules and root not in sys.stdlib_module_names):
        return
    if find_spec(root) is not None:
        raise UserError(
            f"{class_path}: the checkpoint names this class, which is not of this project, torch, torchvision, timm or "
            f"Lightning; if you trust its code, give --allow {root}"
        )


def _import_paths(value: Any) -> Iterator[str]:
    """All texts in the settings that Python could import."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _import_paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _import_paths(inner)
    elif isinstance(value, str) and IMPORT_PATH.fullmatch(value):
        yield value
