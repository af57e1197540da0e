"""From the bytes of an image file to pixels of one size, by worker processes."""

import ctypes
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from project.system.signals import REQUEUE

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl


def decode(content: bytes, side: int) -> Tensor:
    """The image in `content`, the bytes of a file, as pixels [side, side, 3] uint8, the longer side cut at both ends.

    It is turned as its camera says; what is transparent is shown on white; of 16 bits the upper 8 are kept.

    Raises:
        ValueError: `content` is no whole image, in one line.
    """
    try:
        # Pillow warns of odd descriptions beside the pixels, in each worker and epoch anew; the pixels decide.
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(content)) as image:
            image.draft(None, (2 * side, 2 * side))  # a large JPEG is then decoded at a part of its size, far faster
            shown = _as_rgb(ImageOps.exif_transpose(image))
            return torch.from_numpy(np.array(ImageOps.fit(shown, (side, side), Image.Resampling.BILINEAR)))
    except UnidentifiedImageError:
        raise ValueError("no image") from None
    except Exception as error:  # of many kinds, as many as there are formats and ways to be damaged
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is not known")
    if image.mode.startswith("I"):  # 16 bits, of which Pillow would keep the lower 8
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError("its pixels are numbers of 32 bits, whose range is not known")
        image = Image.fromarray((pixels >> 8).astype(np.uint8))
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), transparent)
    return image.convert("RGB")


def in_workers(
    dataset: Dataset[Any], groups: Sequence[list[int]], workers: int, together: Callable[[list[Any]], Any]
) -> Iterator[Any]:
    """What `together` makes of the items of `dataset` at each of `groups`, in their order, prepared in advance.

    Args:
        dataset: Gives an item for a place; copied to each worker.
        groups: Places in the data set.
        workers: Processes; 0 for none but this one.
        together: Makes one thing of a group's items, in the worker.
    """
    # Forked from this process, also where Python would take a server's: a signal to stop ends that at once, and with it
    # the step that the run is to finish.
    own = torch.Generator()  # else the loader would draw from torch's, which belongs to dropout and the like
    return iter(
        DataLoader(
            dataset,
            batch_sampler=groups,
            num_workers=workers,
            collate_fn=together,
            worker_init_fn=_follow_parent,
            generator=own,
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        )
    )


def _follow_parent(worker: int) -> None:
    """Leave a signal to stop to the parent, which finishes its step first, and end when it ends, by whatever cause."""
    for signum in (signal.SIGINT, signal.SIGTERM, REQUEUE):
        signal.signal(signum, signal.SIG_IGN)
    if sys.platform == "linux":  # a killed run's workers would hold its lock for some seconds
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
