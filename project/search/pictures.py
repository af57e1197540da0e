"""Pictures of a study: its history, how much each option matters, and the settings of all trials."""

import warnings
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from matplotlib import pyplot
from optuna.visualization import matplotlib as drawings

from project.search.study import Study
from project.system.files import atomic_write

FOLDER = "pictures"
KINDS = {
    "history": drawings.plot_optimization_history,
    "importance": drawings.plot_param_importances,
    "parallel_coordinate": drawings.plot_parallel_coordinate,
}


def importances(study: Study) -> dict[str, float]:
    """How much of the differences between trials each option explains; empty while too few trials have finished."""
    if len({trial.value for trial in study.finished()}) < 2:
        return {}
    try:
        return dict(optuna.importance.get_param_importances(study.optuna))
    except (RuntimeError, ValueError):  # such as a study in which all settings are the same
        return {}


def draw_pictures(study: Study) -> list[Path]:
    """Draw the pictures into the study's directory, and return their files; of few finished trials only the history."""
    if not study.finished():
        return []
    kinds = KINDS if importances(study) else {"history": KINDS["history"]}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = study.directory / FOLDER
    folder.mkdir(exist_ok=True)
    return [_draw(study, folder / f"{name}.png", draw) for name, draw in kinds.items()]


def _draw(study: Study, file: Path, draw: Any) -> Path:
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        figure = draw(study.optuna).figure  # it changes the style of all figures, which the block takes back
        with atomic_write(file, several_writers=True) as unfinished:
            figure.savefig(unfinished, format="png", dpi=100, bbox_inches="tight")
        pyplot.close(figure)
    return file
