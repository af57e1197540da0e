"""Every image where it belongs: whatever the epoch, the place to begin with, and the number of processes."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
import torch

from project.data.augmentation import Augmentation, Views, mix_seed
from project.data.batches import Batch, EvaluationBatches, TrainingBatches
from project.data.images import ImagesInMemory
from project.data.normalisation import Normalisation

MEAN, STD = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
NORMALISE = Normalisation(MEAN, STD, torch.device("cpu"))
AUGMENTED = Augmentation("random", shift=2, cutout=3)


@pytest.fixture
def images() -> ImagesInMemory:
    """Each label is its image's place."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (47, 8, 8, 3), dtype=torch.uint8, generator=generator)
    return ImagesInMemory(pixels, torch.arange(47))


def training(
    images: ImagesInMemory, epoch: int = 0, first: int = 0, seed: int = 0, rank: int = 0, world_size: int = 1
) -> TrainingBatches:
    return TrainingBatches(
        images, NORMALISE, 5, AUGMENTED, seed, lambda: (epoch, first, 9 * epoch + first, 9), rank, world_size
    )


def labels(batches: Iterable[Batch]) -> list[int]:
    return [label for _, chosen in batches for label in chosen.tolist()]


def test_normalisation() -> None:
    pixels = torch.tensor([[[[255, 255, 255], [0, 51, 51]]]], dtype=torch.uint8)
    expected = torch.tensor([[[[1.0, 3.0, 1.0], [-1.0, -0.2, 0.2]]]])
    torch.testing.assert_close(NORMALISE(pixels), expected)


def test_shape_and_memory_format(images: ImagesInMemory) -> None:
    for batches in (training(images), EvaluationBatches(images, NORMALISE, 5)):
        pixels, chosen = next(iter(batches))
        assert pixels.shape == (5, 3, 8, 8)
        assert pixels.dtype == torch.float32
        assert pixels.is_contiguous(memory_format=torch.channels_last)
        assert chosen.dtype == torch.int64


def test_evaluation_is_exact_over_processes(images: ImagesInMemory) -> None:
    parts = [EvaluationBatches(images, NORMALISE, 5, rank, 3) for rank in range(3)]
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]
    assert sorted(label for part in parts for label in labels(part)) == list(range(47))
    pixels, chosen = next(iter(parts[1]))
    assert torch.equal(pixels, NORMALISE(images.pixels[chosen]).permute(0, 3, 1, 2))


def test_an_epoch_sees_no_image_twice(images: ImagesInMemory) -> None:
    seen = labels(training(images))
    assert len(seen) == len(set(seen)) == 45
    assert len(training(images)) == 9
    assert seen != sorted(seen)


def test_processes_share_an_epoch(images: ImagesInMemory) -> None:
    parts = [labels(training(images, rank=rank, world_size=2)) for rank in range(2)]
    assert [len(part) for part in parts] == [20, 20]
    assert len({*parts[0], *parts[1]}) == 40
    alone = TrainingBatches(images, NORMALISE, 10, AUGMENTED, 0, lambda: (0, 0, 0, 4))  # of the same images in a step
    for batch, chosen in enumerate(torch.split(torch.tensor(labels(alone)), 10)):
        assert chosen.tolist()[0::2] == parts[0][5 * batch : 5 * (batch + 1)]
        assert chosen.tolist()[1::2] == parts[1][5 * batch : 5 * (batch + 1)]


