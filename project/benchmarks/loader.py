"""Images per second compared with a DataLoader of torchvision's: from memory, and from image files."""

import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from torchvision.transforms import v2

from project.benchmarks.image_folders import measure_epochs, measure_files
from project.benchmarks.overhead import training_batches
from project.benchmarks.report import report
from project.data import CIFAR10

BATCH_SIZE = 125  # convnet.yaml's
TRANSFORMS: dict[str, list[v2.Transform]] = {
    "no augmentation": [],
    "RandomCrop, RandomHorizontalFlip, RandomErasing": [
        v2.RandomCrop(32, padding=4),
        v2.RandomHorizontalFlip(),
        v2.RandomErasing(),
    ],
    "TrivialAugmentWide": [v2.TrivialAugmentWide()],
}


def measure(data_dir: str, turns: int, files: int, images: int, epochs: int, batches: int = 360) -> None:
    """Report the batches from memory, `files` image files, and epochs of convnet.yaml from files of CIFAR-10."""
    measure_memory(data_dir, turns, batches)
    measure_files(files, turns)
    measure_epochs(data_dir, images, epochs, turns)


def measure_memory(data_dir: str, turns: int, batches: int) -> None:
    """Report both with the augmentation of convnet.yaml: a random flip, a shift by up to two pixels, normalisation.

    Then batches from memory with transforms in place of this augmentation.
    """
    from_memory = training_batches(data_dir, BATCH_SIZE)  # downloads CIFAR-10 if it is missing
    dataloaders: dict[str, Iterable[Any]] = {f"DataLoader, {n} workers": _dataloader(data_dir, n) for n in (0, 1, 2)}
    ours = "batches from memory"
    sources = {**dataloaders, ours: from_memory}
    for name, chosen in TRANSFORMS.items():
        sources[f"{ours}, {name}"] = training_batches(data_dir, BATCH_SIZE, flip="none", shift=0, transforms=chosen)
    best = dict.fromkeys(sources, 0.0)
    for turn in range(turns):
        for name, source in sources.items():
            best[name] = max(best[name], _images_per_second(source, batches))
        print(f"turn {turn + 1} of {turns}", flush=True)
    rows = [{"source": name, "images per second": value} for name, value in best.items()]
    report("loader", rows, turns=turns, ours_over_best_dataloader=best[ours] / max(best[name] for name in dataloaders))


def _images_per_second(source: Iterable[Any], batches: int) -> float:
    """Measure from the first request to the last batch, at most one epoch. The start of the workers counts."""
    started, images = time.perf_counter(), 0
    for _, labels in islice(source, batches):
        images += len(labels)
    return images / (time.perf_counter() - started)


def _dataloader(data_dir: str, workers: int) -> DataLoader[Any]:
    augmentation = [transforms.RandomCrop(32, padding=2, padding_mode="reflect"), transforms.RandomHorizontalFlip()]
    normalisation = [transforms.ToTensor(), transforms.Normalize(CIFAR10.mean, CIFAR10.std)]
    images = datasets.CIFAR10(data_dir, transform=transforms.Compose([*augmentation, *normalisation]))
    return DataLoader(images, BATCH_SIZE, shuffle=True, num_workers=workers)
