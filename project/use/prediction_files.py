"""Files of predictions: CSV, or a JSON object in each line. Both have one row for each image."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from project.system.files import atomic_write, output_errors
from project.system.tables import TableWriter, open_text, path_text

if TYPE_CHECKING:
    from project.use.predictor import Prediction

Write = Callable[[str, "Prediction"], None]
"""Writes the path of an image and its prediction."""


@contextmanager
def prediction_file(path: Path, class_names: Sequence[str], all_classes: bool = False) -> Iterator[Write]:
    """Give a function that writes a row. The file is there at the end of the block, whole; after an error it is not.

    The columns of a CSV file, whose form project.system.tables describes, and the keys in each line of a JSON Lines
    file are: name, the path of the image; class, the most probable one; probability, that of this class. A byte of a
    name that is not UTF-8 is in JSON as Python has it, so that os.fsencode gives the name's bytes.

    Args:
        path: Ends in .csv or .jsonl.
        class_names: All classes of the predictions.
        all_classes: Add the probability of each class: in CSV as columns `probability of <class>`, in JSON as the
            object `probabilities`. The predictions have all classes in their `top`.

    Raises:
        UserError: the file cannot be written, as on a full disk.
    """
    with atomic_write(path) as unfinished:
        with output_errors(path):
            file = open_text(unfinished)
        try:
            write = FORMATS[path.suffix](file, class_names, all_classes)

            def write_row(name: str, prediction: "Prediction") -> None:
                with output_errors(path):
                    write(name, prediction)

            yield write_row
            with output_errors(path):
                file.close()
        finally:
            with suppress(OSError):
                file.close()


def _csv(file: TextIO, class_names: Sequence[str], all_classes: bool) -> Write:
    names = class_names if all_classes else ()
    table = TableWriter(file, ["name", "class", "probability", *(f"probability of {name}" for name in names)])

    def write(name: str, prediction: "Prediction") -> None:
        probabilities = dict(prediction.top)
        numbers = (prediction.probability, *(probabilities[name] for name in names))
        table.write([path_text(name), prediction.name, *map(_rounded, numbers)])

    return write


def _json_lines(file: TextIO, class_names: Sequence[str], all_classes: bool) -> Write:
    def write(name: str, prediction: "Prediction") -> None:
        row = {"name": name, "class": prediction.name, "probability": _rounded(prediction.probability)}
        if all_classes:
            probabilities = dict(prediction.top)
            row["probabilities"] = {name: _rounded(probabilities[name]) for name in class_names}
        file.write(json.dumps(row) + "\n")

    return write


FORMATS = {".csv": _csv, ".jsonl": _json_lines}


def _rounded(probability: float) -> float:
    """With six digits, since float32 has seven."""
    return float(f"{probability:.6g}")
