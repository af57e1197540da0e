"""Decoding of image files to pixels of one size, in worker processes."""

import ctypes
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from project.system.signals import REQUEUE, STOP_SIGNALS

if TYPE_CHECKING:
    from torchvision.transforms import v2  # which takes a second to import

PR_SET_PDEATHSIG = 1  # option of Linux's prctl: the signal that a process gets when its parent ends

Fit = Literal["cut", "pad", "squash"]
BORDER = (128, 128, 128)  # grey, the colour of the border of fit pad
# A large JPEG is decoded at a part of its size that is at least this many times the size that is needed, as in Pillow's
# Image.thumbnail. That is far faster, and the result hardly differs.
DRAFT = 2
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values for which height and width change places


@dataclass(frozen=True)
class Preparation:
    """How an image of any size becomes one of the size that a network takes.

    size: (H, W) of the result.
    fit: cut: the image is resized until it just covers the size, and what is left over is cut equally at both ends.
        pad: the whole image is resized into the size, and a grey border (BORDER) fills the rest equally at both ends.
        squash: the image is resized to the size and does not keep its proportions.
    crop_pct: For cut, the part of the shorter side that stays, above 0 to 1. 1 keeps it whole. 224 / 256 is the centre
        cut of 224 pixels from an image whose shorter side has 256.
    """

    size: tuple[int, int]
    fit: Fit = "cut"
    crop_pct: float = 1.0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """That of a checkpoint's `data`. Older checkpoints do not name the fit, which is cut."""
        _, height, width = data["image_shape"]
        saved = data.get("preparation", {})
        return cls((height, width), **{name: saved[name] for name in ("fit", "crop_pct") if name in saved})

    def __str__(self) -> str:
        """In few letters, for a file name: 64, 64-pad, 64-0.875."""
        fit = [self.fit] * (self.fit != "cut")
        return "-".join([str(self.size[0]), *fit, *[str(self.crop_pct)] * (self.crop_pct != 1)])

    def description(self) -> dict[str, Any]:
        """The plain values that a checkpoint needs."""
        described = {"size": list(self.size), "resample": "bilinear", "crop": "center", "fit": self.fit}
        return described if self.crop_pct == 1 else {**described, "crop_pct": self.crop_pct}

    def read(self, file: Image.Image) -> Tensor:
        """The pixels [H, W, 3] uint8 of a file that is opened and not decoded yet. Raises ValueError."""
        side = math.ceil(DRAFT * max(self.size) / self.crop_pct)
        file.draft(None, (side, side))
        ImageOps.exif_transpose(file, in_place=True)
        return _pixels(self.resize(_to_rgb(file)))

    def resize(self, image: Image.Image) -> Image.Image:
        """The image of this size."""
        size, method = self.size[::-1], Image.Resampling.BILINEAR
        bleed = (1 - self.crop_pct) / 2  # the part that is cut off each end
        if image.size == size and not bleed:
            return image
        if self.fit == "pad":
            return ImageOps.pad(image, size, method, BORDER)
        return image.resize(size, method) if self.fit == "squash" else ImageOps.fit(image, size, method, bleed)


@dataclass(frozen=True)
class FileCrop:
    """A random part of a file at the file's own resolution, resized once.

    transform: Draws the part as for a whole image, and resizes it.
    seed: Of the part.
    """

    transform: "v2.RandomResizedCrop"
    seed: int

    def read(self, file: Image.Image) -> Tensor:
        """The pixels [H, W, 3] uint8 of a file that is opened and not decoded yet. Raises ValueError."""
        orientation = file.getexif().get(ORIENTATION, 1)
        turned = orientation in TURNED
        width, height = file.size[::-1] if turned else file.size
        part = self.draw(height, width)
        needed = [
            math.ceil(DRAFT * side * size / part[name])
            for name, side, size in zip(("width", "height"), (width, height), self.transform.size[::-1], strict=True)
        ]
        file.draft(None, (needed[1], needed[0]) if turned else (needed[0], needed[1]))
        image = _jpeg(file) if orientation == 1 and file.size == (width, height) else None
        if image is None:
            ImageOps.exif_transpose(file, in_place=True)
            box = _scaled(part, file.width / width, file.height / height)
            image = _pixels(_to_rgb(file.crop(box))).permute(2, 0, 1)
            part = {"top": 0, "left": 0, "height": image.shape[1], "width": image.shape[2]}
        resized: Tensor = self.transform.transform(image, part)
        return resized.permute(1, 2, 0)

    def draw(self, height: int, width: int) -> dict[str, int]:
        """top, left, height and width of the part of an image of this size."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            part: dict[str, int] = self.transform.make_params([torch.empty(1, 1, 1).expand(1, height, width)])
        return part


def _scaled(part: Mapping[str, int], across: float, down: float) -> tuple[int, int, int, int]:
    """Left, upper, right and lower end of a part in an image that is decoded at these fractions of its size."""
    left, top, right, bottom = part["left"], part["top"], part["left"] + part["width"], part["top"] + part["height"]
    return round(left * across), round(top * down), round(right * across), round(bottom * down)


def decode(content: bytes, preparation: Preparation | FileCrop) -> Tensor:
    """Decode the bytes of an image file to pixels [H, W, 3] uint8 of the size of the `preparation`.

    The image is rotated as its EXIF orientation says. Transparent pixels are shown on white. Of 16 bits the upper 8 are
    used.

    Raises:
        ValueError: `content` is not an image, or is damaged; in one line.
    """
    try:
        # Pillow warns of unusual metadata, in each worker and epoch again; only the pixels matter here.
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(content)) as image:
            return preparation.read(image)
    except UnidentifiedImageError:
        raise ValueError("no image") from None
    except Exception as error:  # each format has exceptions of its own for damaged files
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def prepare(image: Image.Image, preparation: Preparation) -> Tensor:
    """Bring an image of any mode and size to pixels [H, W, 3] uint8, as `decode` says. Raises ValueError."""
    return _pixels(preparation.resize(_to_rgb(ImageOps.exif_transpose(image))))


def _jpeg(file: Image.Image) -> Tensor | None:
    """The pixels [3, H, W] uint8 of an ordinary JPEG: those of Pillow, in less time. None for other files."""
    from torchvision.io import ImageReadMode, decode_jpeg

    if file.format != "JPEG" or file.mode not in ("RGB", "L"):
        return None
    try:
        content = torch.frombuffer(bytearray(file.fp.getvalue()), dtype=torch.uint8)  # type: ignore[attr-defined]
        image: Tensor = decode_jpeg(content, mode=ImageReadMode.RGB)
        return image
    except RuntimeError:  # of a damaged file; Pillow says what is wrong
        return None


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
