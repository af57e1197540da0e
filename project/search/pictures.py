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
INCHES_OF_OPTION = 1.8  # of the width of the parallel coordinates, so that names and numbers do not overlap
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
        axes = draw(study.optuna, target_name=study.space.objective)  # it changes the style; the block takes that back
        figure = axes.figure
        if draw is drawings.plot_parallel_coordinate:
            names = sorted(study.space.ranges)
            axes.set_xticklabels([study.space.objective, *names], rotation=-20, horizontalalignment="left")
            # Dark is good, as in Optuna's colours, in which the line of the worst trial is white.
            axes.collections[0].set_cmap("viridis_r" if study.space.direction == "maximize" else "viridis")
            figure.set_size_inches(INCHES_OF_OPTION * (len(names) + 2), 5)
        with atomic_write(file, several_writers=True) as unfinished:
            figure.savefig(unfinished, format="png", dpi=100, bbox_inches="tight")
        pyplot.close(figure)
    return file
