"""Duplicates as groups: images that show the same, and the pairs that hold a group together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from project.inspection.images import PARTS, Images

FILE, PIXELS, NEAR, MIRRORED = "same file", "same pixels", "near duplicate", "near duplicate, mirrored"
EXACT = (FILE, PIXELS)
RANKS = {FILE: 0, PIXELS: 1, NEAR: 2, MIRRORED: 2}  # what is more certain comes first


class Pair(NamedTuple):
    """Two images that show the same."""

    first: int
    """Its place among all images."""
    second: int
    """Larger than the first."""
    similarity: float
    """From -1 to 1; 1 for the same pixels."""
    kind: str
    """FILE, PIXELS, NEAR or MIRRORED."""


@dataclass(frozen=True)
class Group:
    """Images that show the same.

    images: Their places among all images, in order.
    pairs: One pair less than there are images: the most certain pairs that connect all of them.
    """

    images: tuple[int, ...]
    pairs: tuple[Pair, ...]

    def parts(self, images: Images) -> set[str]:
        """The names of the parts that the group is in."""
        return {images.part(image) for image in self.images}

    def labels(self, images: Images) -> set[int]:
        """The labels in the group."""
        return {int(images.labels[image]) for image in self.images}


def group(pairs: Iterable[Pair]) -> list[Group]:
    """Connect pairs to groups, by Kruskal's algorithm: of 1,000 equal images stay 999 pairs."""
    roots: dict[int, int] = {}

    def root(image: int) -> int:
        while (parent := roots.setdefault(image, image)) != image:
            roots[image] = image = roots[parent]
        return image

    kept = []
    for pair in sorted(pairs, key=lambda pair: (RANKS[pair.kind], -pair.similarity, pair.first, pair.second)):
        first, second = sorted((root(pair.first), root(pair.second)))
        if first != second:
            roots[second] = first
            kept.append(pair)
    members: dict[int, list[int]] = {}
    for image in sorted(roots):
        members.setdefault(root(image), []).append(image)
    edges: dict[int, list[Pair]] = {first: [] for first in members}
    for pair in kept:
        edges[root(pair.first)].append(pair)
    return [Group(tuple(members[first]), tuple(edges[first])) for first in members]


def most_telling(groups: Iterable[Group], images: Images) -> list[tuple[Pair, Group]]:
    """The groups, each with its most telling pair; the most telling ones come first.

    Different labels tell most, then the same file or pixels, different parts, and the similarity.
    """

    def order(pair: Pair) -> tuple[bool, int, bool, float]:
        crosses = images.part(pair.first) != images.part(pair.second)
        differs = images.class_name(pair.first) != images.class_name(pair.second)
        return not differs, RANKS[pair.kind], not crosses, -pair.similarity

    chosen = [(min(each.pairs, key=order), each) for each in groups]
    return sorted(chosen, key=lambda found: order(found[0]))


def seen_before(groups: Iterable[Group], images: Images, part: str) -> int:
    """Number of images of a part with a duplicate in the parts before it, such as test images that were trained on."""
    before = PARTS[: PARTS.index(part)]
    touching = [each for each in groups if each.parts(images) & set(before)]
    return sum(images.part(image) == part for each in touching for image in each.images)
