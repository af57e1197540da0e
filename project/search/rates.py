"""A learning rate from a curve of losses over rising rates."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from project.pictures.canvas import BLUE, NORMAL, ORANGE, VERMILION, add_axes, new_figure, pixels
from project.system.errors import UserError
from project.system.files import atomic_write

Curve = Sequence[tuple[float, float]]
"""Factors of the learning rates, rising, each with a loss."""
SMOOTH = 0.9  # weight of the earlier losses in the running mean
FEWEST = 10  # losses


def smoothed(curve: Curve) -> list[float]:
    """The running mean of the losses, in which each earlier one counts 0.9 times as much as the next."""
    means, total = [], 0.0
    for place, (_, loss) in enumerate(curve, 1):
        total = SMOOTH * total + (1 - SMOOTH) * loss
        means.append(total / (1 - SMOOTH**place))
    return means


def steepest(curve: Curve) -> float:
    """The factor at which the smoothed loss falls fastest, over the logarithm of the factor.

    Raises:
        UserError: the loss never falls, or the curve is too short.
    """
    means = smoothed(curve)
    slopes = [after - before for before, after in zip(means[:-2], means[2:], strict=True)]
    if len(curve) < FEWEST or min(slopes) >= 0:
        raise UserError("lr_find: the loss never falls; give a smaller --lowest, or other learning rates to begin with")
    return curve[slopes.index(min(slopes)) + 1][0]


def write_curve(curve: Curve, rates: Mapping[str, float], path: Path) -> None:
    """Write a row for each batch: the factor, each learning rate, the loss, and the smoothed loss."""
    with atomic_write(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["factor", *rates, "loss", "smoothed"])
        for (factor, loss), mean in zip(curve, smoothed(curve), strict=True):
            table.writerow([factor, *(factor * rate for rate in rates.values()), loss, mean])


def draw_curve(curve: Curve, name: str, rate: float, chosen: float) -> Figure:
    """The losses over one of the learning rates, and the chosen factor.

    Args:
        curve: Of the training.
        name: Of the learning rate's option.
        rate: Its value at factor 1.
        chosen: The factor.
    """
    figure = new_figure(560, 420, f"loss while the learning rate rises; chosen: {chosen * rate:.3g}")
    axes = add_axes(figure, 70, 60, 460, 290)
    factors, losses = zip(*curve, strict=True)
    axes.plot([factor * rate for factor in factors], losses, color=BLUE, linewidth=0.6, label="each batch")
    axes.plot([factor * rate for factor in factors], smoothed(curve), color=ORANGE, label="smoothed")
    axes.axvline(chosen * rate, color=VERMILION, linewidth=1)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.1 * max(loss for loss in losses[: 1 + len(losses) // 2]))
    axes.set_xlabel(name, fontsize=NORMAL)
    axes.legend(fontsize=NORMAL)
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    from PIL import Image

    with atomic_write(path) as unfinished:
        Image.fromarray(pixels(figure)).save(unfinished, format="PNG")


def rounded(value: float) -> float:
    """Two significant digits."""
    return round(value, 1 - math.floor(math.log10(value)))
