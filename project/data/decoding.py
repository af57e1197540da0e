"""Decoding of image files to pixels of one size, in worker processes."""

import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from project.system.signals import REQUEUE, STOP_SIGNALS

PR_SET_PDEATHSIG = 1  # option of Linux's prctl: the signal that a process gets when its parent ends

Fit = Literal["cut", "pad", "squash"]
BORDER = (128, 128, 128)  # grey, the colour of the border of fit pad


@dataclass(frozen=True)
class Preparation:
    """How an image of any size becomes one of the size that a network takes.

    size: (H, W) of the result.
    fit: cut: the image is resized until it just covers the size, and what is left over is cut equally at both ends.
        pad: the whole image is resized into the size, and a grey border (BORDER) fills the rest equally at both ends.
        squash: the image is resized to the size and does not keep its proportions.
    """

    size: tuple[int, int]
    fit: Fit = "cut"

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """That of a checkpoint's `data`. Older checkpoints do not name the fit, which is cut."""
        _, height, width = data["image_shape"]
        return cls((height, width), data.get("preparation", {}).get("fit", "cut"))

    def description(self) -> dict[str, Any]:
        """The plain values that a checkpoint needs."""
        return {"size": list(self.size), "resample": "bilinear", "crop": "center", "fit": self.fit}

    def resize(self, image: Image.Image) -> Image.Image:
        """The image of this size."""
        size, method = self.size[::-1], Image.Resampling.BILINEAR
        if self.fit == "pad":
            return ImageOps.pad(image, size, method, BORDER)
        return image.resize(size, method) if self.fit == "squash" else ImageOps.fit(image, size, method)


def decode(content: bytes, preparation: Preparation) -> Tensor:
    """Decode the bytes of an image file to pixels [H, W, 3] uint8 of the size of the `preparation`.

    The image is rotated as its EXIF orientation says. Transparent pixels are shown on white. Of 16 bits the upper 8 are
    used.

    Raises:
        ValueError: `content` is not an image, or is damaged; in one line.
    """
    try:
        # Pillow warns of unusual metadata, in each worker and epoch again; only the pixels matter here.
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(content)) as image:
            side = 2 * max(preparation.size)
            image.draft(None, (side, side))  # a large JPEG decodes far faster at a smaller size
            ImageOps.exif_transpose(image, in_place=True)
            return _pixels(preparation.resize(_to_rgb(image)))
    except UnidentifiedImageError:
        raise ValueError("no image") from None
    except Exception as error:  # each format has exceptions of its own for damaged files
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def prepare(image: Image.Image, preparation: Preparation) -> Tensor:
    """Bring an image of any mode and size to pixels [H, W, 3] uint8, as `decode` says. Raises ValueError."""
    return _pixels(preparation.resize(_to_rgb(ImageOps.exif_transpose(image))))


def _pixels(image: Image.Image) -> Tensor:
    """[H, W, 3] uint8"""
    return torch.from_numpy(np.array(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is not known")
    if image.mode.startswith("I"):  # 16 bits; Pillow would use the lower 8
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError("its pixels are numbers of 32 bits, whose range is not known")
        image = Image.fromarray((pixels >> 8).astype(np.uint8))
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), transparent)
    return image if image.mode == "RGB" else image.convert("RGB")  # of RGB, convert makes a copy


def read_in_workers(
    dataset: Dataset[Any], batches: Iterable[list[Any]], num_workers: int, collate: Callable[[list[Any]], Any]
) -> Iterator[Any]:
    """Read batches of `dataset` in worker processes, ahead of their use; in their order.

    Args:
        dataset: Gives an item for an index or another key; each worker has a copy.
        batches: The keys of each batch; read once, as they are needed.
        num_workers: Number of worker processes; 0 reads in this process.
        collate: Makes a batch of its items, in the worker.
    """
    # Workers are forked from this process, also where Python would fork them from a server process: a signal to stop
    # would end that server at once, and then the step that the run has to finish.
    generator = torch.Generator()  # without it the loader would draw from torch's generator, which dropout uses
    return iter(
        DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=num_workers,
            collate_fn=collate,
            worker_init_fn=partial(_follow_parent, os.getpid()),
            generator=generator,
            multiprocessing_context="fork" if num_workers and sys.platform == "linux" else None,
        )
    )


def _follow_parent(parent: int, worker: int) -> None:
    """Ignore signals to stop, since the parent finishes its step first; end when the parent ends for any reason."""
    for signum in (*STOP_SIGNALS, REQUEUE) if REQUEUE else STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    if sys.platform == "linux":  # otherwise the workers of a killed run would hold its lock for some seconds
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was killed before that
            os._exit(1)
