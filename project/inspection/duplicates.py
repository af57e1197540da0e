"""Exact and near duplicates of a data set, within and across its parts."""

from collections.abc import Iterable, Iterator, Sequence

import torch

from project.data.image_files import ImageFiles
from project.inspection.groups import FILE, MIRRORED, NEAR, PIXELS, Group, Pair, group, most_telling
from project.inspection.images import Images
from project.inspection.scan import Scan
from project.inspection.similarity import BLANK, contrast, similar_pairs


def find_duplicates(images: Images, scanned: Scan) -> tuple[list[Group], dict[int, float]]:
    """The groups of images that show the same, the most telling one first, and the contrast of images of one colour.

    An image of almost one colour has no near duplicates.
    """
    contrasts = contrast(scanned.thumbnails)
    blank = contrasts < BLANK
    exact = list(_equal(scanned.digests, PIXELS))
    first_ones = torch.ones(len(images), dtype=torch.bool)
    first_ones[[pair.second for pair in exact]] = False  # its first image stands for a group of equal ones
    places = (first_ones & ~blank).nonzero()[:, 0]
    near = similar_pairs(scanned.thumbnails[places])
    rows = zip(*places[near.images].T.tolist(), near.similarity.tolist(), near.mirrored.tolist(), strict=True)
    found = [Pair(first, second, value, MIRRORED if mirrored else NEAR) for first, second, value, mirrored in rows]
    groups = group([*_equal(_file_digests(images), FILE), *exact, *found])
    contrast_of_blank = {place: contrasts[place].item() for place in blank.nonzero()[:, 0].tolist()}
    return [each for _, each in most_telling(groups, images)], contrast_of_blank


def _equal(digests: Iterable[object], kind: str) -> Iterator[Pair]:
    """Each image with the first one that has the same digest."""
    first: dict[object, int] = {}
    for place, digest in enumerate(digests):
        if first.setdefault(digest, place) != place:
            yield Pair(first[digest], place, 1.0, kind)


def _file_digests(images: Images) -> Sequence[object]:
    """A digest of the bytes of each file; none for images without files."""
    if not images.has_files:
        return ()
    return [digest for files in images.sets if isinstance(files, ImageFiles) for digest in files.digests.tolist()]
