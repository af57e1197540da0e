"""Pairs become groups, and of many equal images few pairs stay."""

from itertools import combinations

from project.inspection.groups import NEAR, PIXELS, Pair, group


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


def test_no_pairs() -> None:
    assert group([]) == []
