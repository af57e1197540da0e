"""Fit networks with one hidden layer, with 1 to 1024 units, to a function of one variable."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from project.figures.drawing import COLOURS, panels, save
from project.networks import MLP

UNITS = tuple(2**power for power in range(11))
SEEDS = 3
STEPS = 3000
SHOWN = (1, 4, 256)


def target(x: Tensor) -> Tensor:
    """The function: the sum of two waves, for x in [-1, 1]."""
    return torch.sin(3 * x) + 0.3 * torch.sin(9 * x)


def fit(units: int, seed: int, steps: int = STEPS) -> tuple[Tensor, Tensor, Tensor]:
    """Train with Adam on all points at once. Return the inputs, the target's values and the network's, each (256,)."""
    torch.manual_seed(seed)
    x = torch.linspace(-1, 1, 256)
    y = target(x)
    network = MLP(1, (1, 1, 1), hidden=[units])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(network(x.view(-1, 1, 1, 1))[:, 0], y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return x, y, network(x.view(-1, 1, 1, 1))[:, 0]


def error(units: int, seed: int, steps: int = STEPS) -> float:
    """The root mean squared error of a network with this number of hidden units."""
    _, y, guess = fit(units, seed, steps)
    return float((y - guess).square().mean().sqrt())


def draw(directory: Path | None = None, steps: int = STEPS, **_: Any) -> Path:
    """Draw some of the fitted curves on the left, and the error by the number of units on the right."""
    figure, (curves, errors) = panels(2)
    for number, units in enumerate(SHOWN):
        x, y, guess = fit(units, 0, steps)
        if number == 0:
            curves.plot(x, y, color="#999999", linewidth=4, label="the function")
        curves.plot(x, guess, color=COLOURS[number], linestyle=("-", "--", "-.")[number], label=str(units))
    curves.legend(fontsize=8, title="hidden units")
    curves.set(xlabel="x", ylabel="f(x)", title="one hidden layer with ReLU", xticks=(-1, -0.5, 0, 0.5, 1))
    errors_by_seed = torch.tensor([[error(units, seed, steps) for seed in range(SEEDS)] for units in UNITS])
    for units, values in zip(UNITS, errors_by_seed, strict=True):
        print(f"  hidden units {units}: error {values.mean():.4f} +- {values.std():.4f} over {SEEDS} seeds", flush=True)
    errors.plot(UNITS, errors_by_seed.mean(1), color=COLOURS[0], label="mean")
    errors.plot(UNITS, errors_by_seed, color=COLOURS[0], marker="o", markersize=4, linestyle="none")
    errors.legend(fontsize=8)
    errors.set(xscale="log", yscale="log", xlabel="hidden units", ylabel="root mean squared error")
    errors.set_title(f"{SEEDS} seeds")
    return save(figure, "approximation", directory)
