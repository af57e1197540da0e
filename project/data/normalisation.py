"""Normalisation: its constants, measured once over the training images and kept, and what applies them."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from project.system.files import atomic_write

Constants = tuple[tuple[float, ...], tuple[float, ...]]
"""The mean and the standard deviation of each channel, in [0, 1]."""
DIGITS = 5  # an 8-bit pixel is not known to more


def kept_constants(folder: Path, over: str, pixels: Tensor) -> Constants:
    """Mean and standard deviation of each channel of `pixels` [M, H, W, C] uint8.

    They are kept in `folder`/normalisation.json under `over`, a name for these very pixels, and read from there.
    """
    path = folder / "normalisation.json"
    kept = read_json(path)
    if over not in kept:
        totals = torch.stack([sums(part) for part in torch.split(pixels, 1000)]).sum(0)
        mean, std = constants(totals.tolist())
        kept[over] = {"mean": mean, "std": std}
        write_json(path, kept)
    return tuple(kept[over]["mean"]), tuple(kept[over]["std"])


def sums(pixels: Tensor) -> Tensor:
    """[3, C] int64: how many `pixels` [..., C] uint8 there are, their sums and the sums of their squares.

    Whole numbers add up to the same in any order, so the constants do not depend on who measures which images.
    """
    flat = pixels.flatten(0, -2).long()
    return torch.stack((torch.ones_like(flat).sum(0), flat.sum(0), flat.square().sum(0)))


def constants(totals: Sequence[Sequence[int]]) -> Constants:
    """Mean and standard deviation of each channel from the `totals` of `sums`; a channel of one colour has 1."""
    counts, firsts, squares = totals
    mean = tuple(round(first / (255 * count), DIGITS) for count, first in zip(counts, firsts, strict=True))
    variances = (
        (count * square - first**2) / (255 * count) ** 2
        for count, first, square in zip(counts, firsts, squares, strict=True)
    )
    return mean, tuple(round(variance**0.5, DIGITS) or 1.0 for variance in variances)


def read_json(path: Path) -> dict[str, Any]:
    """What is kept in a file; nothing where there is none, or it is not whole."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Keep `content` in a file that appears at one go; where the folder cannot be written, it is found out anew."""
    with contextlib.suppress(OSError), atomic_write(path, several_writers=True) as unfinished:
        unfinished.write_text(json.dumps(content))


class Normalisation:
    """uint8 [N, H, W, C] to float32 (x / 255 - mean) / std, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.mean = 255 * torch.tensor(mean, device=device)
        self.std = 255 * torch.tensor(std, device=device)
        self._rows = (self.mean, self.std)  # for a whole row of pixels: made once, they save a tenth of a batch's time

    def __call__(self, pixels: Tensor) -> Tensor:
        count, height, width, channels = pixels.shape
        if len(self._rows[0]) != width * channels:
            self._rows = (self.mean.repeat(width), self.std.repeat(width))
        rows = pixels.float().view(count, height, width * channels)  # three numbers at a time take five times as long
        return rows.sub_(self._rows[0]).div_(self._rows[1]).view(pixels.shape)
