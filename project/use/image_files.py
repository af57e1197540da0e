"""Prediction of image files of any number: they are read in worker processes, with memory for some of them alone."""

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np
from torch.utils.data import Dataset

from project.data.decoding import Preparation, decode, read_in_workers
from project.use.images import pixels_of
from project.use.predictor import BATCH, Prediction, Predictor

FILES_AT_ONCE = 32  # that a worker reads before it hands them over


def predict_files(
    predictor: Predictor, paths: Iterable[str], workers: int, top: int = 1
) -> Iterator[list[tuple[str, Prediction | str]]]:
    """Yield batches: each path with the prediction of its image, or with the problem of a file that cannot be read.

    Args:
        predictor: From `load`.
        paths: Of the files; read once, as they are needed.
        workers: Number of worker processes that read and decode the files; 0 does it in this process.
        top: Number of classes in Prediction.top.
    """
    files = _read(paths, predictor.preparation, workers)
    while batch := list(islice(files, BATCH)):
        intact = (pixels for _, pixels in batch if not isinstance(pixels, str))
        predictions = predictor.iterate(pixels_of(intact, predictor.image_shape[0], predictor.preparation), top)
        yield [(path, result if isinstance(result, str) else next(predictions)) for path, result in batch]


def _read(paths: Iterable[str], preparation: Preparation, workers: int) -> Iterator[tuple[str, np.ndarray | str]]:
    """Each path with its pixels [H, W, 3] uint8, or with its problem, in the order of the paths."""
    paths = iter(paths)
    chunks = iter(lambda: list(islice(paths, FILES_AT_ONCE)), [])
    first = list(islice(chunks, 2))  # a single chunk is read sooner than a worker starts
    workers = workers if len(first) == 2 else 0
    yield from chain.from_iterable(read_in_workers(_DecodedFiles(preparation), chain(first, chunks), workers, list))


class _DecodedFiles(Dataset[tuple[str, np.ndarray | str]]):
    """Gives a path with its pixels, or with its problem.

    The pixels are an array: tensors would go through shared memory, of which containers have little.
    """

    def __init__(self, preparation: Preparation) -> None:
        self.preparation = preparation

    def __getitem__(self, path: str) -> tuple[str, np.ndarray | str]:
        try:
            return path, decode(_content(path), self.preparation).numpy()
        except OSError as error:
            return path, error.strerror or str(error)
        except ValueError as error:
            return path, str(error)


def _content(path: str) -> bytes:
    """The bytes of a file. Raises OSError, and ValueError for a device or pipe, which might never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("not a regular file")
    with open(path, "rb") as file:
        return file.read()
