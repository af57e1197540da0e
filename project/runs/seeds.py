"""Runs of the same settings with other seeds."""

from pathlib import Path
from typing import Any

from project.runs.directories import CONFIG, config_files
from project.runs.results import read_results
from project.system.yaml_text import load_yaml

FREE = {"seed_everything", "ckpt_path", "config", "name"}  # options in which such runs may differ


def runs_of_other_seeds(run: Path) -> list[Path]:
    """The finished runs beside `run` that have its settings, one for each seed; `run` is one of them."""
    settings = _settings(run)
    runs: dict[Any, Path] = {}
    for other in [run, *sorted(run.parent.iterdir())]:
        if (other / CONFIG).exists() and read_results(other):
            others = _settings(other)
            names = (others.keys() | settings.keys()) - FREE
            if all(repr(others.get(name)) == repr(settings.get(name)) for name in names):  # to ==, 1 is 1.0 and true
                runs.setdefault(others.get("seed_everything"), other)
    return list(runs.values())


def _settings(run: Path) -> dict[str, Any]:
    """The options of a run's last start, which may have other options than its first."""
    settings: dict[str, Any] = load_yaml(config_files(run)[-1].read_text("utf-8"))
    return settings
