"""Views of images against NumPy's own reflection."""

import numpy as np
import pytest
import torch

from project.data.augmentation import Augmentation, Views


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.arange(3 * 6 * 5 * 2, dtype=torch.uint8).view(3, 6, 5, 2)


def views(mirrored: int, down: int, right: int, row: int = 0, column: int = 0, cutout: int = 0) -> Views:
    """The same view of each of three images."""
    places = (torch.full((3,), place) for place in (down, right, row, column))
    return Views(torch.full((3,), bool(mirrored)), *places, Augmentation("random", shift=4, cutout=cutout))


@pytest.mark.parametrize("mirrored", [0, 1])
@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (-2, 1), (4, -4), (-4, 3)])
def test_move(pixels: torch.Tensor, mirrored: int, down: int, right: int) -> None:
    padded = np.pad(pixels.numpy(), ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    if mirrored:
        padded, right_in_mirror = padded[:, :, ::-1], -right
    else:
        right_in_mirror = right
    expected = padded[:, 4 + down : 10 + down, 4 + right_in_mirror : 9 + right_in_mirror]
    indices = torch.tensor([2, 0])
    moved = views(mirrored, down, right)[indices].move(pixels[indices])
    assert np.array_equal(moved.numpy(), expected[[2, 0]])


def test_cut_out() -> None:
    images = torch.ones(3, 6, 5, 2)
    cut = views(0, 0, 0, row=1, column=4, cutout=4).cut_out(images)
    expected = torch.ones(3, 6, 5, 2)
    expected[:, 0:3, 2:5] = 0  # rows -1 to 2 and columns 2 to 5, as far as there are any
    assert torch.equal(cut, expected)


def test_no_augmentation_only_normalises(pixels: torch.Tensor) -> None:
    images = Augmentation().draw(pixels.shape, seed=0, epoch=0).augment(pixels, lambda batch: batch / 255)
    assert torch.equal(images, pixels.permute(0, 3, 1, 2) / 255)


def test_one_call_augments_a_batch() -> None:
    """A mirrored image moves first; its cut-out square is 0 after normalisation, and then the image shrinks."""
    pixels = torch.full((3, 8, 8, 2), 200, dtype=torch.uint8)
    pixels[:, :, 7] = 100
    whole = Augmentation("random", cutout=4, curriculum={4: 0.5})
    drawn = Views(*(torch.tensor([value]) for value in (True, 0, 0, 2, 6)), whole)
    for progress, side in ((0.4, 4), (0.5, 8)):
        images = drawn[torch.tensor([0, 0])].augment(pixels[:2], lambda batch: batch.float() - 50)
        images = whole.shrink(images, progress)
        assert images.shape == (2, 2, side, side)
    expected = torch.full((8, 8), 150.0)
    expected[:, 0] = 50
    expected[0:4, 4:8] = 0
    assert torch.equal(images, expected.expand(2, 2, 8, 8))


def test_draws_are_uniform() -> None:
    many = torch.zeros(9000, 32, 32, 1, dtype=torch.uint8)
    drawn = Augmentation("random", shift=4, cutout=8).draw(many.shape, seed=0, epoch=0)
    assert drawn.mirrored.float().mean().item() == pytest.approx(0.5, abs=0.02)
    for shift in (drawn.down, drawn.right):
        counts = torch.bincount(shift + 4, minlength=9)
        assert counts.tolist() == pytest.approx([1000] * 9, abs=150)
    assert (drawn.centre_row.min(), drawn.centre_row.max()) == (0, 31)
    assert not torch.equal(drawn.down, drawn.right)


def test_alternating_flip() -> None:
    many = torch.zeros(9000, 8, 8, 1, dtype=torch.uint8)
    first, second, third = (Augmentation("alternating").draw(many.shape, 0, epoch).mirrored for epoch in range(3))
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(second, ~first)
    assert torch.equal(third, first)
    assert not torch.equal(Augmentation("alternating").draw(many.shape, 1, 0).mirrored, first)


@pytest.mark.parametrize(("progress", "side"), [(0.0, 4), (0.39, 4), (0.4, 6), (0.69, 6), (0.7, 8), (0.99, 8)])
def test_curriculum(progress: float, side: int) -> None:
    images = torch.arange(64.0).view(1, 1, 8, 8).expand(2, 3, 8, 8)
    small = Augmentation(curriculum={6: 0.7, 4: 0.4}).shrink(images, progress)
    assert small.shape == (2, 3, side, side)
    assert small.mean().item() == pytest.approx(31.5)
    assert (small.diff(dim=3) > 0).all()
