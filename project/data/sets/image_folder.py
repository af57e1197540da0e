"""A folder of the user's own images."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from project.data.decoded_file import decoded_file, map_decoded, write_decoded
from project.data.decoding import Fit, Preparation
from project.data.division import split_by_class
from project.data.image_files import CheckedFile, ImageFiles, check_files
from project.data.images import ImageSet
from project.data.listing import Listing, first_folder, list_folder, list_table
from project.data.module import ImageDataModule
from project.data.normalisation import mean_and_std
from project.system.errors import UserError
from project.system.memory import total_bytes
from project.system.text import shortened_list

# The usual centre cut after training with random resized crops: 224 pixels of a shorter side of 256, as of AlexNet
# (Krizhevsky, Sutskever, Hinton, 2012) and of torchvision's references.
CROP_PCT = 224 / 256
LARGEST_SHARE = 1 / 4  # of the machine's memory that decoded images may take; the rest is for the training


class ImageFolder(ImageDataModule):
    """A folder of your own images, of any sizes and modes, which may be larger than memory.

    It has a sub-folder for each class; or sub-folders train and test, and optionally val, that have these. The images
    in val are the validation images; with val_size 0 they are trained on too. Without a test folder, a tenth of the
    images is for the test, in proportion by class, at least one of each class; a permutation of the sorted names with a
    fixed seed selects it. Without a val folder, the validation images are split off in the same way. A class of two
    images has none for validation, and a class of one has only a training image; a line names them. Hidden files,
    Thumbs.db and desktop.ini are ignored. Before the first run every file is decoded once. The results are saved in the
    folder's .checked-<image_size>.json; for a fit other than cut, in .checked-<image_size>-<fit>.json. The mean and
    standard deviation of all images but those for the test come from them.
    """

    of_files = True
    evaluation_batch_size = 1

    def __init__(
        self,
        data_dir: str = "data/images",
        image_size: int = 64,
        workers: int = 2,
        skip_damaged: bool = False,
        labels: str | None = None,
        fit: Fit = "cut",
        crop_pct: float | None = None,
        in_memory: Literal["auto"] | bool = "auto",
        **options: Any,
    ) -> None:
        """Check the options and list the files. The files are not read yet.

        Args:
            data_dir: Folder that has a sub-folder of images for each class; or train and test, and optionally val,
                that have these.
            image_size: Height and width of the decoded images in pixels, at least 1.
            workers: Number of worker processes that decode images, for each process of the run; 0 decodes in the run's
                own process. The results of a run do not depend on it.
            skip_damaged: Leave out files that are damaged or are not images. Otherwise such files end the command.
                Their names and number are printed in both cases.
            labels: CSV file with the class of each file, in columns named file and class, for a folder whose
                sub-folders are not the classes. Paths are those in data_dir, with slashes. Only files in the table are
                used. None takes the sub-folders.
            fit: How an image of another shape becomes a square. cut: its shorter side is resized to image_size, and its
                longer side is cut equally at both ends. pad: its longer side is resized to image_size, and a grey
                border fills the rest. squash: both sides are resized to image_size. predict and exports do the same.
            crop_pct: The central part of the shorter side that validation, test, predict and exports show with fit cut,
                above 0 to 1. null is 1; but 224/256 = 0.875 if transforms begin with RandomResizedCrop, by which
                training images show parts too.
            in_memory: Decode the images once, into a file in data_dir that runs map into memory:
                .decoded-<image_size>.bin. auto does so if the images take at most a quarter of the machine's memory,
                and if transforms do not begin with RandomResizedCrop. The results of a run do not depend on it.
        """
        self.data_dir, self.workers, self.skip_damaged = Path(data_dir), workers, skip_damaged
        self.fit, self.crop_pct, self.in_memory = fit, crop_pct, in_memory
        self.labels = None if labels is None else Path(labels)
        if self.labels and not self.labels.exists() and (self.data_dir / self.labels).exists():
            self.labels = self.data_dir / self.labels
        _check_options(image_size, workers, fit, crop_pct)
        self.image_shape = (3, image_size, image_size)
        self.problems: dict[str, str] = {}  # of each file that is not an intact image of a class, once they are checked
        self._listing = self._list_files()
        if self.labels and not skip_damaged:
            self._check_table(self._listing.problems)
        self.class_names = self.class_folders = self._listing.class_names
        self.training_images = len(self._split_off_test(list(self._listing.classes))[0])
        super().__init__(**options)
        if "val" in self._listing.parts and self.val_size:
            raise UserError(f"--data.val_size {self.val_size}: {data_dir} has a folder val; leave the option out")
        if in_memory is True and self._crops_files:
            remedy = "leave it out, or let another of --data.transforms stand first"
            raise UserError(f"--data.in_memory true: RandomResizedCrop takes its parts from the files; {remedy}")

    @property
    def preparation(self) -> Preparation:
        crop_pct = CROP_PCT if self._crops_files and self.fit == "cut" else 1.0
        return Preparation(self.image_shape[1:], self.fit, self.crop_pct or crop_pct)

    @property
    def _crops_files(self) -> bool:
        return bool(self.transforms and self.transforms.file_crop)

    @property
    def _stays_in_memory(self) -> bool:
        if self.in_memory != "auto":
            return self.in_memory
        size = len(self._listing.classes) * math.prod(self.image_shape)
        return not self._crops_files and size <= LARGEST_SHARE * total_bytes()

    def _list_files(self) -> Listing:
        """Raises UserError if the folder or the table is wrong."""
        try:
            return list_folder(self.data_dir) if self.labels is None else list_table(self.data_dir, self.labels)
        except ValueError as error:
            if self.labels is not None:
                raise UserError(f"--data.labels {self.labels}: {error}") from error
            raise UserError(
                f"--data.data_dir {self.data_dir}: {error}; give a folder that has a sub-folder of images for each "
                "class, or train, test and optionally val that have these"
            ) from error

    def _check_table(self, missing: Collection[str]) -> None:
        """Raises UserError if files of the table are missing."""
        if missing:
            names = shortened_list(sorted(missing))
            remedy = "correct the table, or leave such files out by --data.skip_damaged true"
            raise UserError(
                f"--data.labels {self.labels}: {len(missing):,} of its files do not exist: {names}; {remedy}"
            )

    def split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        """Take the images of val for validation, or split them off in proportion by class."""
        if "val" not in self._listing.parts or self.val_size == 0:
            self._check_val_size(images)
            train, val = split_by_class(images.labels, self.val_size)
            return images[train], images[val]
        assert isinstance(images, ImageFiles)
        in_val = torch.tensor([first_folder(name) == "val" for name in images.names])
        return images[~in_val], images[in_val]

    def _split_off_test(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """The files for training and validation, and those for the test."""
        if self._listing.parts:
            in_test = [name for name in names if first_folder(name) == "test"]
            return [name for name in names if first_folder(name) != "test"], in_test
        training, test = split_by_class(self._labels(names))
        return [names[index] for index in training.tolist()], [names[index] for index in test.tolist()]

    def _labels(self, names: Sequence[str]) -> Tensor:
        """The labels [M] int64 of the files `names`, of which each has a class."""
        indices = {folder: index for index, folder in enumerate(self.class_folders)}
        return torch.tensor([indices[self._listing.classes[name]] for name in names], dtype=torch.long)

    def prepare_data(self) -> None:
        """Check every new or changed file. For a fit, decode them if they are to stay in memory.

        Raises:
            UserError: files are damaged or are not images, and skip_damaged is false.
        """
        if not hasattr(self, "test"):  # loaded already
            _ = self._intact_files
            is_fit = self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
            if is_fit and self._stays_in_memory and self._intact_files and self._decoded is None:
                self._decode()

    def _decode(self) -> None:
        """Write the file of decoded images, or a line if that is not possible."""
        try:
            write_decoded(self._files)
        except OSError as error:
            problem = f"{decoded_file(self._files)} cannot be written ({error.strerror or error})"
            line = f"--data.in_memory {str(self.in_memory).lower()}: {problem}; each batch is decoded from the files"
            rank_zero_only(print)(line, flush=True)
        del self._decoded

    @cached_property
    def _decoded(self) -> Tensor | None:
        """The pixels of all intact files, if they are decoded already."""
        return map_decoded(self._files) if self._stays_in_memory else None

    @cached_property
    def _files(self) -> ImageFiles:
        """All intact files."""
        names = list(self._intact_files)
        digests = np.array([self._intact_files[name].sha256 for name in names], dtype=np.bytes_)
        files = np.array(names, dtype=str), digests, self._labels(names)
        return ImageFiles(self.data_dir, *files, self.preparation, self.workers, torch.arange(len(names)))

    @cached_property
    def _intact_files(self) -> dict[str, CheckedFile]:
        """The files that are images of a class; the others are reported."""
        checked = check_files(
            self.data_dir, list(self._listing.classes), replace(self.preparation, crop_pct=1.0), self.workers
        )
        problems = {**self._listing.problems} | {
            name: file.result for name, file in checked.items() if isinstance(file.result, str)
        }
        self.problems = dict(sorted(problems.items()))
        if problems:
            self._report()
        return {name: file for name, file in checked.items() if name not in problems}

    def _report(self) -> None:
        """Print the problem of each file, or raise UserError with the first ones."""
        lines = [f"{name} ({problem})" for name, problem in self.problems.items()]
        lines = [line.encode(errors="backslashreplace").decode() for line in lines]  # a name may not be UTF-8
        total = len(self._listing.classes) + len(self._listing.problems)
        summary = f"{len(lines):,} of {total:,} files are not intact images of a class"
        if self.skip_damaged:
            rank_zero_only(print)(f"skipping in {self.data_dir}: {summary}: {', '.join(lines)}", flush=True)
            return
        raise UserError(
            f"--data.data_dir {self.data_dir}: {summary}: {shortened_list(lines)}; delete them, or leave them out by "
            "--data.skip_damaged true"
        )

    def load(self) -> tuple[ImageSet, ImageSet]:
        training, test = self._split_off_test(list(self._intact_files))
        for purpose, names in (("training", training), ("the test", test)):
            if not names:
                raise UserError(f"--data.data_dir {self.data_dir}: has no intact image for {purpose}; add some")
        self.training_images = len(training)  # less than the listed ones if damaged files are skipped
        sums = np.array([self._intact_files[name].result for name in training], dtype=np.int64).sum(0)
        self.mean, self.std = mean_and_std(sums.tolist())
        rows = {name: row for row, name in enumerate(self._intact_files)}
        training_rows, test_rows = (torch.tensor([rows[name] for name in names]) for names in (training, test))
        files = replace(self._files, pixels=self._decoded)
        del self._intact_files, self._files, self._decoded  # the sets have what is needed, in arrays that workers share
        return files[training_rows], files[test_rows]


def _check_options(image_size: int, workers: int, fit: Fit, crop_pct: float | None) -> None:
    """Raises ValueError for a value out of range."""
    for name, value, low in (("image_size", image_size, 1), ("workers", workers, 0)):
        if value < low:
            raise ValueError(f"--data.{name} {value}: give a whole number of at least {low}")
    if crop_pct is not None and not (0 < crop_pct <= 1 and (fit == "cut" or crop_pct == 1)):
        remedy = "give a part of the shorter side, above 0 to 1" if fit == "cut" else f"leave it out with fit {fit}"
        raise ValueError(f"--data.crop_pct {crop_pct}: {remedy}")
