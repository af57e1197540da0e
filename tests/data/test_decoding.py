"""Image files of every mode and format as pixels of one size."""

import multiprocessing
import sys
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from project.data.decoding import Preparation, decode, read_in_workers


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def colour(mode: str, value: Any) -> bytes:
    return encoded(Image.new(mode, (30, 20), value), "tiff" if mode == "CMYK" else "png")


RED_PALETTE = Image.new("RGB", (30, 20), "red").convert("P")
MODES = [
    (colour("RGB", (10, 20, 30)), (10, 20, 30)),
    (colour("L", 77), (77, 77, 77)),
    (colour("1", 1), (255, 255, 255)),
    (colour("I;16", 40 * 256 + 200), (40, 40, 40)),
    (colour("RGBA", (10, 20, 30, 255)), (10, 20, 30)),
    (colour("RGBA", (10, 20, 30, 0)), (255, 255, 255)),
    (colour("LA", (9, 0)), (255, 255, 255)),
    (colour("CMYK", (0, 255, 255, 0)), (255, 0, 0)),
    (encoded(RED_PALETTE), (255, 0, 0)),
    (encoded(RED_PALETTE, "gif"), (255, 0, 0)),
]


@pytest.mark.parametrize(("content", "expected"), MODES)
def test_modes(content: bytes, expected: tuple[int, int, int]) -> None:
    pixels = decode(content, Preparation((8, 8)))
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), torch.uint8)
    assert (pixels == torch.tensor(expected)).all()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_range_that_is_not_known(mode: str) -> None:
    with pytest.raises(ValueError, match=r"its pixels are .* whose range is not known"):
        decode(encoded(Image.new(mode, (30, 20), 70_000), "tiff"), Preparation((8, 8)))


def test_the_longer_side_is_cut_at_both_ends() -> None:
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, 20:40] = 200
    for pixels in (stripes, stripes.transpose(1, 0, 2)):
        assert (decode(encoded(Image.fromarray(pixels)), Preparation((10, 10)))[1:-1, 1:-1] == 200).all()


def test_an_image_is_made_smaller_by_the_mean_of_its_pixels() -> None:
    squares = np.arange(40)[:, None] + np.arange(40)
    assert (
        decode(encoded(Image.fromarray((squares % 2 * 255).astype(np.uint8))), Preparation((20, 20)))[1:-1, 1:-1] - 127
    ).abs().max() < 5


def test_a_large_jpeg_keeps_what_its_size_can_show() -> None:
    """It is decoded at a part of its size, but not at less than is shown."""
    squares = np.random.default_rng(0).integers(0, 256, (64, 64, 1), np.uint8).repeat(3, 2).repeat(8, 0).repeat(8, 1)
    image = Image.fromarray(squares)
    shown = [decode(encoded(image, kind), Preparation((128, 128))).float() for kind in ("png", "jpeg")]
    assert (shown[0] - shown[1]).abs().mean() < 5


def test_a_photograph_is_turned_as_its_camera_says() -> None:
    halves = np.zeros((20, 20, 3), np.uint8)
    halves[:10] = 255  # bright above
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees clockwise
    pixels = decode(encoded(Image.fromarray(halves), exif=turned), Preparation((10, 10)))
    assert (pixels[:, 9].float().mean(), pixels[:, 0].float().mean()) == (255, 0)


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "gif", "bmp", "webp"])
def test_a_file_cut_short_is_damaged(kind: str) -> None:
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3)).astype(np.uint8)), kind)
    decode(whole, Preparation((8, 8)))
    for cut in (whole[: len(whole) // 2], b"", b"no picture"):
        with pytest.raises(ValueError, match=r".") as error:
            decode(cut, Preparation((8, 8)))
        assert "\n" not in str(error.value)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="floating-point"):
        decode(encoded(Image.new("F", (4, 4), 0.5), "tiff"), Preparation((8, 8)))


def test_an_image_covers_a_size_that_is_not_square() -> None:
    wide = np.zeros((20, 80, 3), np.uint8)
    wide[:, 20:40], wide[:, 40:60] = 100, 200  # the middle half, which stays
    pixels = decode(encoded(Image.fromarray(wide)), Preparation((10, 20)))
    assert pixels.shape == (10, 20, 3)
    assert (pixels[:, 1:9] == 100).all()
    assert (pixels[:, 11:19] == 200).all()


def test_fits() -> None:
    """Of a wide image whose left, middle and right thirds differ."""
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40], wide[:, 40:] = 100, 200
    cut, padded, squashed = (
        decode(encoded(Image.fromarray(wide)), Preparation((30, 30), fit))[..., 0] for fit in ("cut", "pad", "squash")
    )
    assert (cut[:, 2:-2] == 100).all()
    assert (padded[:10] == 128).all()
    assert (padded[20:] == 128).all()
    for pixels in (padded[10:20], squashed):
        assert [set(pixels[:, third : third + 6].flatten().tolist()) for third in (2, 12, 22)] == [{0}, {100}, {200}]
    turned = decode(encoded(Image.fromarray(wide.transpose(1, 0, 2))), Preparation((30, 30), "pad"))[..., 0]
    assert torch.equal(turned, padded.T)


def test_a_checkpoint_names_its_fit() -> None:
    data = {"image_shape": [3, 8, 6], "preparation": {"mode": "RGB", "size": [8, 6], "crop": "center"}}
    assert Preparation.of(data) == Preparation((8, 6), "cut")  # as older checkpoints are
    data["preparation"] = Preparation((8, 6), "squash").description()
    assert Preparation.of(data) == Preparation((8, 6), "squash")


class Squares(Dataset[int]):
    """At the top of a module, as workers that are spawned need it."""

    def __getitem__(self, index: int) -> int:
        return index**2


def test_workers_on_a_system_that_spawns_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS and Windows do, the second without SIGUSR1."""
    monkeypatch.setattr(sys, "platform", "darwin")
    started = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        assert list(read_in_workers(Squares(), [[0, 1], [2, 3], [4]], 1, list)) == [[0, 1], [4, 9], [16]]
    finally:
        multiprocessing.set_start_method(started, force=True)
