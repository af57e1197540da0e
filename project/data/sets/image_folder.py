"""A folder of the user's own images."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor

from project.data.division import split_by_class
from project.data.folders import walk
from project.data.image_files import CheckedFile, ImageFiles, check_files
from project.data.images import ImageSet
from project.data.module import ImageDataModule
from project.data.normalisation import mean_and_std
from project.system.errors import UserError

FILES_IN_ERROR = 5  # files that an error line names


class ImageFolder(ImageDataModule):
    """A folder of your own images, of any sizes and modes, which may be larger than memory.

    It has a sub-folder for each class; or sub-folders train and test, and optionally val, that have these. The images
    in val are the validation images; with val_size 0 they are trained on too. Without a test folder, a tenth of the
    images is for the test, in proportion by class, at least one of each class; a permutation of the sorted names with a
    fixed seed selects it. Without a val folder, the validation images are split off in the same way. A class of two
    images has none for validation, and a class of one has only a training image; a line names them. Hidden files,
    Thumbs.db and desktop.ini are ignored. Before the first run every file is decoded once. The results are saved in the
    folder's .checked-<image_size>.json. The mean and standard deviation of all images but those for the test come from
    them.
    """

    evaluation_batch_size = 1

    def __init__(
        self,
        data_dir: str = "data/images",
        image_size: int = 64,
        workers: int = 2,
        skip_damaged: bool = False,
        **options: Any,
    ) -> None:
        """Check the options and list the files. The files are not read yet.

        Args:
            data_dir: Folder that has a sub-folder of images for each class; or train and test, and optionally val,
                that have these.
            image_size: Height and width of the decoded images in pixels, at least 1. The shorter side of an image is
                resized to it, and the longer side is cut equally at both ends.
            workers: Number of worker processes that decode images, for each process of the run; 0 decodes in the run's
                own process. The results of a run do not depend on it.
            skip_damaged: Leave out files that are damaged or are not images. Otherwise such files end the command.
                Their names and number are printed in both cases.
        """
        self.data_dir, self.workers, self.skip_damaged = Path(data_dir), workers, skip_damaged
        for name, value, low in (("image_size", image_size, 1), ("workers", workers, 0)):
            if value < low:
                raise ValueError(f"--data.{name} {value}: give a whole number of at least {low}")
        self.image_shape = (3, image_size, image_size)
        self.problems: dict[str, str] = {}  # of each file that is not an intact image of a class, once they are checked
        self._list_files()
        super().__init__(**options)
        if "val" in self._splits and self.val_size:
            raise UserError(f"--data.val_size {self.val_size}: {data_dir} has a folder val; leave the option out")

    def _list_files(self) -> None:
        """Set file names, class names and the number of training images."""
        self.names = sorted(walk(self.data_dir))
        nested = {_first_folder(name) for name in self.names if name.count("/") > 1}
        self._splits = nested & {"train", "val", "test"} if {"train", "test"} <= nested else set()
        split_classes = {
            split: {self._class_of(name) for name in self.names if _first_folder(name) == split}
            for split in self._splits
        }
        folders = split_classes.get("train") or {self._class_of(name) for name in self.names} - {""}
        self.class_names = self.class_folders = tuple(sorted(folders))
        if problem := self._problem(nested, split_classes):
            raise UserError(
                f"--data.data_dir {self.data_dir}: {problem}; give a folder that has a sub-folder of images for each "
                "class, or train, test and optionally val that have these"
            )
        training, _ = self._split_off_test([name for name in self.names if self._class_of(name) in folders])
        self.training_images = len(training)

    def _problem(self, nested: set[str], split_classes: dict[str, set[str]]) -> str:
        """The problem with the folder, or an empty string.

        Args:
            nested: The folders that have sub-folders with files.
            split_classes: The classes in each of train, val and test.
        """
        if not self.data_dir.is_dir():
            return "there is no such folder"
        if "train" in nested and not self._splits:
            return f"there is no test beside its train; add one, or give {self.data_dir / 'train'} alone"
        for split, classes in sorted(split_classes.items()):
            for name in sorted(classes ^ set(self.class_folders)):
                without, having = ("train", split) if name in classes else (split, "train")
                return f"{name} is a class of {having}, but not of {without}"
        root = self.data_dir / "train" if self._splits else self.data_dir
        folders = {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
        if empty := sorted(folders - set(self.class_folders)):
            return f"its folder {empty[0]} has no files"
        return "" if len(self.class_folders) > 1 else "has no files for two classes"

    def _class_of(self, name: str) -> str:
        """The class of a file; empty if the file is not in a class folder."""
        *folders, _ = name.split("/")
        if self._splits and (not folders or folders.pop(0) not in self._splits):
            return ""
        return folders[0] if folders else ""

    def split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        """Take the images of val for validation, or split them off in proportion by class."""
        if "val" not in self._splits or self.val_size == 0:
            self._check_val_size(images)
            train, val = split_by_class(images.labels, self.val_size)
            return images[train], images[val]
        assert isinstance(images, ImageFiles)
        in_val = torch.tensor([_first_folder(name) == "val" for name in images.names])
        return images[~in_val], images[in_val]

    def _split_off_test(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """The files for training and validation, and those for the test."""
        if self._splits:
            in_test = [name for name in names if _first_folder(name) == "test"]
            return [name for name in names if _first_folder(name) != "test"], in_test
        training, test = split_by_class(self._labels(names))
        return [names[index] for index in training.tolist()], [names[index] for index in test.tolist()]

    def _labels(self, names: Sequence[str]) -> Tensor:
        """The labels [M] int64 of the files `names`, of which each is in a class folder."""
        indices = {folder: index for index, folder in enumerate(self.class_folders)}
        return torch.tensor([indices[self._class_of(name)] for name in names], dtype=torch.long)

    def prepare_data(self) -> None:
        """Check every new or changed file.

        Raises:
            UserError: files are damaged or are not images, and skip_damaged is false.
        """
        _ = self._intact_files

    @cached_property
    def _intact_files(self) -> dict[str, CheckedFile]:
        """The files that are images of a class; the others are reported."""
        folders = self.class_folders
        problems = {name: "in no class's folder" for name in self.names if self._class_of(name) not in folders}
        inside = [name for name in self.names if name not in problems]
        checked = check_files(self.data_dir, inside, self.image_shape[1], self.workers)
        problems |= {name: file.result for name, file in checked.items() if isinstance(file.result, str)}
        self.problems = dict(sorted(problems.items()))
        if problems:
            self._report()
        return {name: file for name, file in checked.items() if name not in problems}

    def _report(self) -> None:
        """Print the problem of each file, or raise UserError with the first ones."""
        lines = [f"{name} ({problem})" for name, problem in self.problems.items()]
        lines = [line.encode(errors="backslashreplace").decode() for line in lines]  # a name may not be UTF-8
        summary = f"{len(lines):,} of {len(self.names):,} files are not intact images of a class"
        if self.skip_damaged:
            rank_zero_only(print)(f"skipping in {self.data_dir}: {summary}: {', '.join(lines)}", flush=True)
            return
        if len(lines) > FILES_IN_ERROR:
            lines[FILES_IN_ERROR:] = [f"and {len(lines) - FILES_IN_ERROR:,} more"]
        raise UserError(
            f"--data.data_dir {self.data_dir}: {summary}: {', '.join(lines)}; delete them, or leave them out by "
            "--data.skip_damaged true"
        )

    def load(self) -> tuple[ImageSet, ImageSet]:
        training, test = self._split_off_test(list(self._intact_files))
        for purpose, names in (("training", training), ("the test", test)):
            if not names:
                raise UserError(f"--data.data_dir {self.data_dir}: has no intact image for {purpose}; add some")
        self.training_images = len(training)  # less than the listed ones if damaged files are skipped
        sums = np.sum([self._intact_files[name].result for name in training], axis=0)
        self.mean, self.std = mean_and_std(sums.tolist())
        return self._image_files(training), self._image_files(test)

    def _image_files(self, names: list[str]) -> ImageFiles:
        digests = np.array([self._intact_files[name].sha256 for name in names], dtype=str)
        files = np.array(names, dtype=str), digests, self._labels(names)
        return ImageFiles(self.data_dir, *files, self.image_shape[1], self.workers)


def _first_folder(name: str) -> str:
    return name.partition("/")[0]
