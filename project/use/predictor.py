"""A trained network, ready to use."""

import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from project.checkpoints import weights_directory
from project.checkpoints.classes import instantiate, load_weights
from project.checkpoints.files import Checkpoint, read
from project.data.decoding import Preparation
from project.networks import NormalisesImages
from project.networks.test_time_augmentation import views_logits, views_probabilities
from project.runs.checkpoint_path import find_path
from project.system.errors import UserError
from project.use.images import ImageLike, pixels_of

BATCH = 256  # images; the memory does not grow with their number


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image."""

    name: str
    """Of the most probable class."""
    probability: float
    top: tuple[tuple[str, float], ...]
    """Names and probabilities of the most probable classes, the first of them first."""


class Predictor:
    """A trained network in evaluation mode, with all that its checkpoint says of its images and classes."""

    def __init__(
        self,
        network: nn.Module,
        data: Mapping[str, Any],
        device: str = "cpu",
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        """Put the network on the device.

        Args:
            network: From normalised images [N, C, H, W] to logits [N, num_classes].
            data: Of the checkpoint: class_names, image_shape, mean, std, preparation.
            device: Such as cpu or cuda.
            calibration: Of the checkpoint: temperature, and views, of which the logits are the mean. None: of a
                checkpoint without it, whose logits are those of the image itself.
        """
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()
        if isinstance(network, NormalisesImages):
            network.renormalise_from(data["mean"], data["std"])
        self.class_names = tuple(data["class_names"])
        self.image_shape = tuple(data["image_shape"])
        self.preparation = Preparation.of(data)
        self.calibration = dict(calibration or {})
        self.mean, self.std = (torch.tensor(data[name], device=self.device) for name in ("mean", "std"))

    def __repr__(self) -> str:
        """The network, the first classes, and the shape (C, H, W) of an image."""
        network, classes = type(self.network).__name__, reprlib.repr(self.class_names)
        return f"Predictor(network={network}, class_names={classes}, image_shape={self.image_shape})"

    def predict(self, images: ImageLike | Iterable[ImageLike], top: int = 1) -> list[Prediction]:
        """The classes of one or many images.

        Args:
            images: Paths, Pillow images, arrays [H, W, C] or tensors [C, H, W], one or many; see ImageLike.
            top: Number of classes in Prediction.top.

        Raises:
            UserError: an image cannot be read, or is of another form.
        """
        return list(self.iterate(self._pixels(images), top))

    def iterate(self, pixels: Iterable[Tensor], top: int = 1) -> Iterator[Prediction]:
        """Predict in batches from pixels [H, W, C] from 0 to 1, with memory for a batch alone."""
        for batch in _batches(pixels):
            probabilities, classes = self._probabilities(batch).topk(min(top, len(self.class_names)))
            for values, places in zip(probabilities.tolist(), classes.tolist(), strict=True):
                ranking = tuple((self.class_names[place], value) for place, value in zip(places, values, strict=True))
                yield Prediction(*ranking[0], ranking)

    def probabilities(self, images: ImageLike | Iterable[ImageLike]) -> Tensor:
        """The probabilities [N, num_classes] of one or many images, as `predict` takes them.

        They are calibrated if the checkpoint has a temperature.
        """
        return self._all(self._probabilities, images)

    def logits(self, images: ImageLike | Iterable[ImageLike]) -> Tensor:
        """The logits [N, num_classes] of one or many images, as `predict` takes them.

        They are the mean of the views by which the run was tested, before a temperature divides them. So their softmax
        is not calibrated: `probabilities` gives calibrated probabilities.
        """
        return self._all(self._logits, images)

    def _all(self, answer: Callable[[Tensor], Tensor], images: ImageLike | Iterable[ImageLike]) -> Tensor:
        batches = _batches(self._pixels(images))
        return torch.cat([torch.empty(0, len(self.class_names), device=self.device), *map(answer, batches)])

    def _pixels(self, images: ImageLike | Iterable[ImageLike]) -> Iterator[Tensor]:
        return pixels_of(images, self.image_shape[0], self.preparation)

    @torch.inference_mode()
    def _probabilities(self, pixels: Tensor) -> Tensor:
        """Of pixels [N, H, W, C] from 0 to 1."""
        return views_probabilities(self.network, self._normalised(pixels), self.calibration)

    @torch.inference_mode()
    def _logits(self, pixels: Tensor) -> Tensor:
        """Of pixels [N, H, W, C] from 0 to 1."""
        images, views = self._normalised(pixels), self.calibration.get("views", "plain")
        return views_logits(self.network, images, views, self.network(images)).float()

    def _normalised(self, pixels: Tensor) -> Tensor:
        return ((pixels.to(self.device) - self.mean) / self.std).permute(0, 3, 1, 2)


def _batches(pixels: Iterable[Tensor]) -> Iterator[Tensor]:
    """Batches [N, H, W, C] of pixels [H, W, C]."""
    pixels = iter(pixels)
    while batch := list(islice(pixels, BATCH)):
        yield torch.stack(batch)


def load(checkpoint: str | Path, device: str = "cpu", allow: Collection[str] = ()) -> Predictor:
    """Load a trained network, ready to use.

    Args:
        checkpoint: A checkpoint file, a run directory, an experiment's directory or name, best or last, or a
            directory that `main.py export --to safetensors` has written.
        device: Such as cpu or cuda.
        allow: Modules with networks of your own that the checkpoint may import.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or its network may not or cannot be imported.
    """
    try:
        return make_predictor(read_trained(find_path(str(checkpoint))), device, allow)
    except UserError as error:
        raise UserError(str(error).removeprefix("--ckpt_path ")) from None


def read_trained(path: Path) -> Checkpoint:
    """Read a checkpoint, or the directory of an exported model.safetensors. Raises UserError as `load` does."""
    return weights_directory.read(path.parent) if path.name == weights_directory.WEIGHTS else read(path)


def make_predictor(checkpoint: Mapping[str, Any], device: str = "cpu", allow: Collection[str] = ()) -> Predictor:
    """The network of a checkpoint, with its weights. Raises UserError as `load` does."""
    network = instantiate(checkpoint["network"], allow)
    load_weights(network, checkpoint["state_dict"], "network.")
    return Predictor(network, checkpoint["data"], device, checkpoint.get("calibration"))
