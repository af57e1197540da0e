"""Inspect a data set before the training: its classes, files and pixels, exact and near duplicates, labels.

--data, --data.OPTION and --config mean what they mean for fit; `main.py fit --data.help` lists the data sets. With
--ckpt_path alone, the data is that of the checkpoint. A checkpoint also shows the labels of validation and test images
that its network contradicts most; some may be wrong. Damaged files are named and counted, and the others are
inspected; the exit code is then 1.
"""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from project.cli.commands import ALLOW
from project.cli.device import usable_device
from project.cli.output import add_output_options, check_output
from project.runs.results import Result
from project.system.errors import UserError
from project.system.process import quiet

if TYPE_CHECKING:
    from project.data import ImageDataModule
    from project.runs.plan import Found

FIT_OPTIONS = ("data", "config", "c")  # what the parser of fit reads


def add_options(parser: ArgumentParser) -> None:
    def add(option: str, text: str, **arguments: Any) -> None:
        parser.add_argument(option, help=text, **arguments)

    add("--data", "The data set, such as CIFAR10 or ImageFolder. Its options follow, as in --data.data_dir.", type=str)
    add("--config", "Files with the settings of an experiment, of which only those of the data count.", type=str)
    add("--ckpt_path", "A checkpoint file, a run directory, an experiment, best or last.", type=str)
    add_output_options(parser, "The directory to write; by default it is here and named after the data set.")
    add("--device", "Such as cpu or cuda; null takes cuda if there is one. For the checkpoint's network.", type=str)
    add("--allow", "Modules of your own that the checkpoint may import.", **ALLOW)


@quiet()
def run(options: Namespace) -> Result:
    """Print what is found, and write tables and pictures.

    Raises:
        UserError: an option is wrong, the data cannot be read, or the checkpoint is of other classes.
        SystemExit: some files are damaged; with code 1, after the others are inspected.
    """
    if options.output is not None:
        check_output(Path(options.output), options.force)
    # These import torch and Lightning, which takes seconds.
    from project.cli.arguments import user_modules
    from project.cli.data_options import make_data

    with user_modules(options.fit_words), TemporaryDirectory() as directory:
        words, found = _words(options, Path(directory))
        with make_data(words) as data:
            output = _output(options, data)
            data.prepare_data()
            data.setup("validate")
    from project.inspection.inspection import inspect

    findings = inspect(data, output, _predictor(options, data, found))
    if findings.problems:
        total = len(findings.problems) + len(findings.images)
        print(f"{len(findings.problems):,} of {total:,} files are damaged: {output / 'findings.csv'}", file=sys.stderr)
        raise SystemExit(1)
    return Result(figures=findings.figures)


def _words(options: Namespace, directory: Path) -> "tuple[list[str], Found | None]":
    """The words for the parser of fit; with --ckpt_path and without --config those of test, and the checkpoint."""
    from project.checkpoints.files import read
    from project.cli.checkpoint_settings import with_checkpoint_settings
    from project.runs.checkpoint_path import find_path

    words = options.fit_words
    if options.ckpt_path is None:
        return ["fit", *words], None
    allow = [word for module in options.allow for word in ("--allow", module)]
    given, found = with_checkpoint_settings(["test", "--ckpt_path", options.ckpt_path, *allow, *words], directory)
    if found is None:  # --config says what the data is
        path = find_path(options.ckpt_path)
        return ["fit", *words], (path, read(path))
    return given, found


def _output(options: Namespace, data: "ImageDataModule") -> Path:
    """The directory to write, which is checked."""
    folder = Path(getattr(data, "data_dir", ".")).resolve()
    kind = type(data).__name__
    path = Path(options.output if options.output is not None else f"inspection_{_data_name(data)}")
    check_output(path, options.force)
    if path.exists() and not path.is_dir():
        raise UserError(f"--output {path}: it is a file; name a directory")
    if folder in (path.resolve(), *path.resolve().parents) and kind == "ImageFolder":
        raise UserError(f"--output {path}: it is in the folder of the images; name another directory")
    return path


def _data_name(data: "ImageDataModule") -> str:
    """The name of the data set: of a folder of images that of the folder."""
    from project.data import ImageFolder

    name = data.data_dir.resolve().name if isinstance(data, ImageFolder) else type(data).__name__
    return re.sub(r"[^\w.-]", "_", name)


def _predictor(options: Namespace, data: "ImageDataModule", found: "Found | None") -> Any:
    """The network of the checkpoint, which is of the same classes and images as the data."""
    if found is None:
        return None
    from project.checkpoints.description import check_fits
    from project.use.predictor import make_predictor

    path, checkpoint = found
    check_fits(path, checkpoint, checkpoint["state_dict"], data.description())
    trained_on = checkpoint.get("environment", {}).get("data", {}).get("sha256")
    if trained_on not in (None, data.fingerprint()):
        print("the images or their parts are not those of the training: the network may know some labels by heart")
    return make_predictor(checkpoint, usable_device(options.device), options.allow)
