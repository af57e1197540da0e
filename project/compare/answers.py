"""What the runs of a group answer for each test image, from the logits in test.npz."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from project.compare.statistics import mcnemar
from project.runs.results import TEST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DAMAGED = (
    OSError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of an ensemble, which is the mean of the probabilities of one or more runs."""

    test_set: str
    """The same for runs that were tested on the same images, with the same classes."""
    correct: "NDArray[np.bool_]"
    """[N]: whether the ensemble classifies each image correctly. Logits that are not finite are wrong."""
    num_runs: int

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


@dataclass(frozen=True)
class Disagreement:
    """The number of test images that only one of two ensembles classifies correctly."""

    only_first: int
    only_second: int

    @property
    def p(self) -> float:
        """Of McNemar's exact test."""
        return mcnemar(self.only_first, self.only_second)


def read_answers(runs: Sequence[Path]) -> Answers | str | None:
    """The answers of the ensemble of these runs; a reason, if it cannot be made; None without logits."""
    files = [run / TEST for run in runs if (run / TEST).exists()]
    if not files:
        return None
    if len(files) < len(runs):
        return f"{len(runs) - len(files)} of {len(runs)} runs have no {TEST}"
    test_set, total, labels = "", 0.0, None
    for file in files:
        try:
            others_test_set, labels, probabilities = _read(file)
        except DAMAGED:
            return f"{file} cannot be read"
        if others_test_set != (test_set or others_test_set):
            return "its runs have different test sets"
        test_set, total = others_test_set, total + probabilities
    return Answers(test_set, _correct(total, labels), len(files))


def disagreement(first: Answers, second: Answers) -> Disagreement | None:
    """Where two ensembles disagree; None if they were tested on different images."""
    if first.test_set != second.test_set:
        return None
    only_first, only_second = first.correct & ~second.correct, second.correct & ~first.correct
    return Disagreement(int(only_first.sum()), int(only_second.sum()))


def _read(file: Path) -> tuple[str, Any, Any]:
    """The name of the test set, labels [N] and probabilities [K, N], in the order of the images' numbers.

    NumPy is several times as fast over the first of K and N as over the last one, since K is small.
    """
    import numpy as np

    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
        order = np.argsort(arrays["index"], kind="stable")
        labels, logits = arrays["label"][order], np.ascontiguousarray(arrays["logits"][order].T, np.float32)
        names = arrays["name"][order] if "name" in arrays else arrays["index"][order]
        classes = arrays["class_names"].tolist()
    if logits.shape != (len(classes), len(labels)) or not len(labels):
        raise ValueError("shapes differ")
    digest = blake2b(repr(classes).encode(errors="surrogateescape") + labels.astype(np.int64).tobytes())
    digest.update(str(names.dtype).encode() + names.tobytes())
    with np.errstate(invalid="ignore", over="ignore"):
        powers = np.exp(logits - logits.max(0))
        return digest.hexdigest(), labels, powers / powers.sum(0)


def _correct(probabilities: Any, labels: Any) -> Any:
    import numpy as np

    return np.isfinite(probabilities).all(0) & (probabilities.argmax(0) == labels)
