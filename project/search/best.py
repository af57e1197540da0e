"""What a search leaves: the best settings as an overlay, and the checkpoints of the best trials."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial

from project.runs.directories import CHECKPOINTS
from project.runs.results import read_settings
from project.search.study import ENDED, Study
from project.system.files import atomic_write

BEST = "best.yaml"


def write_best(study: Study, trial: FrozenTrial, command: str, directory: Path) -> Path:
    """Write the settings of a trial as a file for --config, and return its path.

    Args:
        study: Of the trial.
        trial: It has finished.
        command: How the experiment is run without the file.
        directory: Where the file is written.
    """
    settings = read_settings(study.runs_of(trial.number)[0])
    overlay: dict[str, Any] = {}
    for name in study.settings_of(trial):
        _merge(overlay, _part(settings, name.split(".")))
    file = directory / BEST
    header = (
        f"# The best settings of the search in {directory}: {study.space.objective} "
        f"{trial.value:.4f}\n# Command:        {command} --config {file}\n"
    )
    with atomic_write(file, several_writers=True) as unfinished:
        unfinished.write_text(header + yaml.safe_dump(overlay, sort_keys=False), "utf-8")
    return file


def remove_checkpoints(study: Study, keep: int) -> None:
    """Delete the checkpoints of all finished trials but the best `keep`. All other files of their runs stay."""
    with study.lock:
        best = {trial.number for trial in study.finished()[:keep]}
        for number in {trial.number for trial in study.trials(*ENDED)} - best:
            for run in study.runs_of(number):
                shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)


def _part(settings: Any, names: list[str]) -> Any:
    """The part of nested settings that leads to one option, with the class paths on the way; all of a list."""
    if not names or isinstance(settings, list):
        return settings
    if isinstance(settings, Mapping) and "class_path" in settings and names[0] not in ("class_path", "init_args"):
        return {"class_path": settings["class_path"], "init_args": _part(settings["init_args"], names)}
    return {names[0]: _part(settings[names[0]], names[1:])}


def _merge(overlay: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(overlay.get(name), dict):
            _merge(overlay[name], value)
        else:
            overlay[name] = value
