"""Loss and accuracy by epoch of one experiment with several options, each with its best learning rate.

The search for the learning rate compares the validation accuracy of short runs. It starts at a usual learning rate and
tries higher and lower ones in factors of about three. It ends when both neighbours of the best one are worse.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.figures.drawing import COLOURS, MARKS, panels, save
from project.figures.measurements import Measurements, fit
from project.system.errors import NotFiniteError

Options = Sequence[str]
LEARNING_RATES = [float(f"{digit}e{power}") for power in range(-6, 3) for digit in (1, 3)]  # of the search


@dataclass(frozen=True)
class Comparison:
    """The curves of a picture. Each has options of main.py fit and the learning rate where its search starts."""

    title: str
    experiment: str
    epochs: int
    search_epochs: int
    curves: Mapping[str, tuple[Options, float]]


def _optimizer(name: str) -> Options:
    return ("--config", str(CONFIGS / f"optimizer/{name}.yaml"))


OPTIMIZERS = {
    "SGD": (_optimizer("sgd"), 0.1),
    "momentum": (_optimizer("momentum"), 0.03),
    "Adagrad": (_optimizer("adagrad"), 0.01),
    "Adadelta": (_optimizer("adadelta"), 1.0),
    "Adam": (_optimizer("adam"), 0.003),
    "AdamW": (_optimizer("adamw"), 0.003),
}
CONSTANT = (*_optimizer("sgd"), "--model.lr_scheduler", "null")
BATCHES = {
    f"batches of {size:,}": ((*CONSTANT, "--data.batch_size", str(size)), learning_rate)
    for size, learning_rate in ((100, 0.1), (1_000, 0.3), (9_000, 0.3))
} | {"all 45,000 at once": ((*CONSTANT, "--data.batch_size", "45000"), 0.3)}
LAYERS = {
    "ReLU between": ((), 0.003),
    "ReLU on the logits too": (("--model.network.relu_on_logits", "true"), 0.003),
    "no nonlinearity": (("--model.network.activation", "none"), 0.001),
    "one linear layer": (("--model.network.hidden", "[]"), 0.001),
}
COMPARISONS = {
    "layers": Comparison("mlp.yaml", "mlp", 10, 2, LAYERS),
    "optimizers_mlp": Comparison("mlp.yaml", "mlp", 10, 2, OPTIMIZERS),
    "optimizers_convnet": Comparison("convnet.yaml", "convnet", 5, 1, OPTIMIZERS),
    "batches": Comparison("mlp.yaml, plain descent", "mlp", 10, 10, BATCHES),
}


def best_learning_rate(measurements: Measurements, name: str, arguments: Options, epochs: int, start: float) -> float:
    """The learning rate of LEARNING_RATES that has a higher validation accuracy than its neighbours."""

    def accuracy(index: int) -> float:
        learning_rate = LEARNING_RATES[index]
        search = (name, arguments, epochs, learning_rate)
        return float(measurements.get(f"{name} at {learning_rate:g}", _accuracy, *search))

    best, better = None, LEARNING_RATES.index(start)
    while better != best:
        best = better
        better = max((i for i in (best, best - 1, best + 1) if 0 <= i < len(LEARNING_RATES)), key=accuracy)
    return LEARNING_RATES[better]


def draw(name: str, directory: Path | None = None, data_dir: str = "data", fit_options: Options = ()) -> Path:
    """Draw the training loss on the left and the validation accuracy on the right."""
    measurements, comparison = Measurements(name), COMPARISONS[name]
    figure, (losses, accuracies) = panels(2)
    for number, (label, (curve_options, start)) in enumerate(comparison.curves.items()):
        options = (*curve_options, "--data.data_dir", data_dir, *fit_options)
        arguments = fit_arguments([CONFIGS / f"{comparison.experiment}.yaml"], options)
        best = best_learning_rate(measurements, label, arguments, comparison.search_epochs, start)
        curves = measurements.get(label, _curves, arguments, comparison.epochs, best)
        test = curves["test/accuracy"]
        print(f"  {comparison.title}, {label}: learning rate {best:g}, test accuracy {test:.2%}", flush=True)
        for axis, metric, factor in ((losses, "train/loss", 1), (accuracies, "val/accuracy", 100)):
            values = [factor * value for value in curves[metric]]
            style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKS[number], "markersize": 4}
            axis.plot(range(1, len(values) + 1), values, label=f"{label}: {best:g}", linewidth=1.2, **style)
            axis.set(xlabel="epoch", title=f"{comparison.title}: {metric}{' in %' if factor > 1 else ''}")
    for axis in (losses, accuracies):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = losses.get_legend_handles_labels()
    figure.legend(handles, labels, title="learning rate", loc="outside lower center", ncols=3, fontsize=8)
    return save(figure, name, directory)


def _accuracy(name: str, arguments: Options, epochs: int, learning_rate: float) -> float:
    """The validation accuracy at the end of a short run. It is negative if the loss is no longer finite."""
    try:
        accuracy = float(_curves(arguments, epochs, learning_rate)["val/accuracy"][-1])
        outcome = f"validation accuracy {accuracy:.2%}"
    except NotFiniteError:
        accuracy = -learning_rate  # so that of two that diverge the lower learning rate is better
        outcome = "diverges"
    print(f"    {name}, learning rate {learning_rate:g}: {outcome}", flush=True)
    return accuracy


def _curves(arguments: Options, epochs: int, learning_rate: float) -> dict[str, Any]:
    """Training loss and validation accuracy of each epoch, and the test accuracy."""
    options = ["--model.optimizer.lr", str(learning_rate), "--trainer.max_epochs", str(epochs)]
    results, rows = fit([*arguments, *options])
    epoch = {name: [row[name] for row in rows if name in row] for name in ("train/loss", "val/accuracy")}
    return {**epoch, "test/accuracy": results["test/accuracy"]}
