"""Means with their intervals, differences in pairs, and McNemar's test."""

import math
from collections.abc import Sequence
from typing import NamedTuple

CONFIDENCE = 0.95


class Summary(NamedTuple):
    """The mean of n values."""

    mean: float
    n: int
    deviation: float | None = None
    """The standard deviation of a sample, with n - 1 in its denominator; None for one value, or one not finite."""
    half: float | None = None
    """Half the 95 % interval of the mean, by Student's t; None where the deviation is."""

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.half is None else (self.mean - self.half, self.mean + self.half)


def summarise(values: Sequence[float]) -> Summary:
    """The mean of at least one value, with deviation and 95 % interval if there are several, all of them finite.

    If one of them is not finite, the mean is not finite.
    """
    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)):
        return Summary(sum(map(float, values)) / n, n)
    largest = max(map(abs, values)) or 1.0  # the squares of very large or small numbers would not be finite, or 0
    scaled = [value / largest for value in values]
    mean = sum(scaled) / n
    deviation = math.sqrt(sum((value - mean) ** 2 for value in scaled) / (n - 1))
    return Summary(largest * mean, n, largest * deviation, largest * (_t_quantile(n - 1) * deviation / math.sqrt(n)))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test: how likely so uneven a split is if both are equally good.

    Args:
        only_first: Number of images that only the first one classifies correctly.
        only_second: The same of the second one.
    """
    if not (disagreements := only_first + only_second):
        return 1.0
    from scipy.special import bdtr  # scipy.stats takes a second to import

    return min(1.0, 2 * float(bdtr(min(only_first, only_second), disagreements, 0.5)))


def _t_quantile(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
