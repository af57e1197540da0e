"""Which run a command means, and the checkpoint from which it begins."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from project.checkpoints.files import TRAINING_KEYS, Checkpoint, check_keys, read
from project.runs import directories
from project.runs.checkpoint_path import find_path
from project.runs.results import read_results
from project.system.errors import UserError
from project.system.launch import is_first_process
from project.system.signals import job, requeued

Found = tuple[Path, Checkpoint]
"""A checkpoint's path and content."""


@dataclass(frozen=True)
class RunOptions:
    """The options of a command that decide which run it means."""

    root: Path
    """The directory of all experiments."""
    configs: Sequence[Path] = ()
    """The files of --config; a run's own config.yaml names that run."""
    name: str | None = None
    """Of the experiment."""
    ckpt_path: str | None = None
    max_epochs: int | None = None
    max_steps: int = -1


@dataclass(frozen=True)
class RunPlan:
    """Where a run is written, and the checkpoint from which it begins."""

    experiment: str
    root: Path
    resumed: Path | None = None
    """The directory of the run that goes on; None for a new run."""
    checkpoint_path: Path | None = None
    checkpoint: Checkpoint | None = None
    first_step: int = 0
    """The number of optimizer steps that the checkpoint has done."""
    version: int | None = None
    """The n of version_n for a new run; None takes the next one."""


def plan_fit(options: RunOptions, cleanup: ExitStack, lock: bool = True) -> RunPlan:
    """Find the run that a fit goes on with, if one is meant, and the checkpoint.

    --ckpt_path last goes on with a run; so does a SLURM job that was started again. best, or a file, begins a new run.

    Args:
        options: Of the command.
        cleanup: Releases the lock of the run when the command ends.
        lock: Keep other processes from the run that goes on.

    Raises:
        UserError: no such run or checkpoint, another process trains the run, or it is already as long as asked for.
    """
    experiment = directories.experiment_name(options.configs, options.name)
    run = _run_to_resume(options, experiment)
    if run is None:
        found = _named_checkpoint(options, experiment)
    else:
        if lock:
            cleanup.callback(directories.lock_run(run).release)
        _check_unfinished(run, options)
        found = newest_whole(run)
    if found is not None:
        _check_limits(*found, options)
    return _plan(options, experiment, run, found)


def plan_evaluation(command: str, options: RunOptions) -> RunPlan:
    """Find the checkpoint that validate, test or predict uses. Raises UserError if there is none."""
    if options.ckpt_path is None:
        raise missing_checkpoint(command)
    experiment = directories.experiment_name(options.configs, options.name)
    return _plan(options, experiment, None, _named_checkpoint(options, experiment))


def missing_checkpoint(command: str) -> UserError:
    """The error of validate, test or predict without --ckpt_path."""
    known = "a checkpoint file, a run directory, an experiment, best or last"
    return UserError(f"{command} needs trained weights: give --ckpt_path with {known}")


def _plan(options: RunOptions, experiment: str, run: Path | None, found: Found | None) -> RunPlan:
    if found is None:
        return RunPlan(experiment, options.root, run)
    path, checkpoint = found
    return RunPlan(experiment, options.root, run, path, checkpoint, checkpoint["global_step"])


def _run_to_resume(options: RunOptions, experiment: str) -> Path | None:
    is_last = options.ckpt_path == "last"
    if not is_last and (options.ckpt_path is not None or not requeued()):
        return None
    run = directories.newest_run(options.root, experiment, options.configs, None if is_last else job())
    if run is None and is_last:
        where = options.root / experiment
        name_one = directories.NAME_A_RUN
        raise UserError(f"--ckpt_path last: there is no run in {where}; start one without --ckpt_path, or {name_one}")
    return run


def _named_checkpoint(options: RunOptions, experiment: str) -> Found | None:
    if options.ckpt_path is None:
        return None
    run = directories.named_run(options.configs)
    path = find_path(options.ckpt_path, options.root, experiment, run)
    if options.ckpt_path == "last":
        return newest_whole(path.parents[1])
    return path, read(path)


def _check_unfinished(run: Path, options: RunOptions) -> None:
    """Raises UserError where the run has ended, and the options ask for no more."""
    done: dict[str, Any] = read_results(run) or {"epochs": 0, "steps": 0}
    for unit, limit in (("epochs", options.max_epochs or 0), ("steps", options.max_steps)):
        if 0 < limit <= done[unit]:
            raise UserError(
                f"--ckpt_path last: {run} has finished its {limit} {unit}; give a larger --trainer.max_epochs or "
                "--trainer.max_steps, or start a new run without --ckpt_path"
            )


def _check_limits(path: Path, checkpoint: Checkpoint, options: RunOptions) -> None:
    """Raises UserError where the checkpoint cannot be trained on, or is already past a limit."""
    check_keys(path, checkpoint, TRAINING_KEYS)
    limits = {"max_epochs": (options.max_epochs, "epoch"), "max_steps": (options.max_steps, "global_step")}
    for option, (limit, key) in limits.items():
        if 0 < (limit or 0) < checkpoint[key]:
            raise UserError(f"--trainer.{option} {limit}: {path} is at {checkpoint[key]}; give at least that number")


def newest_whole(run: Path) -> Found | None:
    """The newest checkpoint of a run that is not damaged; None for a run without checkpoints.

    A line is printed if that is not last.ckpt.

    Raises:
        UserError: the run has checkpoints, and all of them are damaged.
    """
    paths = [run / directories.CHECKPOINTS / f"{name}.ckpt" for name in ("last", "previous", "best")]
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
    going_on = f"going on from {newest}, step {checkpoint['global_step']}"
    if is_first_process():
        print(f"{problem.removeprefix('--ckpt_path ')}: {going_on}", flush=True)
    return newest, checkpoint
