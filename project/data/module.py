"""What every image data set of the project has in common."""

import hashlib
import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor

from project.data.augmentation import Augmentation, Flip
from project.data.batches import EvaluationBatches, TrainingBatches
from project.data.checks import check_constants, check_loaded
from project.data.images import ImageSet
from project.data.normalisation import Normalisation
from project.data.run_length import batches_left, position
from project.system.errors import UserError

# The split is the same for every seed: a checkpoint is then never validated on images that it was trained on.
SPLIT_SEED = 0


class ImageDataModule(LightningDataModule, ABC):
    """An image data set, with a validation set cut from the training images.

    A subclass names its constants and implements `load`.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    """(C, H, W)"""
    mean: tuple[float, ...]
    """Of each channel over the training images, in [0, 1]; where it is measured, known once `load` is called."""
    std: tuple[float, ...]
    training_images: int
    """How many images `load` gives for training and validation together."""
    evaluation_batch = 500
    """Images at least; without gradients a batch this size needs less memory than a training batch of 250."""

    def __init__(
        self,
        batch_size: int = 250,
        val_size: int | None = None,
        flip: Flip = "none",
        shift: int = 0,
        cutout: int = 0,
        curriculum: dict[int, float] | None = None,
        classes: list[str | int] | None = None,
        seed: int = 0,
    ) -> None:
        """Check the options; nothing is read yet.

        Args:
            batch_size: Images in a batch of each process; 1 to the number of training images.
            val_size: Images taken out of the training images for validation by a fixed seeded permutation; 0 for none.
                None takes a tenth, which is 5,000 of CIFAR-10's 50,000, rounded down.
            flip: Mirror training images left to right: at random with probability 1/2, or alternating, each image in
                every other epoch.
            shift: Move training images by up to this many pixels in each direction, the border reflected; 0 for none.
            cutout: Side in pixels of a square in each training image set to the mean colour; 0 for none.
            curriculum: Sides in pixels that training images are shrunk to, each with the fraction of the run's batches
                at which it ends, as in {24: 0.4, 28: 0.7}; after the last they have their own size. The run is as long
                as max_epochs and max_steps let it be; max_time may end it before.
            classes: Names of two or more classes to which the images are limited, as in [cat, dog]; they are numbered
                in this order. None takes all.
            seed: Seed of order and augmentation; linked from seed_everything.
        """
        super().__init__()
        check_constants(self)
        kept = self.training_images // 10 if val_size is None else val_size
        side = min(self.image_shape[1:])
        _within("val_size", kept, 0, self.training_images - 1)
        _within("batch_size", batch_size, 1, self.training_images - kept)
        _within("shift", shift, 0, side - 1)
        _within("cutout", cutout, 0, side)
        self.batch_size, self.val_size, self.seed = batch_size, val_size, seed
        self._classes = len(self.class_names)  # before some are chosen
        self.chosen = _checked_classes(classes, self.class_names)
        self.class_names = tuple(str(name) for name in classes or self.class_names)
        self.augmentation = Augmentation(flip, shift, cutout, _checked_curriculum(curriculum or {}, side))

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @abstractmethod
    def load(self) -> tuple[ImageSet, ImageSet]:
        """The images for training and validation, and those of the test set, both checked once when they are loaded."""

    def setup(self, stage: str) -> None:
        if hasattr(self, "test"):
            return
        loaded = self.load()
        check_loaded(self, loaded, self._classes)
        images, self.test = (self._only_chosen(images) for images in loaded)
        self.train, self.val = self.split(images)
        share = len(self.train) // (self.trainer.world_size if self.trainer else 1)
        if share < self.batch_size:
            raise UserError(f"--data.batch_size {self.batch_size}: a process has {share} images; give at most that")
        if self.trainer:
            self._check_shares(self.trainer)

    def _check_shares(self, trainer: Trainer) -> None:
        """Raises UserError for a share of the batches that is none: Lightning says so at their turn, or never."""
        evaluated = max(self.batch_size, self.evaluation_batch)
        batches = {
            "train": len(self.train) // trainer.world_size // self.batch_size,
            "val": math.ceil(len(self.val) / trainer.world_size / evaluated),
            "test": math.ceil(len(self.test) / trainer.world_size / evaluated),
        }
        for name, count in batches.items():
            share = getattr(trainer, f"limit_{name}_batches")
            if isinstance(share, float) and 0 < share * count < 1:
                overfitted = name != "test" and getattr(trainer, "overfit_batches", False)
                option = "overfit_batches" if overfitted else f"limit_{name}_batches"
                raise UserError(
                    f"--trainer.{option} {share}: there are {count} batches of {name}, of which that is none; give a "
                    "number of batches"
                )

    def split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        """Those to train on and those for validation."""
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
        val_size = len(images) // 10 if self.val_size is None else self.val_size
        if val_size >= len(images):
            raise UserError(f"--data.val_size {val_size}: the classes have {len(images)} images; give less than that")
        return images[order[val_size:]], images[order[:val_size]]

    def train_dataloader(self) -> TrainingBatches:
        trainer = self._trainer
        images, normalise = self._on_device(self.train)
        shard = (trainer.global_rank, trainer.world_size)
        return TrainingBatches(images, normalise, self.batch_size, self.augmentation, self.seed, self._position, *shard)

    def val_dataloader(self) -> EvaluationBatches:
        return self._evaluation(self.val)

    def test_dataloader(self) -> EvaluationBatches:
        return self._evaluation(self.test)

    def predict_dataloader(self) -> EvaluationBatches:
        return self._evaluation(self.test)

    def sample(self, count: int) -> Tensor:
        """The first `count` training images [N, C, H, W], normalised, as a network is made from them."""
        images, normalise = self._on_device(self.train[torch.arange(min(count, len(self.train)))])
        groups = list(images.read(torch.arange(len(images), device=images.labels.device), self.batch_size))
        return normalise(torch.cat(groups)).permute(0, 3, 1, 2)

    def description(self) -> dict[str, Any]:
        """The plain values that a checkpoint needs to be used without this class.

        preparation says how an image of any size becomes one of image_shape: its mode is changed, its shorter side is
        resized, its longer side is cropped at the center.
        """
        channels, height, width = self.image_shape
        mode = {1: "L", 3: "RGB"}.get(channels)
        return {
            "class_names": list(self.class_names),
            "image_shape": [channels, height, width],
            "mean": list(self.mean),
            "std": list(self.std),
            "preparation": {"mode": mode, "size": [height, width], "resample": "bilinear", "crop": "center"},
        }

    def fingerprint(self) -> str:
        """SHA-256 over images and labels of the training, validation and test images, in that order."""
        digest = hashlib.sha256()
        for images in (self.train, self.val, self.test):
            images.update(digest)
        return digest.hexdigest()

    def _only_chosen(self, images: ImageSet) -> ImageSet:
        """The images of the chosen classes, whose labels are their places in the choice."""
        if self.chosen is None:
            return images
        matches = images.labels[:, None] == torch.tensor(self.chosen)
        kept = images[matches.any(1)]
        return kept.labelled(matches[matches.any(1)].int().argmax(1))

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None
        return self.trainer

    def _position(self) -> tuple[int, int, int, float]:
        """Epoch and next batch, restored from a checkpoint before they are asked for, and the run's batches."""
        now = position(self._trainer)
        done = self._trainer.fit_loop.epoch_loop.batch_progress.total.completed
        return now.epochs, now.batch, done, done + batches_left(self._trainer, now)

    def _on_device(self, images: ImageSet) -> tuple[ImageSet, Normalisation]:
        device = self._trainer.strategy.root_device
        return images.to(device), Normalisation(self.mean, self.std, device)

    def _evaluation(self, images: ImageSet) -> EvaluationBatches:
        trainer = self._trainer
        return EvaluationBatches(
            *self._on_device(images),
            max(self.batch_size, self.evaluation_batch),
            trainer.global_rank,
            trainer.world_size,
        )


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"--data.{name} {value}: give a whole number from {low} to {high}")


def _checked_classes(classes: list[str | int] | None, known: tuple[str, ...]) -> list[int] | None:
    """The places among the `known` classes of those that are named; the digits' names may come as numbers."""
    if classes is None:
        return None
    names = [str(name) for name in classes]
    if len(set(names)) < max(2, len(names)) or not set(names) <= set(known):
        raise ValueError(f"--data.classes [{', '.join(names)}]: name two or more of {', '.join(known)}, each once")
    return [known.index(name) for name in names]


def _checked_curriculum(curriculum: dict[int, float], side: int) -> dict[int, float]:
    for small, end in curriculum.items():
        if not (1 <= small < side and 0 < end <= 1):
            raise ValueError(
                f"--data.curriculum {curriculum}: give sides of 1 to {side - 1} pixels, each with the fraction of the "
                "run at which it ends, above 0 to 1"
            )
    return curriculum
