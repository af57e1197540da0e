"""Run directories: lightning_logs/<experiment>/version_<n>, their names, and finding the newest."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from project.errors import UserError

ROOT = "lightning_logs"
SPECIAL = ("best", "last")


def experiment_name(configs: Sequence[Path]) -> str:
    """The first config file's stem; a run's own config.yaml stands for that run's experiment."""
    if not configs:
        return "unnamed"
    first = configs[0].absolute()
    return first.parents[1].name if re.fullmatch(r"version_\d+", first.parent.name) else first.stem


def check_writable(root: Path) -> None:
    """Raises UserError where no run directory can be made under `root`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror
    else:
        problem = "" if os.access(root, os.W_OK) else "permission denied"
    if problem:
        raise UserError(f"--trainer.default_root_dir {root.parent}: {root} cannot be written ({problem})")


def create(root: Path, experiment: str) -> Path:
    """Make the experiment's next run directory, which nobody else gets."""
    parent = root / experiment
    parent.mkdir(parents=True, exist_ok=True)
    n = 1 + max((number(path) for path in parent.iterdir()), default=-1)
    while True:
        run = parent / f"version_{n}"
        with suppress(FileExistsError):
            run.mkdir()
            return run
        n += 1


def find_checkpoint(root: Path, experiment: str, name: str) -> Path:
    """The checkpoint `best` or `last` of the experiment's newest run that has one. Raises UserError if none has."""
    parent = root / experiment
    found = [path for path in parent.glob(f"version_*/checkpoints/{name}.ckpt") if number(path.parents[1]) >= 0]
    if not found:
        raise UserError(f"--ckpt_path {name}: no run in {parent} has a checkpoint; start one without --ckpt_path")
    return max(found, key=lambda path: number(path.parents[1]))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What is in the file, read without running code that it may hold. Raises UserError if it is not whole."""
    if not path.is_file():
        raise UserError(f"--ckpt_path {path}: there is no such file; give best, last or a file that exists")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["state_dict"], checkpoint["global_step"]
    # torch.load has no exception of its own: what it raises depends on where a file is broken.
    except Exception as error:
        reason = str(error).split("\n")[0][:120]
        raise UserError(f"--ckpt_path {path}: not a whole checkpoint ({reason}); give another, such as best") from None
    assert isinstance(checkpoint, dict)
    return checkpoint


def check_fits(path: Path, checkpoint: dict[str, Any], own: dict[str, torch.Tensor], data: str) -> None:
    """Raises UserError where the checkpoint of `path` is not of a network with weights `own` on the class `data`."""
    saved = checkpoint["state_dict"]
    if data not in checkpoint:
        difference = f"it is not of {data}"
    elif lacking := [name for name in own if name not in saved]:
        difference = f"it has no {lacking[0]}"
    elif extra := [name for name in saved if name not in own]:
        difference = f"the network has no {extra[0]}"
    elif other := [name for name in own if own[name].shape != saved[name].shape]:
        name = other[0]
        difference = f"{name} is {list(saved[name].shape)} in it and {list(own[name].shape)} in the network"
    else:
        return
    raise UserError(
        f"--ckpt_path {path}: a checkpoint of another network or other data ({difference}); "
        f"give the run's own settings, --config {path.absolute().parents[1] / 'config.yaml'}"
    )


def number(path: Path) -> int:
    """The n of a directory version_n; -1 for any other."""
    match = re.fullmatch(r"version_(\d+)", path.name)
    return int(match[1]) if match else -1
