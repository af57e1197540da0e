"""The paths of PyTorch's optimizers through a narrow valley, from the same point, with the same number of steps."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Optimizer

from project.figures.drawing import COLOURS, MARKS, panels, save

CURVATURE = (1.0, 25.0)  # curvature along and across the valley: the condition number is 25
START = (-8.0, 2.0)
STEPS = 40
MOMENTUM = 4 / 9  # ((sqrt(25) - 1) / (sqrt(25) + 1))^2, for a condition number of 25 (Polyak, 1964)
MakeOptimizer = Callable[[Iterable[Tensor], float], Optimizer]
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "SGD": lambda weights, lr: SGD(weights, lr),
    f"momentum {MOMENTUM:.2f}": lambda weights, lr: SGD(weights, lr, momentum=MOMENTUM),
    "Adagrad": lambda weights, lr: Adagrad(weights, lr),
    "Adadelta": lambda weights, lr: Adadelta(
        weights, 64 * lr
    ),  # its first steps are about 0.001 times the learning rate
    "Adam": lambda weights, lr: Adam(weights, lr),
    "AdamW": lambda weights, lr: AdamW(weights, lr, weight_decay=0.1),
}
LEARNING_RATES = tuple(0.075 * 2.0**power for power in range(-6, 8))  # plain descent diverges above 2/25 = 0.08


def height(place: Tensor) -> Tensor:
    """The height of the valley at the point `place` (..., 2)."""
    return (place.square() * torch.tensor(CURVATURE)).sum(-1) / 2


def path(make: MakeOptimizer, learning_rate: float, steps: int = STEPS) -> Tensor:
    """The points (steps + 1, 2) on the path of an optimizer."""
    place = nn.Parameter(torch.tensor(START))
    optimizer = make([place], learning_rate)
    places = [place.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        height(place).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        places.append(place.detach().clone())
    return torch.stack(places)


def best_learning_rate(make: MakeOptimizer) -> float:
    """The learning rate with the lowest mean height along the path.

    The last height alone would prefer one huge step at the start.
    """
    return min(LEARNING_RATES, key=lambda lr: height(path(make, lr)).mean().nan_to_num(torch.inf).item())


def draw(directory: Path | None = None, **_: Any) -> Path:
    """Draw SGD and momentum on the left, and the optimizers with a step size for each parameter on the right."""
    figure, axes = panels(2)
    for number, (name, make) in enumerate(OPTIMIZERS.items()):
        best = best_learning_rate(make)
        places = path(make, best)
        heights = height(places)
        learning_rate = make([nn.Parameter(torch.zeros(1))], best).param_groups[0]["lr"]
        label = f"{name}, learning rate {learning_rate:.3g}: mean height {heights.mean():.3g}"
        print(f"  {label}, at the end {heights[-1]:.2g}", flush=True)
        style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKS[number], "markersize": 3.5}
        axes[number > 1].plot(*places.T.numpy(), label=label, linewidth=1.2, **style)
    for axis in axes:
        _contours(axis)
        axis.legend(fontsize=8, loc="lower right")
    axes[0].set_title("momentum damps the zigzag")
    axes[1].set_title("a step size for each parameter")
    return save(figure, "descent", directory)


def _contours(axis: Axes) -> None:
    across, along = np.linspace(-3.2, 3.2, 120), np.linspace(-9, 3, 120)
    grid = torch.tensor(np.stack(np.meshgrid(along, across), -1))
    levels = np.geomspace(0.1, 200, 12)
    axis.contour(along, across, height(grid).numpy(), levels=levels, colors="#999999", linewidths=0.6)
    axis.set(xlabel="along the valley (curvature 1)", ylabel="across it (curvature 25)", ylim=(-3.2, 3.2), xlim=(-9, 3))
