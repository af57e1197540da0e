"""How similar two images are, so that resized, compressed, mirrored, moved and zoomed copies are found among millions.

An image becomes a thumbnail of 16x16 pixels, and this a descriptor: its share in the strongest patterns of the data
set, each divided by how much images usually differ in it (whitening: Jegou and Chum, "Negative evidences and
co-occurences in image retrieval", ECCV 2012). Without that division, all pictures of an object below a bright sky would
be similar. The similarity of two images is the cosine of their descriptors.

Half of the patterns are symmetric, and the others change their sign in a mirror. So the cosine e with the symmetric
ones and o with the others give both similarities: e + o, and e - o for the mirror image.

Pairs are found in three steps: all pairs by 64 patterns, without alignment; the candidates by the best of 27
alignments; then their centers by 128 patterns, since a frame or the sky around an object is no reason to call two
images equal.

Shape letters: M images of a set, N of a batch, P pairs, C channels, S = 16 rows and columns, D patterns.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor, nn

# Least similarity of two images that are reported: the mean of that of the whole images and that of their centers.
# Measured on CIFAR-10 with 200 planted copies (project.benchmarks.look.inspect). Of 1.8e9 pairs of its images, 3,505
# are above it; 0.4 % of these have different labels. 243 of the 279 near duplicates between training and test images
# that Barz and Denzler confirmed by eye ("Do we train on test data?", 2020) are among them. At 0.80: 251, and 0.8 %.
THRESHOLD = 0.82
CANDIDATE, ALIGNED = 0.55, 0.7  # of whole images, before and after alignment; pairs below are not looked at again
PATTERNS, CENTRE_PATTERNS = 64, 128
SIDE = 16
SAMPLE = 10_000  # images from which the patterns are found
PRIOR_IMAGES = 300  # as many images the usual patterns of photographs count
COLOUR = 0.1  # how much photographs differ in color, compared with brightness
BLANK = 2.0  # an image with less contrast has almost one colour; a cosine would compare its noise
ZOOMS, SHIFTS = (0.87, 1.0, 1.15), (-0.125, 0.0, 0.125)  # of the alignment; shifts as fractions of half a side
CENTRE = 0.65  # side of the center, as a fraction
BLOCK = 1024  # images that are compared with as many others at once, in the cache of a core
PER_IMAGE = 16  # most candidates of an image in a block; more are alike only where whole groups of images are
BATCH = 4096  # images or pairs that are described at once


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs of similar images.

    images: [P, 2] int64, the places of the two images; the first is smaller.
    similarity: [P], from THRESHOLD to 1.
    mirrored: [P] bool, whether the one is similar to the mirror image of the other.
    """

    images: Tensor
    similarity: Tensor
    mirrored: Tensor

    def __getitem__(self, indices: Tensor) -> "SimilarPairs":
        return SimilarPairs(self.images[indices], self.similarity[indices], self.mirrored[indices])


def thumbnails(pixels: Tensor) -> Tensor:
    """Pixels [N, H, W, C] uint8 as means of areas [N, C, S, S] uint8."""
    pooled = nn.functional.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float(), SIDE)
    return pooled.round().to(torch.uint8)


def contrast(small: Tensor) -> Tensor:
    """[M], the standard deviation of thumbnails [M, C, S, S] uint8, from 0 to 255; that of each channel by itself."""
    return torch.cat([255 * _centred(part).std(1) for part in torch.split(small, BATCH)])


def similar_pairs(small: Tensor) -> SimilarPairs:
    """Find the pairs of similar images among thumbnails [M, C, S, S] uint8. None of them is blank."""
    patterns = _find_patterns(small[:: math.ceil(len(small) / SAMPLE) or 1])
    whole, centre = Descriptors(patterns, PATTERNS), Descriptors(patterns, CENTRE_PATTERNS)
    described = [torch.cat(parts) for parts in zip(*map(whole, torch.split(small, BATCH)), strict=True)]
    candidates = torch.cat([torch.empty(0, 2, dtype=torch.long), *_candidates(*described)])
    candidates = candidates[candidates[:, 1].argsort(stable=True)]  # so that a batch has few different images
    alignments = list(product(ZOOMS, SHIFTS, SHIFTS))
    pairs = _aligned(whole, small, candidates, (1, 0, 0), alignments)
    pairs = pairs[pairs.similarity >= ALIGNED]
    inner = [(CENTRE * zoom, down, right) for zoom, down, right in alignments]
    centres = _aligned(centre, small, pairs.images, (CENTRE, 0, 0), inner)
    pairs = replace(pairs, similarity=(pairs.similarity + centres.similarity) / 2)
    return pairs[pairs.similarity >= THRESHOLD]


def _candidates(symmetric: Tensor, other: Tensor) -> Iterator[Tensor]:
    """Pairs [P, 2] of images that are worth an alignment, by blocks of all pairs of descriptors."""
    starts = range(0, len(symmetric), BLOCK)
    for row, column in ((row, column) for row in starts for column in starts if row <= column):
        rows, columns = slice(row, row + BLOCK), slice(column, column + BLOCK)
        similarity = symmetric[rows] @ symmetric[columns].T
        similarity += (other[rows] @ other[columns].T).abs_()
        if row == column:
            similarity.triu_(1)  # each pair once
        alike = (similarity.amax(1) > CANDIDATE).nonzero()[:, 0]
        if len(alike):
            best = similarity[alike].topk(min(PER_IMAGE, similarity.shape[1]))
            place, rank = (best.values > CANDIDATE).nonzero(as_tuple=True)
            yield torch.stack([row + alike[place], column + best.indices[place, rank]], 1)


View = tuple[float, float, float]
"""The zoom (below 1 for a part of the image), and the shift down and to the right as fractions of half a side."""


