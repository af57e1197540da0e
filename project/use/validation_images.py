"""Real images to try a trained network on: the validation images of the data that it was trained with."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from project.checkpoints.classes import import_class
from project.checkpoints.description import data_settings
from project.system.errors import UserError


def validation_images(
    checkpoint: Mapping[str, Any], count: int, data_dir: Path | None = None, allow: Collection[str] = ()
) -> tuple[Tensor, str]:
    """The first validation images [N, H, W, C] uint8, at most `count`, and the words "validation images".

    If there are none, test images and the words "test images".

    Nothing is downloaded.

    Args:
        checkpoint: Its settings name the data module and its options.
        count: Largest number of images.
        data_dir: Where the data is now; None takes the directory of the training.
        allow: Modules with a data module of your own that may be imported.

    Raises:
        UserError: the data is not at hand.
    """
    from project.data import ImageDataModule  # imports Lightning, which takes seconds

    if not checkpoint.get("settings", {}).get("data"):
        raise UserError("the checkpoint does not name its data")
    class_path, options = data_settings(checkpoint)
    kind = import_class(class_path, allow, ImageDataModule)  # type: ignore[type-abstract]
    if data_dir is not None:
        options["data_dir"] = str(data_dir)
    try:
        data = kind(**options)
        data.setup("validate")
        images, name = (data.val, "validation images") if len(data.val) else (data.test, "test images")
        pixels = torch.cat(list(images.read_batches(torch.arange(min(count, len(images))), count)))
    except Exception as error:  # the data may be the user's own, and torchvision's sets have no exception of their own
        problem = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{kind.__name__} cannot be read: {problem}") from None
    channels, height, width = checkpoint["data"]["image_shape"]
    if pixels.shape[1:] != (height, width, channels):
        raise UserError(f"{kind.__name__} has images of another size now")
    return pixels, name
