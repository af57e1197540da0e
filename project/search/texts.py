"""Settings and figures of trials as text."""

from optuna.trial import FrozenTrial

from project.search.study import Study


def settings_text(study: Study, trial: FrozenTrial) -> str:
    """The settings of a trial in a few words."""
    settings = study.settings_of(trial).items()
    return ", ".join(f"{name} {f'{value:.4g}' if isinstance(value, float) else value}" for name, value in settings)


def shown(value: float | None, objective: str) -> str:
    return "nothing" if value is None else f"{100 * value:.2f} %" if "accuracy" in objective else f"{value:.4f}"


def difference(value: float, objective: str) -> str:
    """Of two values of the objective; of accuracies in percentage points."""
    return f"{100 * value:+.2f} points" if "accuracy" in objective else f"{value:+.4f}"
