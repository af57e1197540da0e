"""Run directories: lightning_logs/<experiment>/version_<n>, their names, and finding the newest.

Nothing here imports torch, so that finished runs can be listed at once.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from project.system.errors import UserError
from project.system.yaml_text import load_yaml

ROOT = "lightning_logs"
CHECKPOINTS = "checkpoints"
CONFIG = "config.yaml"
ENVIRONMENT = "environment.yaml"
LOCK = ".lock"
EXPERIMENT_NAME = r"\w[\w.-]{0,59}"  # a file's name has at most 255 bytes
NAME_A_RUN = f"name a run with --config {ROOT}/<experiment>/version_<n>/{CONFIG}"


def experiment_name(configs: Sequence[Path], name: str | None = None) -> str:
    """The `name` that was given, or else the first config file's, without its ending.

    A run's own config.yaml stands for that run's experiment.

    Raises:
        UserError: no directory can have the name.
    """
    if name is not None:
        if not re.fullmatch(EXPERIMENT_NAME, name):
            raise UserError(
                f"--name {name or repr(name)}: give the name of one directory: at most 60 letters, digits, dots, "
                "hyphens and underscores; it begins with a letter or a digit"
            )
        return name
    if not configs:
        return "unnamed"
    run = named_run(configs)
    if run is None:
        return configs[0].stem
    return run.parent.name if version_of(run) >= 0 else _recorded_experiment(run)


def _recorded_experiment(run: Path) -> str:
    """The experiment of a run directory that was renamed."""
    return str(load_yaml((run / ENVIRONMENT).read_text("utf-8")).get("experiment", run.name))


def check_writable(root: Path, experiment: str) -> None:
    """Raises UserError where no run directory can be made under `root`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror
    else:
        problem = "" if os.access(root, os.W_OK) else "permission denied"
    if problem:
        raise UserError(f"--trainer.default_root_dir {root.parent}: {root} cannot be written ({problem})")
    directory = root / experiment
    if directory.exists() and not directory.is_dir():
        raise UserError(f"--name {experiment}: {directory} is a file; give another name")


def create_run(root: Path, experiment: str, files: Mapping[str, str], version: int | None = None) -> Path:
    """Make a run directory with these text `files`, all at once, and return its path.

    Two processes that call this at the same time get two directories.

    Args:
        root: The directory of all experiments.
        experiment: The experiment's name.
        files: Texts by their names.
        version: The n of version_n; None takes the next one.

    Raises:
        UserError: there is such a version.
    """
    parent = root / experiment
    parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    new.chmod(0o755)
    for name, text in files.items():
        (new / name).write_text(text, "utf-8")
    following = 1 + max((version_of(path) for path in parent.iterdir()), default=-1)
    for number in count(following) if version is None else [version]:
        try:
            return new.rename(parent / f"version_{number}")
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
    shutil.rmtree(new)
    raise UserError(f"{parent / f'version_{version}'}: there is such a run; move it")


def lock_run(run: Path) -> FileLock:
    """Keep other processes from training the run. Raises UserError where one is training it."""
    run_lock = FileLock(run / LOCK)
    try:
        run_lock.acquire(timeout=0.2, poll_interval=0.02)
    except Timeout:
        raise UserError(f"--ckpt_path last: another process is training {run}; wait for it, or stop it") from None
    return run_lock


def is_training(run: Path) -> bool:
    """Whether a process trains the run now. This looks at the lock for a moment, which `lock_run` waits for."""
    try:
        with (run / LOCK).open("rb") as file:
            return not _share_lock(file)
    except OSError:  # no process has ever trained it
        return False


def _share_lock(file: IO[bytes]) -> bool:
    """Whether no process has locked the file. On Unix two processes can ask at the same time."""
    try:
        import fcntl
    except ModuleNotFoundError:  # on Windows
        try:
            with FileLock(file.name, timeout=0):
                return True
        except Timeout:
            return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def all_runs(root: Path, experiment: str) -> list[Path]:
    """The experiment's run directories, the newest last."""
    runs = [path for path in (root / experiment).glob("version_*") if version_of(path) >= 0]
    return sorted(runs, key=version_of)


def newest_run(root: Path, experiment: str, configs: Sequence[Path] = (), job: str | None = None) -> Path | None:
    """The run whose own config.yaml is given, or else the experiment's newest; None if there is none.

    Args:
        root: The directory of all experiments.
        experiment: The experiment's name.
        configs: The files of --config.
        job: Of SLURM; only runs of this job are looked at.
    """
    run = named_run(configs)
    runs = [path for path in ([run] if run else all_runs(root, experiment)) if (path / CONFIG).exists()]
    if job is not None:
        runs = [path for path in runs if load_yaml((path / ENVIRONMENT).read_text("utf-8")).get("job") == job]
    return runs[-1] if runs else None


def config_files(run: Path) -> list[Path]:
    """The config file of each start of a run, in their order: config.yaml, config-2.yaml and so on."""
    return sorted(run.glob("config*.yaml"), key=lambda path: (len(path.name), path.name))


def named_run(configs: Sequence[Path]) -> Path | None:
    """The run directory of the first config file, if it is a run's own config.yaml; else None.

    A run directory may have been renamed.
    """
    if not configs:
        return None
    run = configs[0].parent
    if run.name in ("", ".."):
        run = run.resolve()
    return run if is_run(run) else None


def is_run(path: Path) -> bool:
    """Whether the path is a run directory, which may have been renamed."""
    return version_of(path) >= 0 or (path / ENVIRONMENT).exists()


def version_of(run: Path) -> int:
    """The n of a run directory version_n; -1 for any other directory."""
    match = re.fullmatch(r"version_(\d+)", run.name)
    return int(match[1]) if match else -1
