"""Folders of images: files per second against torchvision's, and an epoch of convnet.yaml from CIFAR-10 as files."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_this_process
from project.benchmarks.report import report
from project.data import CIFAR10, ImageFolder, ImagesInMemory
from project.data.batches import TrainingBatches
from project.data.normalisation import Normalisation

SIZE, SIDE, BATCH_SIZE = (500, 375), 224, 50  # of the JPEG files, of the images of a batch, of a batch
AUGMENTATIONS: dict[str, list[v2.Transform]] = {
    "RandomResizedCrop": [v2.RandomResizedCrop(SIDE)],
    "RandomResizedCrop, RandomHorizontalFlip, TrivialAugmentWide": [
        v2.RandomResizedCrop(SIDE),
        v2.RandomHorizontalFlip(),
        v2.TrivialAugmentWide(),
    ],
}
MEAN = STD = (0.5, 0.5, 0.5)


def measure_files(files: int, turns: int) -> None:
    """Report images per second from `files` JPEG files of 500 x 375 pixels to 224, for one and two worker processes.

    The files are smooth (random colours of 16 x 12 squares, enlarged), so they decode faster than photographs of this
    size. Both sides decode the same files and give normalised float32 batches. The start of the workers counts.
    """
    with TemporaryDirectory() as folder:
        _write_jpegs(Path(folder), files)
        sources: dict[tuple[str, int, str], Iterable[Any]] = {}
        for name, transforms in AUGMENTATIONS.items():
            for workers in (1, 2):
                sources[name, workers, "ours"] = _ours(folder, transforms, workers)
                sources[name, workers, "torchvision"] = _torchvisions(folder, transforms, workers)
        best = dict.fromkeys(sources, 0.0)
        for turn in range(turns):
            for key, source in sources.items():
                best[key] = max(best[key], _images_per_second(source))
            print(f"files, turn {turn + 1} of {turns}", flush=True)
    rows = [
        {
            "transforms": name,
            "workers": workers,
            "ours, images per second": best[name, workers, "ours"],
            "torchvision's": best[name, workers, "torchvision"],
            "ours over torchvision's": best[name, workers, "ours"] / best[name, workers, "torchvision"],
        }
        for name, workers in dict.fromkeys(key[:2] for key in best)
    ]
    report("loader_files", rows, turns=turns, files=files)


def decoded_per_second(files: int) -> float:
    """The images that one worker process of ours gives in a second, as measure_files measures it."""
    with TemporaryDirectory() as folder:
        _write_jpegs(Path(folder), files)
        return _images_per_second(_ours(folder, AUGMENTATIONS["RandomResizedCrop"], workers=1))


def _write_jpegs(folder: Path, count: int) -> None:
    """`count` training files and two for the test, of two classes."""
    random = np.random.default_rng(0)
    for part, number in (("train", count), ("test", 2)):
        for name in ("0", "1"):
            (folder / part / name).mkdir(parents=True)
        for place in range(number):
            colours = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
            image = colours.resize(SIZE, Image.Resampling.BICUBIC)
            image.save(folder / part / str(place % 2) / f"{place}.jpg", quality=90)


def _ours(folder: str, transforms: list[v2.Transform], workers: int) -> TrainingBatches:
    data = ImageFolder(folder, SIDE, workers, batch_size=BATCH_SIZE, val_size=0, transforms=transforms)
    data.prepare_data()
    data.setup("fit")
    position = 0, 0, 0, math.inf
    normalise = Normalisation(MEAN, STD, torch.device("cpu"))
    return TrainingBatches(
        data.train, normalise, BATCH_SIZE, data.augmentation, 0, lambda: position, transforms=data.transforms
    )


def _torchvisions(folder: str, transforms: list[v2.Transform], workers: int) -> DataLoader[Any]:
    """On images of Pillow until they are normalised, as in torchvision's references."""
    normalise = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    images = datasets.ImageFolder(f"{folder}/train", v2.Compose([*transforms, *normalise]))
    return DataLoader(images, BATCH_SIZE, shuffle=True, num_workers=workers, drop_last=True)


def _images_per_second(source: Iterable[Any]) -> float:
    started = time.perf_counter()
    images = sum(len(labels) for _, labels in source)
    return images / (time.perf_counter() - started)


def measure_epochs(data_dir: str, images: int, epochs: int, turns: int) -> None:
    """Report the seconds of an epoch of convnet.yaml: from memory, and from a folder of the same images as PNG files.

    Args:
        data_dir: Of CIFAR-10, which is downloaded if it is missing.
        images: Number of CIFAR-10's images, of which a sixth is for the test.
        epochs: Number of epochs of each fit.
        turns: Number of fits of each kind; the fastest counts.
    """
    with TemporaryDirectory() as folder:
        steps = _write_pngs(data_dir, Path(folder), images)
        length = ["--trainer.max_epochs", str(epochs), "--trainer.limit_train_batches", str(steps)]
        kinds: Mapping[str, Callable[[], float]] = {
            "from memory": lambda: _epoch_seconds([], [*length, "--data.data_dir", data_dir]),
            "files held in memory": lambda: _folder_seconds(folder, length, "true"),
            "files decoded each time": lambda: _folder_seconds(folder, length, "false"),
        }
        best = dict.fromkeys(kinds, math.inf)
        for turn in range(turns):
            for kind, seconds in kinds.items():
                best[kind] = min(best[kind], seconds() / epochs)
            print(f"epochs, turn {turn + 1} of {turns}", flush=True)
    memory = best["from memory"]
    rows = [{"images": kind, "s an epoch": value, "over from memory": value / memory} for kind, value in best.items()]
    report("loader_epochs", rows, turns=turns, files=images, epochs=epochs, steps=steps)


def _write_pngs(data_dir: str, folder: Path, count: int) -> int:
    """Write the files of `count` images; return the number of training batches of convnet.yaml that they fill."""
    data = CIFAR10(data_dir, batch_size=1)
    data.prepare_data()
    counts = count - count // 6, count // 6
    for part, images, number in zip(("train", "test"), data.load(), counts, strict=True):
        assert isinstance(images, ImagesInMemory)
        for name in data.class_names:
            (folder / part / name).mkdir(parents=True)
        for place in range(number):
            path = folder / part / data.class_names[int(images.labels[place])] / f"{place:05}.png"
            Image.fromarray(images.pixels[place].numpy()).save(path)
    return (counts[0] - counts[0] // 10) // 125  # a tenth is for validation


def _folder_seconds(folder: str, length: list[str], in_memory: str) -> float:
    options = ["--data.data_dir", folder, "--data.image_size", "32", "--data.in_memory", in_memory]
    return _epoch_seconds([CONFIGS / "data/image_folder.yaml"], [*length, *options])


def _epoch_seconds(configs: list[Path], options: list[str]) -> float:
    """Training seconds of main.py fit."""
    quick = ["--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "1", "--pictures", "false"]
    words = fit_arguments([CONFIGS / "convnet.yaml", *configs], [*options, *quick, "--trainer.accelerator", "cpu"])
    return float(fit_in_this_process(words)[0]["train_seconds"])
