"""Pairs become groups, and of many equal images few pairs stay."""

from itertools import combinations

import torch

from project.data.images import ImagesInMemory
from project.inspection.groups import FILE, NEAR, PIXELS, Pair, group, most_telling
from project.inspection.images import Images


def test_pairs_that_connect_a_group() -> None:
    pairs = [Pair(0, 5, 0.9, NEAR), Pair(5, 7, 0.95, NEAR), Pair(0, 7, 0.99, NEAR), Pair(2, 3, 0.85, NEAR)]
    first, second = group(pairs)
    assert (first.images, second.images) == ((0, 5, 7), (2, 3))
    assert [(pair.first, pair.second) for pair in first.pairs] == [(0, 7), (5, 7)]
    assert second.pairs == (Pair(2, 3, 0.85, NEAR),)


def test_a_hundred_equal_images() -> None:
    (found,) = group(Pair(first, second, 1.0, PIXELS) for first, second in combinations(range(100), 2))
    assert found.images == tuple(range(100))
    assert len(found.pairs) == 99


def test_the_most_telling_pair_of_a_group() -> None:
    """Different labels tell most, then the same file or pixels, then different parts."""
    labels = torch.tensor([0, 0, 1, 1, 0, 1])
    empty = ImagesInMemory(torch.zeros(0, 2, 2, 1, dtype=torch.uint8), labels[:0])
    training, test = (ImagesInMemory(torch.zeros(3, 2, 2, 1, dtype=torch.uint8), part) for part in labels.split(3))
    images = Images(["cat", "dog"], (training, empty, test))
    near = [Pair(0, 3, 1.0, NEAR), Pair(0, 4, 1.0, NEAR)]  # in two parts
    pairs = [Pair(1, 2, 1.0, PIXELS), Pair(0, 1, 1.0, PIXELS), Pair(0, 2, 1.0, PIXELS), Pair(1, 2, 1.0, FILE), *near]
    (found,) = group(pairs)
    assert found.pairs[0] == Pair(1, 2, 1.0, FILE)
    assert [pair for pair, _ in most_telling([found], images)] == [Pair(1, 2, 1.0, FILE)]
    other = group([Pair(4, 5, 0.9, NEAR)])[0]
    same = group([Pair(0, 1, 1.0, FILE)])[0]
    assert [each for _, each in most_telling([same, other, found], images)] == [found, other, same]


def test_no_pairs() -> None:
    assert group([]) == []