def test_processes_see_what_one_process_sees(images: ImagesInMemory) -> None:
    def views(batches: Iterable[Batch]) -> dict[int, torch.Tensor]:
        return {label: view for pixels, chosen in batches for label, view in zip(chosen.tolist(), pixels, strict=True)}

    alone, second = views(training(images)), views(training(images, rank=1, world_size=2))
    common = alone.keys() & second.keys()
    assert len(common) >= 18
    assert all(torch.equal(alone[label], second[label]) for label in common)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_several_batches_are_augmented_at_once(
    images: ImagesInMemory, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    expected, augmented, augment = list(training(images)), list[int](), Views.augment

    def seen(views: Views, pixels: torch.Tensor, normalise: Normalisation) -> torch.Tensor:
        augmented.append(len(pixels))
        return augment(views, pixels, normalise)

    monkeypatch.setattr(Views, "augment", seen)
    monkeypatch.setattr("project.data.batches.PIXELS_AT_ONCE", count * 5 * 8 * 8)
    for (pixels, _), (same_pixels, _) in zip(training(images), expected, strict=True):
        assert torch.equal(pixels, same_pixels)
    assert augmented == {1: [5] * 9, 2: [10] * 4 + [5], 9: [45]}[count]


@pytest.mark.parametrize("first", [1, 4, 8])
def test_beginning_in_the_middle_gives_the_same_batches(images: ImagesInMemory, first: int) -> None:
    whole, rest = list(training(images, epoch=3)), list(training(images, epoch=3, first=first))
    assert len(rest) == 9 - first
    for (pixels, chosen), (same_pixels, same_chosen) in zip(whole[first:], rest, strict=True):
        assert torch.equal(pixels, same_pixels)
        assert torch.equal(chosen, same_chosen)


def test_a_curriculum_counts_the_batches_of_the_whole_run(images: ImagesInMemory) -> None:
    def sides(epoch: int, first: int) -> list[int]:
        shrinking = Augmentation(curriculum={4: 0.25, 6: 0.75})
        batches = TrainingBatches(images, NORMALISE, 5, shrinking, 0, lambda: (epoch, first, 9 * epoch + first, 18))
        return [pixels.shape[-1] for pixels, _ in batches]

    assert [*sides(0, 0), *sides(1, 0)] == [4] * 5 + [6] * 9 + [8] * 4
    assert sides(1, 3) == [6, 6, 8, 8, 8, 8]


def test_the_next_epoch_is_drawn_before_the_last_batch_of_this_one(
    images: ImagesInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a GPU that still works has it when it is done. No epoch is drawn after the last one."""
    drawn: list[int] = []
    draw = Augmentation.draw

    def seen(self: Augmentation, shape: tuple[int, ...], seed: int, epoch: int) -> Views:
        drawn.append(epoch)
        return draw(self, shape, seed, epoch)

    expected = [labels(training(images, epoch)) for epoch in (3, 4)]
    monkeypatch.setattr(Augmentation, "draw", seen)
    epoch = 3
    batches = TrainingBatches(images, NORMALISE, 5, AUGMENTED, 0, lambda: (epoch, 0, 9 * epoch, 9 * 5))
    third = iter(batches)
    chosen = [next(third)[1] for _ in range(8)]
    assert drawn == [3]
    chosen.append(next(third)[1])
    assert drawn == [3, 4]
    epoch = 4
    assert [torch.cat(chosen).tolist(), labels(batches)] == expected
    assert drawn == [3, 4]


def test_epochs_and_seeds_differ(images: ImagesInMemory) -> None:
    orders = [labels(training(images, epoch, seed=seed)) for epoch, seed in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert all(one != other for one, other in pairwise(orders))
    assert labels(training(images, 1, seed=1)) == orders[-1]


def test_what_dropout_draws_belongs_to_the_batch(images: ImagesInMemory) -> None:
    def drawn(epoch: int, first: int = 0, seed: int = 0, rank: int = 0, world_size: int = 1) -> list[float]:
        return [torch.rand(()).item() for _ in training(images, epoch, first, seed, rank, world_size)]

    whole = drawn(0)
    torch.manual_seed(5)  # whatever was drawn before
    assert drawn(0) == whole
    assert drawn(0, first=1) == whole[1:]
    assert len({*whole, *drawn(1), *drawn(0, seed=1)}) == 3 * len(whole)
    ranks = [drawn(0, rank=rank, world_size=2) for rank in range(2)]
    assert len({*ranks[0], *ranks[1]}) == 2 * len(ranks[0])


def test_reading_an_epoch_draws_nothing(images: ImagesInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order and views come from generators of their own, so what reads them first does not matter."""
    monkeypatch.setattr("project.data.batches._seed_torch", lambda *_: None)
    before = torch.get_rng_state()
    list(TrainingBatches(images, NORMALISE, 5, Augmentation("random", 2, 4), 0, lambda: (0, 0, 0, 6)))
    assert torch.equal(torch.get_rng_state(), before)


def test_mix_seed() -> None:
    assert mix_seed(1, 2) == mix_seed(1, 2)
    assert len({mix_seed(seed, epoch) for seed in range(30) for epoch in range(30)}) == 900
