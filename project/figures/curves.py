"""Loss and accuracy by epoch of one experiment with several options, each with its best learning rate.

`main.py search` trains with each learning rate and three seeds. The runs with the best one are the curves.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from project.benchmarks.fitting import CONFIGS
from project.cli.fit_process import FitProcesses
from project.cli.main import main
from project.figures.drawing import COLOURS, MARKS, MEASUREMENTS, panels, save
from project.runs.results import Result
from project.system.files import atomic_write

Options = Sequence[str]
LEARNING_RATE = "model.optimizer.lr"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Comparison:
    """The curves of a picture. Each has options of main.py fit and learning rates, the most promising one first."""

    title: str
    experiment: str
    epochs: int
    curves: Mapping[str, tuple[Options, Sequence[float]]]


def _optimizer(name: str) -> Options:
    return ("--config", str(CONFIGS / f"optimizer/{name}.yaml"))


OPTIMIZERS = {
    "SGD": (_optimizer("sgd"), (0.3, 0.1, 1.0)),
    "momentum": (_optimizer("momentum"), (0.03, 0.01, 0.1)),
    "Adagrad": (_optimizer("adagrad"), (0.03, 0.01, 0.1)),
    "Adadelta": (_optimizer("adadelta"), (10.0, 3.0, 1.0, 30.0)),
    "Adam": (_optimizer("adam"), (0.003, 0.001, 0.01)),
    "AdamW": (_optimizer("adamw"), (0.003, 0.001, 0.0003, 0.01)),
}
CONSTANT = (*_optimizer("sgd"), "--model.lr_scheduler", "null")
BATCHES = {
    "batches of 100": ((*CONSTANT, "--data.batch_size", "100"), (0.03, 0.01, 0.1)),
    "batches of 1,000": ((*CONSTANT, "--data.batch_size", "1000"), (0.3, 0.1, 1.0)),
    "batches of 9,000": ((*CONSTANT, "--data.batch_size", "9000"), (0.3, 0.1, 1.0)),
    "all 45,000 at once": ((*CONSTANT, "--data.batch_size", "45000"), (0.3, 0.1, 1.0)),
}
LAYERS = {
    "ReLU between": ((), (0.003, 0.001, 0.01)),
    "ReLU on the logits too": (("--model.network.relu_on_logits", "true"), (0.003, 0.001, 0.01)),
    "no nonlinearity": (("--model.network.activation", "none"), (0.001, 0.0003, 0.003)),
    "one linear layer": (("--model.network.hidden", "[]"), (0.001, 0.0003, 0.003)),
}
COMPARISONS = {
    "layers": Comparison("mlp.yaml", "mlp", 10, LAYERS),
    "optimizers_mlp": Comparison("mlp.yaml", "mlp", 10, OPTIMIZERS),
    "optimizers_convnet": Comparison("convnet.yaml", "convnet", 5, OPTIMIZERS),
    "batches": Comparison("mlp.yaml, plain descent", "mlp", 10, BATCHES),
}


def search(study: str, words: Sequence[str], rates: Sequence[float]) -> tuple[float, list[Path]]:
    """Train with each learning rate and all seeds, or go on with it. Return the best learning rate and its runs."""
    space = MEASUREMENTS / f"{study}.yaml"
    space.parent.mkdir(parents=True, exist_ok=True)
    content = {LEARNING_RATE: {"choice": list(rates)}, "seed_everything": {"all": list(SEEDS)}}
    with atomic_write(space, several_writers=True) as unfinished:
        unfinished.write_text(yaml.safe_dump(content), "utf-8")
    own_words = ["--space", str(space), "--trials", str(len(rates)), "--keep", "1", "--name", study]
    result = main(["search", *words, *own_words])
    assert result.directory is not None
    first = len(SEEDS) * result.figures["trial"]
    return result.figures[LEARNING_RATE], [result.directory / f"version_{first + n}" for n in range(len(SEEDS))]


def draw(name: str, directory: Path | None = None, data_dir: str = "data", fit_options: Options = ()) -> Path:
    """Draw the training loss on the left and the validation accuracy on the right."""
    comparison = COMPARISONS[name]
    figure, axes = panels(2)
    common = ["--trainer.max_epochs", str(comparison.epochs), "--trainer.accelerator", "cpu"]
    for number, (label, (options, rates)) in enumerate(comparison.curves.items()):
        words = ["--config", str(CONFIGS / f"{comparison.experiment}.yaml"), *options, *common]
        study = re.sub(r"\W+", "-", f"{name} {label}").lower()
        rate, runs = search(study, [*words, "--data.data_dir", data_dir, *fit_options], rates)
        tests = [100 * FitProcesses().test(run)["test/accuracy"] for run in runs]
        accuracy = f"test accuracy {np.mean(tests):.2f} +- {np.std(tests, ddof=1):.2f} % over {len(tests)} seeds"
        print(f"  {comparison.title}, {label}: learning rate {rate:g}, {accuracy}", flush=True)
        metrics = [Result(run).metrics() for run in runs]
        for axis, metric, factor in zip(axes, ("train/loss", "val/accuracy"), (1, 100), strict=True):
            values = [[factor * row[metric] for row in rows if metric in row] for rows in metrics]
            _plot(axis, np.array(values), number, f"{label}: {rate:g}")
            axis.set(xlabel="epoch", title=f"{comparison.title}: {metric}{' in %' if factor > 1 else ''}")
    title = f"learning rate (line: mean of {len(SEEDS)} seeds, band: their standard deviation)"
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title=title, loc="outside lower center", ncols=3, fontsize=8)
    return save(figure, name, directory)


def _plot(axis: Axes, values: np.ndarray[Any, Any], number: int, label: str) -> None:
    """The mean of the values (seeds, epochs), and a band of one standard deviation above and below it."""
    mean, deviation = values.mean(0), values.std(0, ddof=1)
    epochs = range(1, len(mean) + 1)
    style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKS[number], "markersize": 4, "linewidth": 1.2}
    axis.plot(epochs, mean, label=label, **style)
    axis.fill_between(epochs, mean - deviation, mean + deviation, color=COLOURS[number], alpha=0.2, linewidth=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
