"""What --ckpt_path and project.load take: a checkpoint's file, a run, an experiment, `best` or `last`."""

from collections.abc import Iterable
from pathlib import Path

from project.checkpoints.weights_directory import WEIGHTS
from project.runs import directories
from project.system.errors import UserError
from project.system.launch import is_first_process

NAMES = ("best", "last")
GIVE_A_PATH = "give the path of a run or of a checkpoint file"


def find_path(
    value: str,
    root: Path = Path(directories.ROOT),
    experiment: str | None = None,
    run: Path | None = None,
    option: str = "--ckpt_path",
) -> Path:
    """The file of the checkpoint that `value` means. A line is printed that names it, unless `value` is the file.

    Args:
        value: A checkpoint file; a run directory, also one that was moved or renamed; an experiment's directory or
            name; a directory with model.safetensors, which export writes; or best or last, of the newest run. A run or
            an experiment stands for its best checkpoint. In a run without validation, best stands for the last one.
        root: The directory of all experiments.
        experiment: Whose newest run `best` and `last` mean; None takes the newest run of all experiments.
        run: The run whose checkpoint `best` and `last` mean.
        option: Its name in an error line.

    Raises:
        UserError: there is no such checkpoint.
    """
    path = Path(value)
    if value in NAMES and not path.is_file():
        if run is None:
            experiments = [root / experiment] if experiment else _directories(root)
            newest = [found for directory in experiments if (found := _newest_run(_runs(directory)))]
            run = max(newest, key=_saved_at, default=None)
        remedy = directories.NAME_A_RUN if experiment else GIVE_A_PATH
        return _checkpoint(value, f"{option} {value}", run, root / (experiment or ""), remedy)
    if (path / WEIGHTS).exists():
        return path / WEIGHTS
    if path.is_file() or (not path.is_dir() and ("/" in value or path.suffix)):
        return path  # the reader says what is wrong with it
    directory = path if path.is_dir() else root / value
    run = directory if _checkpoints(directory) else _newest_run(_runs(directory))
    return _checkpoint("best", f"{option} {value}", run, directory)


def _newest_run(runs: Iterable[Path]) -> Path | None:
    """The run of an experiment with a checkpoint and the highest version; a renamed one only if it is alone."""
    return max((run for run in runs if _checkpoints(run)), key=directories.version_of, default=None)


def _checkpoint(name: str, given: str, run: Path | None, place: Path, remedy: str = GIVE_A_PATH) -> Path:
    if run is None or not _checkpoints(run):
        raise UserError(f"{given}: no run in {run or place} has a checkpoint; train one first, or {remedy}")
    paths = [run / directories.CHECKPOINTS / f"{known}.ckpt" for known in (name, "last", "previous")]
    path = next(path for path in paths if path.exists())
    why = "" if path.stem == name else f", since the run has no {name}.ckpt"
    if is_first_process():
        print(f"checkpoint {path}{why}", flush=True)
    return path


def _saved_at(run: Path) -> int:
    """When the run has written a checkpoint, in nanoseconds."""
    return max(path.stat().st_mtime_ns for path in _checkpoints(run))


def _checkpoints(run: Path) -> list[Path]:
    paths = (run / directories.CHECKPOINTS / f"{name}.ckpt" for name in (*NAMES, "previous"))
    return [path for path in paths if path.exists()]


def _runs(experiment: Path) -> list[Path]:
    """All run directories of an experiment, renamed ones too."""
    return [path for path in _directories(experiment) if directories.is_run(path)]


def _directories(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []
