"""The division of a set into training, validation and test images, and their numbers by class."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

# The same for every --seed_everything, so that a checkpoint is never validated on images that it was trained on.
SPLIT_SEED = 0
LISTED_CLASSES = 5  # that a line names


def split_by_class(labels: Tensor, size: int | None = None) -> tuple[Tensor, Tensor]:
    """Split off a part of a set in proportion by class; a permutation with a fixed seed selects the images.

    Each class of two or more images is in both parts, if `size` allows it. The image of a class of one stays.

    Args:
        labels: [M] int64.
        size: Number of images to split off, below M. None takes a tenth, rounded down, but enough for one image of each
            class of two or more.

    Returns:
        The indices of the images that stay, and of those that are split off, both in the order of the permutation.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    labels = labels[order]
    counts = labels.bincount()
    by_class = labels.argsort(stable=True)
    places = torch.empty_like(labels)  # of each image among those of its class
    places[by_class] = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[by_class]]
    counts = counts[labels]
    ranks = (places + 0.5).double() / counts
    ranks[(places == 0) & (counts > 1)] -= 1  # the first image of a class is split off before all others,
    ranks[places == counts - 1] += 1  # and its last image after all others
    if size is None:
        size = max(len(labels) // 10, int((labels.bincount() > 1).sum()))
    is_split_off = ranks.argsort(stable=True).argsort() < size
    return order[~is_split_off], order[is_split_off]


def first_of_each_class(labels: Tensor, count: int) -> Tensor:
    """The indices of the first `count` images of each class, in their order; of all images of a smaller class.

    Args:
        labels: [M] int64.
        count: At least 1.
    """
    first = [torch.nonzero(labels == label)[:count, 0] for label in range(int(labels.max()) + 1)]
    return torch.cat(first).sort().values


def division_line(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> str:
    """The number of images of each part, and by class, in one line.

    Args:
        counts: Number of images of each class in each part.
        class_names: Names of the classes, in the same order.
    """
    return "; ".join(f"{part} {_part(numbers, class_names)}" for part, numbers in counts.items())


def _part(numbers: Sequence[int], class_names: Sequence[str]) -> str:
    total, low, high = sum(numbers), min(numbers), max(numbers)
    if not total:
        return "no images"
    by_class = [f"{name}: {number:,}" for name, number in zip(class_names, numbers, strict=True)]
    if low == high:
        by_class = [f"{low:,} of each class"]
    elif len(by_class) > LISTED_CLASSES:
        extremes = (f"{number:,} of class {class_names[numbers.index(number)]}" for number in (low, high))
        by_class = [" to ".join(extremes)]
    return f"{total:,} images ({', '.join(by_class)})"


def missing_line(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> str:
    """A line about the classes that are not in every part that has images; empty if there are none."""
    parts = {part: numbers for part, numbers in counts.items() if any(numbers)}
    problems = []
    for label, name in enumerate(class_names):
        if without := [part for part, numbers in parts.items() if not numbers[label]]:
            total = sum(numbers[label] for numbers in counts.values())
            images = f"{total:,} image{'s' * (total != 1)}"
            problems.append(f"{name} has {images}, none of them for {' and '.join(without)}")
    more = len(problems) - LISTED_CLASSES
    problems[LISTED_CLASSES:] = [f"and {more:,} more classes"] if more > 0 else []
    return f"classes that are not in every part: {'; '.join(problems)}" if problems else ""
