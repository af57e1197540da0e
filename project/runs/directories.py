"""Run directories: lightning_logs/<experiment>/version_<n>, their names, and finding the newest."""

import errno
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import torch
import yaml
from filelock import FileLock, Timeout

from project.checkpoints.files import Checkpoint, read
from project.data import ImageDataModule
from project.system.errors import UserError

ROOT = "lightning_logs"
FOLDER = "checkpoints"
RESULTS = "results.json"
SPECIAL = ("best", "last")
NAME = r"\w[\w.-]{0,59}"  # of an experiment; a file's name has 255 bytes at most
NAME_A_RUN = f"name a run by --config {ROOT}/<experiment>/version_<n>/config.yaml"
Found = tuple[Path, Checkpoint]
"""A file and what is in it."""


def experiment_name(configs: Sequence[Path], name: str | None = None) -> str:
    """`name`, or the first config file's stem; a run's own config.yaml stands for that run's experiment.

    Raises UserError where a directory cannot have the name.
    """
    if name is not None:
        if not re.fullmatch(NAME, name):
            raise UserError(
                f"--name {name or repr(name)}: give the name of one directory, at most 60 letters, digits, dots, "
                "hyphens and underscores, the first no dot and no hyphen"
            )
        return name
    if not configs:
        return "unnamed"
    run = _own_run(configs)
    if run is None:
        return configs[0].stem
    return run.parent.name if number(run) >= 0 else run.name


def check_writable(root: Path, experiment: str) -> None:
    """Raises UserError where no run directory can be made under `root`."""
    folder = root / experiment
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror
    else:
        problem = "" if os.access(root, os.W_OK) else "permission denied"
    if problem:
        raise UserError(f"--trainer.default_root_dir {root.parent}: {root} cannot be written ({problem})")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--name {experiment}: {folder} is a file; give another name")


def create(root: Path, experiment: str, files: Mapping[str, str]) -> Path:
    """Make the experiment's next run directory, which nobody else gets, at one go with the text `files` in it."""
    parent = root / experiment
    parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    new.chmod(0o755)
    for name, text in files.items():
        (new / name).write_text(text)
    n = 1 + max((number(path) for path in parent.iterdir()), default=-1)
    while True:
        try:
            return new.rename(parent / f"version_{n}")
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            n += 1


def to_resume(root: Path, experiment: str, configs: Sequence[Path], job: str | None = None) -> Path | None:
    """The run whose own config.yaml is given, else the experiment's newest, that of `job` if one is named, or None."""
    own = _own_run(configs)
    runs = [own] if own else [path for path in (root / experiment).glob("version_*") if number(path) >= 0]
    begun = [run for run in runs if (run / "config.yaml").exists()]
    if job is not None:
        begun = [run for run in begun if yaml.safe_load((run / "environment.yaml").read_text()).get("job") == job]
    return max(begun, key=number, default=None)


def lock(run: Path) -> FileLock:
    """Keep other processes from resuming `run`. Raises UserError where one is training it."""
    held = FileLock(run / ".lock")
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise UserError(f"--ckpt_path last: another process is training {run}; wait for it, or stop it") from None
    return held


def find_checkpoint(root: Path, experiment: str, name: str, configs: Sequence[Path]) -> Found:
    """The checkpoint `best` or `last` of the run that is meant, the newest with one. Raises UserError if none has."""
    parent = root / experiment
    run = _own_run(configs)
    found = [run / FOLDER / f"{name}.ckpt"] if run else list(parent.glob(f"version_*/{FOLDER}/{name}.ckpt"))
    found = [path for path in found if path.exists() and (run or number(path.parents[1]) >= 0)]
    if not found:
        raise UserError(
            f"--ckpt_path {name}: no run in {run or parent} has a checkpoint; train one first, by main.py fit without "
            f"it, or {NAME_A_RUN}"
        )
    newest = max(found, key=lambda path: number(path.parents[1]))
    return (newest_whole(newest.parents[1]) if name == "last" else None) or (newest, read(newest))


def newest_whole(run: Path) -> Found | None:
    """The run's newest checkpoint that is whole, which is said where it is not last.ckpt; None where there is none.

    Raises UserError where there are some and none is whole.
    """
    paths = [run / FOLDER / f"{name}.ckpt" for name in ("last", "previous", "best")]
    if not any(path.exists() for path in paths):
        return None
    whole: list[Found] = []
    problem = ""
    for path in paths:
        try:
            whole.append((path, read(path)))
        except UserError as error:
            problem = problem or str(error)
        if whole and not problem:
            return whole[0]
    if not whole:
        raise UserError(problem)
    newest, checkpoint = max(whole, key=lambda found: found[1]["global_step"])
    said = f"going on from {newest}, step {checkpoint['global_step']}"
    print(f"{problem.removeprefix('--ckpt_path ')}: {said}", flush=True)
    return newest, checkpoint


def finished(run: Path, max_epochs: int, max_steps: int) -> str:
    """How far a finished run went, if that is as far as is asked for; empty if not."""
    file = run / RESULTS
    done = json.loads(file.read_text()) if file.exists() else {"epochs": 0, "steps": 0}
    if 0 < max_epochs <= done["epochs"]:
        return f"its {max_epochs} epochs"
    return f"its {max_steps} steps" if 0 < max_steps <= done["steps"] else ""


def check_fits(path: Path, checkpoint: Checkpoint, own: dict[str, torch.Tensor], data: ImageDataModule) -> None:
    """Raises UserError where the checkpoint of `path` is not of a network with weights `own` on such `data`."""
    saved, kind = checkpoint["state_dict"], type(data).__qualname__
    if "class_names" not in checkpoint.get(kind, ()):
        difference = f"it is not of {kind}"
    elif lacking := [name for name in own if name not in saved]:
        difference = f"it has no {lacking[0]}"
    elif extra := [name for name in saved if name not in own]:
        difference = f"the network has no {extra[0]}"
    elif other := [name for name in own if own[name].shape != saved[name].shape]:
        name = other[0]
        difference = f"{name} is {list(saved[name].shape)} in it and {list(own[name].shape)} in the network"
    elif differing := [
        (number, *names)
        for number, names in enumerate(zip_longest(checkpoint[kind]["class_names"], data.class_names))
        if len(set(names)) > 1
    ]:
        difference = "its class {} is {}, the data's {}".format(*differing[0])
    else:
        return
    raise UserError(
        f"--ckpt_path {path}: a checkpoint of another network or other data ({difference}); "
        f"give the run's own settings, --config {path.absolute().parents[1] / 'config.yaml'}"
    )


def _own_run(configs: Sequence[Path]) -> Path | None:
    """The run whose own config.yaml comes first in `configs`, also where its directory was renamed."""
    if not configs:
        return None
    run = configs[0].parent
    if run.name in ("", ".."):
        run = run.resolve()
    return run if number(run) >= 0 or (run / "environment.yaml").exists() else None


def number(path: Path) -> int:
    """The n of a directory version_n; -1 for any other."""
    match = re.fullmatch(r"version_(\d+)", path.name)
    return int(match[1]) if match else -1