def _aligned(
    descriptors: "Descriptors", small: Tensor, pairs: Tensor, reference: View, views: Sequence[View]
) -> SimilarPairs:
    """The largest similarity of the `reference` view of the first image of each pair to the views of the second."""
    projection, *projections = (descriptors.projection(view) for view in (reference, *views))
    similarity, mirrored = torch.full((len(pairs),), -1.0), torch.zeros(len(pairs), dtype=torch.bool)
    for batch in torch.split(torch.arange(len(pairs)), BATCH):
        first, left = torch.unique(pairs[batch, 0], return_inverse=True)
        second, right = torch.unique(pairs[batch, 1], return_inverse=True)
        symmetric, other = (part[left] for part in descriptors(small[first], projection))
        for candidate in projections:
            others = (part[right] for part in descriptors(small[second], candidate))
            even, odd = ((one * two).sum(1) for one, two in zip((symmetric, other), others, strict=True))
            better = even + odd.abs() > similarity[batch]
            similarity[batch] = torch.where(better, even + odd.abs(), similarity[batch])
            mirrored[batch] = torch.where(better, odd < 0, mirrored[batch])
    return SimilarPairs(pairs, similarity.clamp(max=1.0), mirrored)


Patterns = list[tuple[Tensor, Tensor]]
"""Variances [D], from the largest on, and patterns [C * S * S, D]: of the symmetric ones, and of the others."""


class Descriptors:
    """Makes descriptors of thumbnails."""

    def __init__(self, patterns: Patterns, count: int) -> None:
        """Take the `count` strongest patterns."""
        weakest = torch.cat([variances for variances, _ in patterns]).sort(descending=True).values[count - 1]
        chosen = [
            vectors[:, variances >= weakest] / variances[variances >= weakest].sqrt() for variances, vectors in patterns
        ]
        self.sizes = [part.shape[1] for part in chosen]
        self.patterns = torch.cat(chosen, 1).float()
        self.whole = self.projection((1, 0, 0))

    def projection(self, view: View) -> Tensor:
        """The matrix [C * S * S, D] from thumbnails to the shares of the patterns in a view of them."""
        by_channel = self.patterns.view(-1, SIDE**2, sum(self.sizes))
        return (_warp(*view) @ (by_channel - by_channel.mean(1, keepdim=True))).flatten(0, 1)

    def __call__(self, small: Tensor, projection: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The two parts of the descriptors of thumbnails [N, C, S, S]; together they have the length 1.

        Args:
            small: uint8.
            projection: Of a view; None for that of the whole image.
        """
        shares = small.flatten(1).float() @ (self.whole if projection is None else projection)
        symmetric, other = torch.split(nn.functional.normalize(shares), self.sizes, 1)
        return symmetric, other


def _centred(small: Tensor) -> Tensor:
    """Thumbnails [N, C, S, S] uint8 as rows [N, C * S * S] from -1 to 1; the mean of each channel is 0."""
    images = small.flatten(2).float() / 255
    return (images - images.mean(2, keepdim=True)).flatten(1)


def _find_patterns(sample: Tensor) -> Patterns:
    """The patterns of thumbnails [N, C, S, S] uint8, mirrored ones as often as others."""
    channels = sample.shape[1]
    covariance = _covariance(sample, channels)
    mirror = torch.arange(channels * SIDE**2).view(channels, SIDE, SIDE).flip(2).flatten()
    covariance = (covariance + covariance[mirror][:, mirror]) / 2
    unit = torch.eye(len(covariance), dtype=torch.double)
    halves = (unit + unit[mirror]) / 2, (unit - unit[mirror]) / 2
    found = (torch.linalg.eigh(half @ covariance @ half) for half in halves)
    return [(variances.flip(0), vectors.flip(1)) for variances, vectors in found]


def _covariance(sample: Tensor, channels: int) -> Tensor:
    """The covariance [C * S * S, C * S * S] of images of equal contrast; of few images mostly that of photographs."""
    images = _centred(sample)
    images /= images.square().mean(1, keepdim=True).sqrt().clamp_min(1e-3)
    measured, usual = (images.T @ images).double(), _usual_covariance(channels)
    measured /= measured.trace().clamp_min(1e-9)
    share = PRIOR_IMAGES / (PRIOR_IMAGES + len(sample))
    return share * usual / usual.trace() + (1 - share) * measured


def _usual_covariance(channels: int) -> Tensor:
    """That of photographs: the variance of a wave falls with the square of its frequency (Field, JOSA A 4, 1987)."""
    frequency, place = torch.arange(SIDE)[:, None].double(), torch.arange(SIDE).double()
    waves = torch.cos(math.pi * (place + 0.5) * frequency / SIDE) * (2 / SIDE) ** 0.5
    waves[0] /= 2**0.5
    both = torch.kron(waves, waves)
    squared = (frequency.square() + frequency.T.square()).flatten()
    variance = torch.where(squared > 0, 1 / squared.clamp_min(1), 0.0)
    brightness = torch.full((channels, channels), 1 / channels, dtype=torch.double)
    colour = brightness + COLOUR * (torch.eye(channels) - brightness)
    return torch.kron(colour, both.T @ (variance[:, None] * both))


def _warp(zoom: float, down: float, right: float) -> Tensor:
    """The matrix [S * S, S * S] that moves and zooms rows of S * S pixels and repeats the border."""
    pixels = torch.eye(SIDE**2).view(-1, 1, SIDE, SIDE)
    transform = torch.tensor([[zoom, 0.0, right], [0.0, zoom, down]]).expand(len(pixels), 2, 3)
    places = nn.functional.affine_grid(transform, list(pixels.shape), align_corners=False)
    return nn.functional.grid_sample(pixels, places, padding_mode="border", align_corners=False).view(-1, SIDE**2)
