"""Loss and accuracy, epoch by epoch, of one experiment under several ways of descent, each at a rate of its own.

The rate is searched for by validation: runs of a few epochs at rates that go up and down in factors of about three from
a usual one, until the best has a worse one on either side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from project.benchmarks.runs import CONFIGS
from project.figures.drawing import COLOURS, MARKS, panels, save
from project.figures.runs import Kept, fit
from project.system.errors import NotFiniteError

Words = tuple[str, ...]
LADDER = [float(f"{digit}e{power}") for power in range(-6, 3) for digit in (1, 3)]  # rates that are tried


@dataclass(frozen=True)
class Comparison:
    """What a picture compares: the words of each curve after the experiment's, and the rate its search begins at."""

    title: str
    experiment: str
    epochs: int
    search_epochs: int
    curves: Mapping[str, tuple[Words, float]]


def _optimizer(name: str) -> Words:
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
    f"batches of {size:,}": ((*CONSTANT, "--data.batch_size", str(size)), rate)
    for size, rate in ((100, 0.1), (1_000, 0.3), (9_000, 0.3))
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


def best_rate(kept: Kept, name: str, words: Words, epochs: int, start: float) -> float:
    """The rate on the ladder that has no better neighbour, by validation accuracy."""

    def accuracy(place: int) -> float:
        value: float = kept.once(f"{name} at {LADDER[place]:g}", lambda: _accuracy(name, words, epochs, LADDER[place]))
        return value

    best = LADDER.index(start)
    while (better := max(_with_neighbours(best), key=accuracy)) != best:
        best = better
    return LADDER[best]


def _with_neighbours(place: int) -> list[int]:
    return [near for near in (place, place - 1, place + 1) if 0 <= near < len(LADDER)]


def draw(name: str, folder: Path | None = None, data_dir: str = "data", further: Words = ()) -> Path:
    """Training loss on the left, validation accuracy on the right."""
    kept, comparison = Kept(name), COMPARISONS[name]
    figure, (losses, accuracies) = panels(2)
    for number, (label, (own, start)) in enumerate(comparison.curves.items()):
        words = (comparison.experiment, *own, "--data.data_dir", data_dir, *further)
        rate = best_rate(kept, label, words, comparison.search_epochs, start)
        curves = kept.once(label, lambda words=words, rate=rate: _curves(words, comparison.epochs, rate))  # type: ignore[misc]
        test = curves["test/accuracy"]
        print(f"  {comparison.title}, {label}: rate {rate:g}, test accuracy {test:.2%}", flush=True)
        for axis, metric, factor in ((losses, "train/loss", 1), (accuracies, "val/accuracy", 100)):
            values = [factor * value for value in curves[metric]]
            style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKS[number], "markersize": 4}
            axis.plot(range(1, len(values) + 1), values, label=f"{label}, rate {rate:g}", linewidth=1.2, **style)
            axis.set(xlabel="epoch", title=f"{comparison.title}: {metric}{' in %' if factor > 1 else ''}")
    for axis in (losses, accuracies):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*losses.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return save(figure, name, folder)


def _accuracy(name: str, words: Words, epochs: int, rate: float) -> float:
    """On the validation images at the end of a short run; below 0 where the loss does not stay finite."""
    try:
        accuracy = _curves(words, epochs, rate)["val/accuracy"][-1]
    except NotFiniteError:
        accuracy = -rate  # of two that diverge the lower is nearer
    print(
        f"    {name}, rate {rate:g}: {f'validation accuracy {accuracy:.2%}' if accuracy > 0 else 'diverges'}",
        flush=True,
    )
    return float(accuracy)


def _curves(words: Words, epochs: int, rate: float) -> dict[str, Any]:
    """Training loss and validation accuracy of each epoch, and the test accuracy."""
    experiment, *further = words
    options = ["--model.optimizer.lr", str(rate), "--trainer.max_epochs", str(epochs)]
    results, rows = fit(experiment, [*further, *options])
    epoch = {name: [row[name] for row in rows if name in row] for name in ("train/loss", "val/accuracy")}
    return {**epoch, "test/accuracy": results["test/accuracy"]}
