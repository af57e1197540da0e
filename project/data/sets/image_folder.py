"""A folder of one's own images."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

from project.data.image_files import CheckedFile, ImageFiles, check_files
from project.data.images import ImageSet
from project.data.module import SPLIT_SEED, ImageDataModule
from project.data.normalisation import constants
from project.system.errors import UserError

OF_THE_SYSTEM = {"Thumbs.db", "desktop.ini"}
NAMED = 5  # files in an error


class ImageFolder(ImageDataModule):
    """A folder of one's own images of any sizes and modes, in a sub-folder for each class; it may exceed the memory.

    Where its sub-folders train and test have sub-folders, these are the classes, and a val beside them is the
    validation set, unless val_size is 0: then it is trained on too. Else a tenth of the images, chosen by a fixed
    seeded permutation of their sorted names, is the test set. Hidden files, Thumbs.db and desktop.ini are left out.
    Before the first run every file is decoded once; what was found, and the sums from which the normalisation over the
    images that are not the test set's comes, are kept in the folder's .checked-<image_size>.json.
    """

    evaluation_batch = 1

    def __init__(
        self,
        data_dir: str = "data/images",
        image_size: int = 64,
        workers: int = 2,
        skip_damaged: bool = False,
        **options: Any,
    ) -> None:
        """Check the options and list the files; none is read yet.

        Args:
            data_dir: Folder with a sub-folder of images for each class, or with train, test and perhaps val, which have
                them.
            image_size: Side in pixels of the square that an image is shown as: its shorter side is brought to this
                size, and its longer one cut at both ends; at least 1.
            workers: Processes that decode images, for each process of the run; 0 decodes in the run's own. A run's
                figures do not depend on it.
            skip_damaged: Go on without the files that are damaged or no images; else they end the command. Both name
                and count them.
        """
        self.data_dir, self.workers, self.skip_damaged = Path(data_dir), workers, skip_damaged
        for name, value, low in (("image_size", image_size, 1), ("workers", workers, 0)):
            if value < low:
                raise ValueError(f"--data.{name} {value}: give a whole number of at least {low}")
        self.image_shape = (3, image_size, image_size)
        self._list_files()
        super().__init__(**options)
        if "val" in self._parts and self.val_size:
            raise UserError(f"--data.val_size {self.val_size}: {data_dir} has a val of its own; leave it out")

    def _list_files(self) -> None:
        """Set names, class names and the number of training images."""
        self.names = sorted(_walk(self.data_dir))
        deep = {_part(name) for name in self.names if name.count("/") > 1}
        self._parts = deep & {"train", "val", "test"} if {"train", "test"} <= deep else set()
        known = {part: {self._class(name) for name in self.names if _part(name) == part} for part in self._parts}
        folders = known.get("train") or {self._class(name) for name in self.names} - {""}
        self.class_names = self.folders = tuple(sorted(folders))
        if problem := self._problem(deep, known):
            raise UserError(
                f"--data.data_dir {self.data_dir}: {problem}; give a folder that has a sub-folder of images for each "
                "class, or train, test and perhaps val, which have them"
            )
        train, _ = self._divided([name for name in self.names if self._class(name) in folders])
        self.training_images = len(train)

    def _problem(self, deep: set[str], known: dict[str, set[str]]) -> str:
        """What is wrong with the folder, empty if nothing is: `deep` folders have folders, parts the `known` ones."""
        if not self.data_dir.is_dir():
            return "there is no such folder"
        if "train" in deep and not self._parts:
            return f"there is no test beside its train; add one, or give {self.data_dir / 'train'} alone"
        for part, classes in sorted(known.items()):
            for name in sorted(classes ^ set(self.folders)):
                without, having = ("train", part) if name in classes else (part, "train")
                return f"{name} is a class of {having}, but not of {without}"
        root = self.data_dir / "train" if self._parts else self.data_dir
        folders = {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
        if empty := sorted(folders - set(self.folders)):
            return f"its folder {empty[0]} has no files"
        return "" if len(self.folders) > 1 else "has no files for two classes"

    def _class(self, name: str) -> str:
        """The class of a file, empty where it is in no class's folder."""
        *folders, _ = name.split("/")
        if self._parts and (not folders or folders.pop(0) not in self._parts):
            return ""
        return folders[0] if folders else ""

    def split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        if "val" not in self._parts or self.val_size == 0:
            return super().split(images)
        assert isinstance(images, ImageFiles)
        own = torch.tensor([_part(name) == "val" for name in images.names])
        return images[~own], images[own]

    def _divided(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those for training and validation, and those of the test set."""
        if self._parts:
            tested = [name for name in names if _part(name) == "test"]
            return [name for name in names if _part(name) != "test"], tested
        order = torch.randperm(len(names), generator=torch.Generator().manual_seed(SPLIT_SEED)).tolist()
        kept = len(names) - max(1, len(names) // 10)
        return [names[place] for place in order[:kept]], [names[place] for place in order[kept:]]

    def prepare_data(self) -> None:
        """Check every file that was not checked before.

        Raises:
            UserError: some are damaged or no images, unless they are to be skipped.
        """
        _ = self._whole

    @cached_property
    def _whole(self) -> dict[str, CheckedFile]:
        """The files that are images of a class; the others are named and counted."""
        stray = {name: "in no class's folder" for name in self.names if self._class(name) not in self.folders}
        inside = [name for name in self.names if name not in stray]
        checked = check_files(self.data_dir, inside, self.image_shape[1], self.workers)
        problems = stray | {name: file.found for name, file in checked.items() if isinstance(file.found, str)}
        if problems:
            said = [f"{name} ({problem})" for name, problem in sorted(problems.items())]
            self._report([one.encode(errors="backslashreplace").decode() for one in said])  # a name may be no UTF-8
        return {name: file for name, file in checked.items() if name not in problems}

    def _report(self, problems: list[str]) -> None:
        said = f"{len(problems):,} of {len(self.names):,} files are no whole images of a class"
        if self.skip_damaged:
            rank_zero_only(print)(f"skipping in {self.data_dir}: {said}: {', '.join(problems)}", flush=True)
            return
        more = [f"and {len(problems) - NAMED:,} more"] * (len(problems) > NAMED)
        raise UserError(
            f"--data.data_dir {self.data_dir}: {said}: {', '.join([*problems[:NAMED], *more])}; delete them, or go on "
            "without them by --data.skip_damaged true"
        )

    def load(self) -> tuple[ImageSet, ImageSet]:
        train, test = self._divided(list(self._whole))
        for part, names in (("training", train), ("the test", test)):
            if not names:
                raise UserError(f"--data.data_dir {self.data_dir}: has no whole image for {part}; give some")
        self.training_images = len(train)  # less than were listed, where damaged ones are skipped
        self.mean, self.std = constants(np.sum([self._whole[name].found for name in train], axis=0).tolist())
        return self._files(train), self._files(test)

    def _files(self, names: list[str]) -> ImageFiles:
        numbers = {name: number for number, name in enumerate(self.folders)}
        labels = torch.tensor([numbers[self._class(name)] for name in names], dtype=torch.long)
        digests = np.array([self._whole[name].sha256 for name in names], dtype=str)
        return ImageFiles(self.data_dir, np.array(names, dtype=str), digests, labels, self.image_shape[1], self.workers)


def _part(name: str) -> str:
    return name.partition("/")[0]


def _walk(root: Path) -> Iterator[str]:
    """The files below `root` by their path in it, but for hidden ones and the system's own."""
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        inside = os.path.relpath(folder, root)
        for name in files:
            if not (name.startswith(".") or name in OF_THE_SYSTEM):
                yield name if inside == "." else Path(inside, name).as_posix()
