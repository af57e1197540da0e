"""What --ckpt_path and project.load take: a checkpoint's file, a run, an experiment, `best` or `last`."""

from collections.abc import Iterable
from pathlib import Path

from project.checkpoints.weights_directory import WEIGHTS
from project.runs import directories
from project.system.errors import UserError

NAMES = ("best", "last")


def find_path(
    value: str, root: Path = Path(directories.ROOT), experiment: str | None = None, run: Path | None = None
) -> Path:
    """The file of the checkpoint that `value` means. A line is printed that names it, unless `value` is the file.

    Args:
        value: A checkpoint file; a run directory, also one that was moved or renamed; an experiment's directory or
            name; a directory with model.safetensors, which export writes; or best or last, of the newest run. A run or
            an experiment stands for its best checkpoint. In a run without validation, best stands for the last one.
        root: The directory of all experiments.
        experiment: Whose newest run `best` and `last` mean; None takes the newest run of all experiments.
        run: The run whose checkpoint `best` and `last` mean.

    Raises:
        UserError: there is no such checkpoint.
    """
    path = Path(value)
    if value in NAMES and not path.is_file():
        if run is not None:
            return _newest(value, [run], run)
        experiments = [root / experiment] if experiment else _directories(root)
        runs = [run for directory in experiments for run in _runs(directory)]
        return _newest(value, runs, root / (experiment or ""))
    if (path / WEIGHTS).exists():
        return path / WEIGHTS
    if path.is_dir():
        return _newest("best", [path] if _checkpoints(path) else _runs(path), path)
    if path.is_file() or "/" in value or path.suffix:
        return path  # the reader says what is wrong with it
    return _newest("best", _runs(root / value), root / value)


def _newest(name: str, runs: Iterable[Path], place: Path) -> Path:
    """The checkpoint of the run that wrote one last."""
    runs = [run for run in runs if _checkpoints(run)]
    if not runs:
        remedy = f"train one first, or {directories.NAME_A_RUN}"
        raise UserError(f"--ckpt_path {name}: no run in {place} has a checkpoint; {remedy}")
    run = max(runs, key=lambda run: max(path.stat().st_mtime_ns for path in _checkpoints(run)))
    paths = [run / directories.CHECKPOINTS / f"{known}.ckpt" for known in (name, "last", "previous")]
    path = next(path for path in paths if path.exists())
    why = "" if path.stem == name else f", since the run has no {name}.ckpt"
    print(f"checkpoint {path}{why}", flush=True)
    return path


def _checkpoints(run: Path) -> list[Path]:
    paths = (run / directories.CHECKPOINTS / f"{name}.ckpt" for name in (*NAMES, "previous"))
    return [path for path in paths if path.exists()]


def _runs(experiment: Path) -> list[Path]:
    """All run directories of an experiment, renamed ones too."""
    return [path for path in _directories(experiment) if directories.is_run(path)]


def _directories(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []
