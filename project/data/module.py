"""The base class of all image data sets."""

import hashlib
import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor

from project.data.augmentation import Augmentation, Flip
from project.data.balance import Balance, check_balance, class_weights
from project.data.batches import EvaluationBatches, TrainingBatches
from project.data.checks import check_attributes, check_loaded, check_range, class_indices
from project.data.decoding import Preparation
from project.data.division import SPLIT_SEED, division_line, first_of_each_class, missing_line
from project.data.image_transforms import Transform
from project.data.images import ImageSet, ImagesInMemory
from project.data.mix import BatchMix, Mix
from project.data.normalisation import Normalisation, measured_mean_and_std
from project.data.run_length import current_position, remaining_batches
from project.data.transforms import Transforms
from project.system.errors import UserError

LEFT_OUT = 0.1  # a share of the training images that a line is printed for


class ImageDataModule(LightningDataModule, ABC):
    """An image data set. Its validation images are split off from the training images.

    A subclass defines class_names, image_shape and training_images, and implements `load`. It may define mean and std,
    or `load` may set them. Those of images in memory are measured otherwise. ArrayDataModule measures all of these.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    """(C, H, W)"""
    mean: tuple[float, ...] = ()
    """Mean of each channel over the training images, in [0, 1]; empty until `load` measures it."""
    std: tuple[float, ...] = ()
    """Standard deviation of each channel over the training images, in [0, 1]; empty until `load` measures it."""
    training_images: int
    """Number of images that `load` returns for training and validation together."""
    of_files = False
    """Whether the images are files, from which RandomResizedCrop takes its part."""
    evaluation_batch_size = 500
    """Smallest batch size of evaluation: without gradients it needs less memory than a training batch of 250."""

    def __init__(
        self,
        batch_size: int = 250,
        val_size: int | None = None,
        train_per_class: int | None = None,
        flip: Flip = "none",
        shift: int = 0,
        cutout: int = 0,
        curriculum: dict[int, float] | None = None,
        transforms: list[Transform] | None = None,
        mix: Mix | None = None,
        balance: Balance = "none",
        classes: list[str | int] | None = None,
        seed: int = 0,
    ) -> None:
        """Check the options. The images are not read yet.

        Args:
            batch_size: Number of images in a batch of each process; from 1 to the number of training images.
            val_size: Number of images to split off from the training images for validation; 0 for none. A permutation
                with a fixed seed selects them. None takes a tenth, rounded down: 5,000 of CIFAR-10's 50,000.
            train_per_class: Number of training images of each class: the first ones of the same permutation, so a
                larger number has all images of a smaller one. The others are left out. None takes all.
            flip: Mirror training images left to right. random: each with probability 1/2; alternating: each in every
                second epoch.
            shift: Move training images by up to this many pixels in each direction and reflect the border; 0 for none.
            cutout: Side in pixels of a square in each training image that gets the mean colour; 0 for none.
            curriculum: Train on smaller images first. Each side in pixels has the fraction of the run's batches at
                which it ends, as in {24: 0.4, 28: 0.7}. After the last one images have their own size. The length of
                the run comes from max_epochs and max_steps; max_time may end it before.
            transforms: Transforms of training images before flip, shift, normalisation, cutout and curriculum, as in
                [TrivialAugmentWide, RandomErasing]: torchvision's v2 transforms, or functions and classes of your own
                from an image [C, H, W] uint8 to one of the same size. They use torch's generator, or Python's and
                NumPy's global ones, which have a seed for each image and epoch. null for none.
            mix: Mix training images and their labels, as in {mixup: 0.2} or {cutmix: 1.0}; after all the others. A loss
                gets labels [N, num_classes]; the training accuracy counts the class with the largest share as correct.
            balance: Give each class the same share of the training. oversample: each epoch has as many images as
                without it, equally many of each class, and those of a small class several times, each time augmented in
                another way; of a large class, each epoch has other images. weights: the loss gets class weights,
                inversely proportional to the number of training images, with mean 1 over these; also in validation and
                test.
            classes: Names of two or more classes, as in [cat, dog]; images of other classes are left out. Labels count
                the classes in this order. None takes all classes.
            seed: Seed of order and augmentation; linked from seed_everything.
        """
        super().__init__()
        check_attributes(self)
        self._check_ranges(batch_size, val_size, shift, cutout)
        check_range("train_per_class", 1 if train_per_class is None else train_per_class, 1, self.training_images)
        self.train_per_class = train_per_class
        self.batch_size, self.val_size, self.seed = batch_size, val_size, seed
        self._num_all_classes = len(self.class_names)
        self._class_indices = class_indices(classes, self.class_names)
        self.class_names = tuple(str(name) for name in classes or self.class_names)
        self.transforms = Transforms(transforms, self.image_shape, self.of_files) if transforms else None
        self.balance = balance
        self.mix = BatchMix(mix, self.num_classes, batch_size) if mix else None
        self.augmentation = Augmentation(flip, shift, cutout, self._checked_curriculum(curriculum or {}))

    def _check_ranges(self, batch_size: int, val_size: int | None, shift: int, cutout: int) -> None:
        num_val = self.training_images // 10 if val_size is None else val_size
        side = min(self.image_shape[1:])
        check_range("val_size", num_val, 0, self.training_images - 1)
        check_range("batch_size", batch_size, 1, self.training_images - num_val)
        check_range("shift", shift, 0, side - 1)
        check_range("cutout", cutout, 0, side)

    def _checked_curriculum(self, curriculum: dict[int, float]) -> dict[int, float]:
        side = min(self.image_shape[1:])
        for small_side, end in curriculum.items():
            if not (1 <= small_side < side and 0 < end <= 1):
                raise ValueError(
                    f"--data.curriculum {curriculum}: give sides of 1 to {side - 1} pixels, each with the fraction of "
                    "the run at which it ends, above 0 to 1"
                )
        return curriculum

    @property
    def num_classes(self) -> int:
        """Number of classes in use."""
        return len(self.class_names)

    @abstractmethod
    def load(self) -> tuple[ImageSet, ImageSet]:
        """Load two image sets: training and validation images together, and test images."""

    def setup(self, stage: str) -> None:
        """Load the images once, check them and split off the validation images.

        Raises:
            UserError: the images do not fit the class or the options.
        """
        if hasattr(self, "test"):
            return
        loaded = self.load()
        check_loaded(self, loaded, self._num_all_classes)
        if not self.mean and isinstance(loaded[0], ImagesInMemory):
            self.mean, self.std = measured_mean_and_std(loaded[0].pixels)
        images, self.test = (self._select_classes(images) for images in loaded)
        self.train, self.val = self.split(images)
        if self.train_per_class is not None:
            self.train = self.train[first_of_each_class(self.train.labels, self.train_per_class)]
        check_balance(self.balance, self.image_counts()["training"], self.class_names)
        limit = len(self.train) // (self.trainer.world_size if self.trainer else 1)
        if limit < self.batch_size:
            raise UserError(f"--data.batch_size {self.batch_size}: a process has {limit} images; give at most that")
        if self.trainer:
            self._check_limits(self.trainer)
            if stage == "fit":
                self._print_division()
        if stage == "fit" and (left_out := limit % self.batch_size) > LEFT_OUT * limit:
            rank_zero_only(print)(
                f"--data.batch_size {self.batch_size}: {left_out} of {limit} training images fill no batch and are "
                "left out of each epoch, other images each time; a smaller batch size leaves out fewer",
                flush=True,
            )

    def image_counts(self) -> dict[str, list[int]]:
        """Number of training, validation and test images of each class, in the order of class_names."""
        parts = {"training": self.train, "validation": self.val, "test": self.test}
        return {name: part.labels.bincount(minlength=self.num_classes).tolist() for name, part in parts.items()}

    def class_weights(self) -> Tensor | None:
        """The weight [num_classes] of each class in the loss, after setup; None if balance is not weights."""
        return class_weights(self.image_counts()["training"]) if self.balance == "weights" else None

    def _print_division(self) -> None:
        counts = self.image_counts()
        for line in (division_line(counts, self.class_names), missing_line(counts, self.class_names)):
            if line:
                rank_zero_only(print)(line, flush=True)

    def _check_limits(self, trainer: Trainer) -> None:
        """Raises UserError if a fraction of the batches is less than one: Lightning would notice it late or never."""
        batch_size = max(self.batch_size, self.evaluation_batch_size)
        num_batches = {
            "train": len(self.train) // trainer.world_size // self.batch_size,
            "val": math.ceil(len(self.val) / trainer.world_size / batch_size),
            "test": math.ceil(len(self.test) / trainer.world_size / batch_size),
        }
        for split, count in num_batches.items():
            limit = getattr(trainer, f"limit_{split}_batches")
            if isinstance(limit, float) and 0 < limit * count < 1:
                overfits = split != "test" and getattr(trainer, "overfit_batches", False)
                option = "overfit_batches" if overfits else f"limit_{split}_batches"
                raise UserError(
                    f"--trainer.{option} {limit}: this fraction of the {split} batches ({count}) is less than one; "
                    "give a number of batches"
                )

    def split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        """Split the images that `load` returns for training into training and validation images."""
        self._check_val_size(images)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
        num_val = len(images) // 10 if self.val_size is None else self.val_size
        return images[order[num_val:]], images[order[:num_val]]

    def _check_val_size(self, images: ImageSet) -> None:
        """Raises UserError if no image of those that are not for the test would be for training."""
        if (self.val_size or 0) >= len(images):
            problem = f"the classes have {len(images)} images; give less than that"
            raise UserError(f"--data.val_size {self.val_size}: {problem}")

    def train_dataloader(self) -> TrainingBatches:
        trainer = self._trainer
        images, normalise = self._on_device(self.train)
        options = (self.batch_size, self.augmentation, self.seed, self._position)
        process = trainer.global_rank, trainer.world_size
        balanced = self.balance == "oversample"
        return TrainingBatches(images, normalise, *options, *process, self.transforms, self.mix, balanced)

    def val_dataloader(self) -> EvaluationBatches:
        return self._evaluation_batches(self.val)

    def test_dataloader(self) -> EvaluationBatches:
        return self._evaluation_batches(self.test)

    def predict_dataloader(self) -> EvaluationBatches:
        return self._evaluation_batches(self.test)

    def sample(self, num_images: int) -> Tensor:
        """The first training images [N, C, H, W], normalised; at most `num_images`."""
        images, normalise = self._on_device(self.train[torch.arange(min(num_images, len(self.train)))])
        indices = torch.arange(len(images), device=images.labels.device)
        pixels = torch.cat(list(images.read_batches(indices, self.batch_size)))
        return normalise(pixels).permute(0, 3, 1, 2)

    @property
    def preparation(self) -> Preparation:
        """How an image of any size becomes one of image_shape."""
        return Preparation(self.image_shape[1:])

    def description(self) -> dict[str, Any]:
        """The plain values that a checkpoint needs to be used without this class.

        preparation says how an image of any mode and size becomes one of image_shape; see
        project.data.decoding.Preparation.
        """
        mode = {1: "L", 3: "RGB"}.get(self.image_shape[0])
        return {
            "class_names": list(self.class_names),
            "image_shape": list(self.image_shape),
            "mean": list(self.mean),
            "std": list(self.std),
            "preparation": {"mode": mode, **self.preparation.description()},
        }

    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the training, validation and test images with their labels, in that order."""
        digest = hashlib.sha256()
        for images in (self.train, self.val, self.test):
            images.update_digest(digest)
        return digest.hexdigest()

    def _select_classes(self, images: ImageSet) -> ImageSet:
        """The images of the classes in use; a label is the index of its class among these."""
        if self._class_indices is None:
            return images
        matches = images.labels[:, None] == torch.tensor(self._class_indices)
        selected = matches.any(1)
        return images[selected].with_labels(matches[selected].int().argmax(1))

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None
        return self.trainer

    def _position(self) -> tuple[int, int, int, float]:
        """The epoch, its next batch, the number of batches that are done, and the number in the whole run."""
        position = current_position(self._trainer)
        done = self._trainer.fit_loop.epoch_loop.batch_progress.total.completed
        return position.epoch, position.batch, done, done + remaining_batches(self._trainer, position)

    def _on_device(self, images: ImageSet) -> tuple[ImageSet, Normalisation]:
        device = self._trainer.strategy.root_device
        return images.to(device), Normalisation(self.mean, self.std, device)

    def _evaluation_batches(self, images: ImageSet) -> EvaluationBatches:
        trainer = self._trainer
        batch_size = max(self.batch_size, self.evaluation_batch_size)
        return EvaluationBatches(*self._on_device(images), batch_size, trainer.global_rank, trainer.world_size)
