"""Copies are found however they were changed; other images, and images of one colour, are not called equal."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from project.inspection.similarity import BLANK, contrast, similar_pairs, thumbnails

COUNT = 400


def photographs(count: int, channels: int = 3, side: int = 32) -> list[Image.Image]:
    """Images of soft shapes of several sizes, of which no two are alike."""
    random = np.random.default_rng(channels)
    found = []
    for _ in range(count):
        layers = [random.normal(0, 30 * cells**-0.7, (cells, cells, channels)) for cells in (2, 3, 5, 9, 16)]
        enlarged = [torch.from_numpy(layer).permute(2, 0, 1)[None] for layer in layers]
        size = (side, side)
        sums = sum(torch.nn.functional.interpolate(layer, size, mode="bicubic") for layer in enlarged)
        assert isinstance(sums, torch.Tensor)
        pixels = (128 + 3 * sums[0].permute(1, 2, 0)).clamp(0, 255).byte().numpy()
        found.append(Image.fromarray(pixels[..., 0] if channels == 1 else pixels))
    return found


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((18, 18), Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.BILINEAR)


def compressed(image: Image.Image) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "jpeg", quality=30)
    return Image.open(buffer)


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def moved(image: Image.Image) -> Image.Image:
    return image.crop((2, 1, 32, 31)).resize(image.size, Image.Resampling.BILINEAR)


def darker(image: Image.Image) -> Image.Image:
    return image.point(lambda value: int(0.6 * value + 10))


@pytest.mark.parametrize("channels", [1, 3])
def test_changed_copies(channels: int) -> None:
    originals = photographs(COUNT, channels)
    changes = [smaller, compressed, mirrored, moved, darker, lambda image: compressed(mirrored(smaller(image)))]
    copies = [change(originals[10 * place + number]) for place, change in enumerate(changes) for number in range(10)]
    pixels = torch.stack([torch.from_numpy(np.array(image)).view(32, 32, channels) for image in (*originals, *copies)])
    found = similar_pairs(thumbnails(pixels))
    expected = [(place, COUNT + place) for place in range(60)]
    assert sorted(map(tuple, found.images.tolist())) == expected
    is_mirrored = dict(zip(map(tuple, found.images.tolist()), found.mirrored.tolist(), strict=True))
    assert [is_mirrored[pair] for pair in expected] == [place // 10 in (2, 5) for place in range(60)]
    assert found.similarity.max() <= 1


def test_few_images() -> None:
    """Two images, a copy and its original, are enough; none, and one, have no pairs."""
    original = photographs(1, channels=1)[0]
    pixels = [torch.from_numpy(np.array(image))[..., None] for image in (original, moved(original))]
    small = thumbnails(torch.stack(pixels))
    assert similar_pairs(small).images.tolist() == [[0, 1]]
    assert len(similar_pairs(small[:1]).images) == 0
    assert len(similar_pairs(small[:0]).images) == 0


def test_images_of_one_colour() -> None:
    noise = np.random.default_rng(0).integers(-2, 3, (32, 32, 3))
    grey = torch.from_numpy((100 + noise).astype(np.uint8))
    photograph = torch.from_numpy(np.array(photographs(1)[0]))
    pixels = torch.stack([torch.zeros_like(grey), grey, photograph])
    small = thumbnails(pixels)
    centred = small.double() - small.double().mean((2, 3), keepdim=True)
    np.testing.assert_allclose(contrast(small), centred.numpy().reshape(3, -1).std(1, ddof=1), rtol=1e-5)
    assert (contrast(small) < BLANK).tolist() == [True, True, False]
