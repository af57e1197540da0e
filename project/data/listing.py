"""The files of a folder of images with their classes, which are its sub-folders or stand in a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only

from project.data.folders import walk
from project.data.label_table import match_files, read_label_table
from project.system.text import shortened_list

PARTS = {"train", "val", "test"}


@dataclass(frozen=True)
class Listing:
    """The files of a folder of images.

    classes: The class of each file that has one, by the file's path in the folder; sorted by this path.
    parts: train, test and perhaps val, if the folder is divided by sub-folders of these names; otherwise empty.
    problems: Of each file that has no class, and of each name in a table that no file has.
    """

    classes: Mapping[str, str]
    parts: frozenset[str]
    problems: Mapping[str, str]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Sorted; those of the part train, if there are parts."""
        return tuple(sorted({label for name, label in self.classes.items() if self.part(name) in ("", "train")}))

    def part(self, name: str) -> str:
        """The part of a file; empty if the folder is not divided."""
        return first_folder(name) if self.parts else ""


def list_folder(folder: Path) -> Listing:
    """The files of a folder that has a sub-folder for each class, or parts that have these.

    Raises:
        ValueError: the folder is another one; with the problem.
    """
    if not folder.is_dir():
        raise ValueError("there is no such folder")
    names = sorted(walk(folder))
    nested = {first_folder(name) for name in names if name.count("/") > 1}
    parts = frozenset(nested & PARTS if {"train", "test"} <= nested else ())
    classes = {name: _class_folder(name, parts) for name in names}
    of_train = {label for name, label in classes.items() if label and (not parts or first_folder(name) == "train")}
    if "train" in nested and not parts:
        raise ValueError(f"there is no test beside its train; add one, or give {folder / 'train'} alone")
    _check_parts({name: label for name, label in classes.items() if parts and first_folder(name) in parts}, of_train)
    root = folder / "train" if parts else folder
    folders = {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if empty := sorted(folders - of_train):
        raise ValueError(f"its folder {empty[0]} has no files")
    if len(of_train) < 2:
        raise ValueError("has no files for two classes")
    problems = {name: "in no class's folder" for name, label in classes.items() if label not in of_train}
    return Listing({name: label for name, label in classes.items() if name not in problems}, parts, problems)


def list_table(folder: Path, table: Path) -> Listing:
    """The files of a folder whose classes are in a table. A line names the files that are not in it.

    Raises:
        ValueError: the table is wrong, or has none of the files; with the problem.
    """
    rows = read_label_table(table)
    names = sorted(name for name in walk(folder) if folder / name != table)
    classes, missing = match_files(rows, names)
    if not classes:
        example = next(iter(rows), "no file")
        raise ValueError(
            f"none of its {len(rows):,} files is in {folder}, such as {example}; give paths in that folder"
        )
    folders = {first_folder(name) for name in classes}
    parts = frozenset(folders if {"train", "test"} <= folders <= PARTS else ())
    of_train = {label for name, label in classes.items() if not parts or first_folder(name) == "train"}
    _check_parts(classes if parts else {}, of_train)
    if len(of_train) < 2:
        raise ValueError(f"all its files have the class {', '.join(of_train)}; give two or more classes")
    if surplus := [name for name in names if name not in classes]:
        line = f"{len(surplus):,} files in {folder} are not in {table}: {shortened_list(surplus)}"
        rank_zero_only(print)(line, flush=True)
    return Listing(dict(sorted(classes.items())), parts, dict.fromkeys(missing, "in the table, but no such file"))


def first_folder(name: str) -> str:
    return name.partition("/")[0]


def _class_folder(name: str, parts: frozenset[str]) -> str:
    """The class of a file; empty if the file is not in a class folder."""
    *folders, _ = name.split("/")
    if parts and (not folders or folders.pop(0) not in parts):
        return ""
    return folders[0] if folders else ""


def _check_parts(classes: Mapping[str, str], of_train: set[str]) -> None:
    """Raises ValueError if the parts of files with these classes have not all the same classes."""
    by_part: dict[str, set[str]] = {}
    for name, label in classes.items():
        by_part.setdefault(first_folder(name), set()).add(label)
    for part, labels in sorted(by_part.items()):
        for label in sorted(labels ^ of_train):
            without, having = ("train", part) if label in labels else (part, "train")
            raise ValueError(f"{label or 'a file in no folder'} is a class of {having}, but not of {without}")
