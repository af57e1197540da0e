"""Normalisation, and the mean and standard deviation that it needs: measured once and saved."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from project.system.files import atomic_write

MeanAndStd = tuple[tuple[float, ...], tuple[float, ...]]
"""The mean and the standard deviation of each channel, in [0, 1]."""
DECIMALS = 5  # more have no meaning for pixels of 8 bits


def cached_mean_and_std(folder: Path, digest: str, pixels: Tensor) -> MeanAndStd:
    """Mean and standard deviation of each channel of `pixels` [M, H, W, C] uint8.

    They are measured once and saved in `folder`/normalisation.json under `digest`, which identifies the pixels.
    """
    path = folder / "normalisation.json"
    cache = read_json(path)
    if digest not in cache:
        mean, std = measured_mean_and_std(pixels)
        cache[digest] = {"mean": mean, "std": std}
        write_json(path, cache)
    return tuple(cache[digest]["mean"]), tuple(cache[digest]["std"])


def measured_mean_and_std(pixels: Tensor) -> MeanAndStd:
    """Mean and standard deviation of each channel of `pixels` [M, H, W, C] uint8."""
    sums = torch.zeros(3, pixels.shape[-1], dtype=torch.long)
    for images in torch.split(pixels, 1000):
        sums += channel_sums(images)  # not as a list, which would keep memory from being used again
    return mean_and_std(sums.tolist())


def channel_sums(pixels: Tensor) -> Tensor:
    """The number, the sum and the sum of squares of `pixels` [..., C] uint8 in each channel, as [3, C] int64.

    Sums of whole numbers do not depend on their order, so any processes may measure any of the images.
    """
    channels = pixels.flatten(0, -2).unbind(1)
    counts = torch.stack([channel.bincount(minlength=256) for channel in channels])  # faster than sums
    return torch.stack([(counts * torch.arange(256) ** power).sum(1) for power in range(3)])


def mean_and_std(sums: Sequence[Sequence[int]]) -> MeanAndStd:
    """Mean and standard deviation of each channel from its `channel_sums`; the deviation of a constant channel is 1."""
    counts, totals, squares = sums
    mean = tuple(round(total / (255 * count), DECIMALS) for count, total in zip(counts, totals, strict=True))
    variances = (
        (count * square - total**2) / (255 * count) ** 2
        for count, total, square in zip(counts, totals, squares, strict=True)
    )
    return mean, tuple(round(variance**0.5, DECIMALS) or 1.0 for variance in variances)


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file; empty if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` whole. If the folder cannot be written, nothing is saved, and the next run measures again."""
    with contextlib.suppress(OSError), atomic_write(path, several_writers=True) as unfinished:
        unfinished.write_text(json.dumps(content), "utf-8")


class Normalisation:
    """Normalises uint8 [N, H, W, C] to float32 (x / 255 - mean) / std in each channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.mean = 255 * torch.tensor(mean, device=device)
        self.std = 255 * torch.tensor(std, device=device)
        # mean and std of a whole row of pixels; to make them once saves a tenth of a batch's time
        self._rows = (self.mean, self.std)

    def __call__(self, pixels: Tensor) -> Tensor:
        num_images, height, width, channels = pixels.shape
        if len(self._rows[0]) != width * channels:
            self._rows = (self.mean.repeat(width), self.std.repeat(width))
        # one operation on whole rows: on three channels at a time it takes five times as long
        rows = pixels.float().view(num_images, height, width * channels)
        return rows.sub_(self._rows[0]).div_(self._rows[1]).view(pixels.shape)
