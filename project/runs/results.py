"""The results of a finished run: results.json, the last lines printed, and TensorBoard's HPARAMS tab."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from project.runs.directories import RESULTS
from project.system.files import atomic_write


def record(run: Path, results: dict[str, Any], settings: dict[str, Any], trainer: Trainer) -> None:
    """Write `results` into `run`, print them, and enter `settings` with the test accuracy into the HPARAMS tab."""
    metrics = {name: value for name, value in results.items() if name == "test/accuracy"}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            # Not by log_hyperparams(metrics=...), which would log the accuracy again that the test has logged.
            with SummaryWriter(logger.log_dir) as writer:
                for summary in hparams(shown(settings), metrics):  # type: ignore[no-untyped-call]
                    writer.file_writer.add_summary(summary)
    with atomic_write(run / RESULTS) as unfinished:  # last of all: a run that has it is finished
        unfinished.write_text(json.dumps(results, indent=2) + "\n")
    print(*lines(results), f"results: {run / RESULTS}", sep="\n", flush=True)


def lines(measured: Mapping[str, Any]) -> list[str]:
    """Each figure with as many digits as are worth reading; results.json and metrics.csv have all of them."""
    return [f"{name} {_digits(name, value)}" for name, value in measured.items() if value is not None]


def _digits(name: str, value: Any) -> str:
    if "accuracy" in name:
        return f"{100 * value:.2f} %"
    if "seconds" in name:
        return f"{value:.1f}"
    return str(value) if isinstance(value, (int, str)) else f"{value:.4f}"


def shown(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that tell experiments apart, named as on the command line."""
    trainer = {name: settings["trainer"][name] for name in ("max_epochs", "max_steps", "precision")}
    flat = flatten({"trainer": trainer, "model": settings["model"], "data": settings["data"]})
    return {**flat, "seed_everything": settings["seed_everything"]}


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one dotted level of numbers, truth values and text; what is None is left out."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = prefix + name
        if isinstance(value, dict):
            flat |= flatten(value, prefix if name == "init_args" else f"{key}.")
        elif name == "class_path":
            flat[prefix.removesuffix(".")] = value.rpartition(".")[2]
        elif value is not None:
            flat[key] = value if isinstance(value, (bool, int, float)) else str(value)
    return flat
