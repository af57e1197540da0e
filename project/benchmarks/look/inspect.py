"""What main.py inspect finds in CIFAR-10: changed copies and wrong labels that were planted; and what it takes."""

import csv
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_new_process
from project.benchmarks.look.part import Options, Row
from project.data import CIFAR10, ImagesInMemory
from project.data.images import ImageSet

COPIES, SWAPPED = 200, 250
DATA_OPTIONS: list[str] = []  # of each command
SIDES, QUALITIES = (16, 20, 24, 28, 40, 48, 64), (20, 90)  # of resized copies in pixels, and of JPEG files
FILTERS = (Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
KINDS = (("resized",), ("compressed",), ("mirrored",), ("resized", "compressed"), ("resized", "compressed", "mirrored"))


class PlantedCopies(CIFAR10):
    """CIFAR-10 in which changed copies of test images take the place of some training images."""

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        training, test = super().load()
        pixels, labels = training.pixels.clone(), training.labels.clone()
        for place, (source, copy) in zip(_draw(len(training), COPIES), planted_copies(test), strict=True):
            pixels[place], labels[place] = copy, test.labels[source]
        return ImagesInMemory(pixels, labels), test


class SwappedLabels(CIFAR10):
    """CIFAR-10 in which some validation images have a wrong label."""

    def split(self, images: ImageSet) -> tuple[ImageSet, ImageSet]:
        training, validation = super().split(images)
        labels, places = validation.labels.clone(), _draw(len(validation), SWAPPED)
        others = torch.from_numpy(np.random.default_rng(2).integers(1, self.num_classes, SWAPPED))
        labels[places] = (labels[places] + others) % self.num_classes
        return training, validation.with_labels(labels)


def planted_copies(test: ImagesInMemory) -> list[tuple[int, Tensor]]:
    """The places of test images, each with a changed copy [H, W, C] of the image."""
    random, copies = np.random.default_rng(1), []
    for number, source in enumerate(_draw(len(test), COPIES)):
        image = Image.fromarray(test.pixels[source].numpy())
        for change in KINDS[number % len(KINDS)]:
            image = _change(image, change, random)
        copies.append((source, torch.from_numpy(np.array(image))))
    return copies


def rows(options: Options) -> list[Row]:
    """Figures of the three measurements."""
    with tempfile.TemporaryDirectory() as root:
        return [*_costs(options, root), *_copies(options, root), *_labels(options, root)]


def _costs(options: Options, root: str) -> list[Row]:
    words = ["inspect", "--data", "CIFAR10", "--data.data_dir", options.data_dir, *DATA_OPTIONS, "--output"]
    measured = [fit_in_new_process([*words, f"{root}/costs{turn}"]) for turn in range(options.turns)]
    total, seen = CIFAR10.training_images, measured[0]["test_images_seen_before"]
    return [
        ("seconds of main.py inspect of CIFAR-10", max(run["process_seconds"] for run in measured), "under 60"),
        ("its peak memory in GiB", max(run["peak_gib"] for run in measured), "under 2"),
        ("percent of test images with a duplicate in training", 100 * seen / (measured[0]["images"] - total), ""),
    ]


def _copies(options: Options, root: str) -> list[Row]:
    words = ["inspect", "--data", f"{__name__}.PlantedCopies", "--data.data_dir", options.data_dir, *DATA_OPTIONS]
    images = fit_in_new_process([*words, "--output", f"{root}/copies"])["images"]
    reported = [row for row in _findings(f"{root}/copies") if row["group"]]
    groups = {(row[part], row[image]): row["group"] for row in reported for part, image in COLUMNS}
    planted = _places_of_copies(options.data_dir)
    found = sum(groups.get(copy, "") == groups.get(source, "none") for copy, source in planted)
    copies = {copy for copy, _ in planted}
    beside = [row for row in reported if not copies & {(row[part], row[image]) for part, image in COLUMNS}]
    ten_thousands = images * (images - 1) / 2 / 10_000
    differing = sum(row["note"] == "different labels" for row in beside)
    return [
        (f"planted near duplicates found, of {len(planted)}", found, "at least 190"),
        ("other pairs found, in 10,000 pairs of images", len(beside) / ten_thousands, ""),
        ("those of them with different labels, in 10,000 pairs of images", differing / ten_thousands, ""),
    ]


def _labels(options: Options, root: str) -> list[Row]:
    words = ["--data", f"{__name__}.SwappedLabels", "--data.data_dir", options.data_dir]
    words += [*DATA_OPTIONS, *options.fit_options, "--trainer.default_root_dir", root]
    run = fit_in_new_process(fit_arguments([CONFIGS / "convnet.yaml"], words))["run"]
    fit_in_new_process(["inspect", "--ckpt_path", run, "--output", f"{root}/labels"])
    suspects = [row for row in _findings(f"{root}/labels") if row["finding"] == "contradicted label"]
    first = [int(row["image"]) for row in suspects if row["part"] == "validation"][:SWAPPED]
    validation = _data(SwappedLabels, options.data_dir).val
    swapped = set(_draw(len(validation), SWAPPED))
    found = len(swapped & set(first))
    return [(f"swapped labels found among the first {SWAPPED} suspects of validation", found, "at least 150")]


COLUMNS = (("part", "image"), ("other_part", "other_image"))


def _findings(directory: str) -> list[dict[str, str]]:
    with Path(directory, "findings.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _places_of_copies(data_dir: str) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """The part and the place of each copy and of its original, as findings.csv has them."""
    data = _data(PlantedCopies, data_dir)
    assert isinstance(data.test, ImagesInMemory)
    copies = {copy.numpy().tobytes(): source for source, copy in planted_copies(data.test)}
    places = []
    for part, images in (("training", data.train), ("validation", data.val)):
        assert isinstance(images, ImagesInMemory)
        for place, pixels in enumerate(images.pixels.numpy()):
            if (source := copies.get(pixels.tobytes())) is not None:
                places.append(((part, str(place)), ("test", str(source))))
    return places


def _data(kind: type[CIFAR10], data_dir: str) -> CIFAR10:
    data = kind(data_dir=data_dir, batch_size=1)
    data.setup("test")
    return data


def _draw(count: int, number: int) -> list[int]:
    """Some of `count` places; the same each time."""
    drawn: list[int] = np.random.default_rng(0).choice(count, number, replace=False).tolist()
    return drawn


def _change(image: Image.Image, change: str, random: np.random.Generator) -> Image.Image:
    if change == "mirrored":
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if change == "resized":
        side, size = int(random.choice(SIDES)), image.size
        return image.resize((side, side), FILTERS[random.integers(len(FILTERS))]).resize(size, FILTERS[1])
    buffer = BytesIO()
    image.save(buffer, "jpeg", quality=int(random.integers(*QUALITIES)))
    return Image.open(buffer).convert("RGB")
