"""Predict the classes of image files with a trained network, and print them.

A folder stands for all files below it. The images may have any format, mode and size that Pillow reads. Each one is
prepared as the training images were. Files that cannot be read are named and counted, and the others are predicted; the
exit code is then 1. A path that does not exist ends the command before an image is read.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from project.cli.commands import ALLOW, CKPT_PATH
from project.cli.device import usable_device
from project.cli.output import add_output_options, check_output_file
from project.cli.progress import Progress
from project.runs.checkpoint_path import find_path
from project.runs.results import Result
from project.system.errors import UserError
from project.system.text import printable
from project.system.threads import usable_cores
from project.use.image_paths import image_paths
from project.use.prediction_files import FORMATS, prediction_file

if TYPE_CHECKING:
    from project.use.predictor import Prediction, Predictor

MOST_WORKERS = 8  # unless the user asks for more
NAMED = 10  # files that the last line names


def add_options(parser: ArgumentParser) -> None:
    def add(option: str, text: str, **arguments: Any) -> None:
        parser.add_argument(option, help=text, **arguments)

    add("--ckpt_path", CKPT_PATH, type=str, required=True)
    add("--images", "Image files, and folders of them. A file that is named twice has two rows.", **ALLOW)
    add("--top", "Number of classes to print for each image, from the most probable one on.", type=int, default=3)
    add_output_options(parser, "Write the predictions to this file too. Its name ends in .csv or .jsonl (JSON Lines).")
    add("--all_classes", "Write the probability of every class into the file.", action="store_true")
    workers = min(usable_cores(), MOST_WORKERS)
    add("--workers", "Number of processes that read files; 0 reads in this one.", type=int, default=workers)
    add("--device", "Such as cpu or cuda; null takes cuda if there is one.", type=str)
    add("--allow", "Modules of your own that the checkpoint may import.", **ALLOW)


def run(options: Namespace) -> Result:
    """Print the classes of each image, and write them to --output.

    Raises:
        UserError: an option is wrong, or none of the files is an image.
        SystemExit: some of the files are not images; with code 1, after the others are predicted.
    """
    output = Path(options.output) if options.output is not None else None
    _check(options, output)
    num_files = sum(1 for _ in image_paths(options.images, output))
    if not num_files:
        raise UserError(f"{_given(options)}: no images are there; give image files, or folders of them")
    predictor = _load(options)
    problems = _predict(predictor, options, output, num_files)
    if output:
        print(f"predictions of {num_files - problems.count:,} images: {output}")
    if problems.count:
        print(problems.summary(num_files), file=sys.stderr)
        raise SystemExit(1)
    return Result(predictions=output)


class _Problems:
    """Counts the files that cannot be read, and remembers the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self._lines: list[str] = []

    def add(self, path: str, problem: str) -> None:
        self.count += 1
        if self.count <= NAMED:
            self._lines.append(f"{printable(path)} ({problem})")

    def summary(self, num_files: int) -> str:
        rest = [f"and {self.count - NAMED:,} more"] * (self.count > NAMED)
        return f"{self.count:,} of {num_files:,} files cannot be read: {', '.join([*self._lines, *rest])}"


def _check(options: Namespace, output: Path | None) -> None:
    for name, low, high in (("top", 1, 2**31), ("workers", 0, 512)):
        if not low <= options[name] <= high:
            raise UserError(f"--{name} {options[name]}: give a whole number from {low} to {high}")
    if output is None and options.all_classes:
        raise UserError("--all_classes: the probabilities go into a file; name it by --output")
    if output:
        check_output_file(output, options.force, FORMATS)


def _load(options: Namespace) -> "Predictor":
    from project.use.predictor import make_predictor, read_trained  # imports torch, which takes a second

    device = usable_device(options.device)
    return make_predictor(read_trained(find_path(options.ckpt_path)), device, options.allow)


def _predict(predictor: "Predictor", options: Namespace, output: Path | None, num_files: int) -> _Problems:
    """Print the classes of all images and write them to `output`. Raises UserError if none of them is an image."""
    from project.use.image_files import predict_files  # imports torch, which takes a second

    problems = _Problems()
    top = len(predictor.class_names) if options.all_classes else options.top
    batches = predict_files(predictor, image_paths(options.images, output), options.workers, top)
    target = prediction_file(output, predictor.class_names, options.all_classes) if output else nullcontext()
    with target as write, Progress(num_files) as progress:
        for batch in batches:
            progress.clear()
            print("\n".join(_line(path, result, options.top) for path, result in batch), flush=True)
            for path, result in batch:
                if isinstance(result, str):
                    problems.add(path, result)
                elif write:
                    write(path, result)
            progress.show(len(batch))
        if problems.count == num_files:
            raise UserError(f"{_given(options)}: {problems.summary(num_files)}")
    return problems


def _given(options: Namespace) -> str:
    """The option --images, with its first values."""
    return " ".join(["--images", *options.images[:NAMED], *["..."] * (len(options.images) > NAMED)])


def _line(path: str, result: "Prediction | str", top: int) -> str:
    """What is printed of an image."""
    if isinstance(result, str):
        return f"{printable(path)}  cannot be read: {result}"
    return "  ".join([printable(path), *(f"{printable(name)} {100 * value:.2f} %" for name, value in result.top[:top])])
