"""RandomResizedCrop that stands first takes its part from the file itself; evaluation shows the centre."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from project.data.decoding import FileCrop, Preparation, decode
from project.data.transforms import Transforms
from tests.data.test_decoding import encoded
from tests.data.test_image_folder import SIDE, data, ready
from tests.data_sets import write_image_folder

NOISE = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
PHOTOGRAPH = Image.fromarray(NOISE).resize((120, 90), Image.Resampling.BICUBIC)


@pytest.fixture
def folder() -> None:
    write_image_folder(Path("images"), count=20)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize(
    "options",
    [
        {"size": 24},
        {"size": (20, 31), "scale": (0.3, 0.4), "ratio": (0.2, 5.0), "interpolation": InterpolationMode.BICUBIC},
        {"size": 31, "antialias": False},
        {"size": 200, "scale": (1.0, 1.0), "ratio": (9.0, 9.0)},  # fits into no image, and is larger than this one
    ],
    ids=str,
)
def test_a_crop_is_torchvisions_of_the_whole_image(options: dict[str, Any], kind: str) -> None:
    theirs, content = v2.RandomResizedCrop(**options), encoded(PHOTOGRAPH, kind)
    image = v2.functional.pil_to_tensor(Image.open(BytesIO(content)))
    for seed in range(5):
        ours = decode(content, FileCrop(theirs, seed))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            expected = theirs(image)
        assert torch.equal(ours.permute(2, 0, 1), expected)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    large, crop = PHOTOGRAPH.resize((800, 600), Image.Resampling.BICUBIC), v2.RandomResizedCrop(16, (0.3, 1.0))
    contents = [encoded(large, kind, exif=exif) for kind in ("png", "jpeg")]
    sizes: list[tuple[int, int]] = []
    whole = Image.Image.crop
    monkeypatch.setattr(Image.Image, "crop", lambda image, box: sizes.append(image.size) or whole(image, box))
    for seed in range(2):
        exact, drafted = (decode(content, FileCrop(crop, seed)).float() for content in contents)
        assert (exact - drafted).abs().mean() < 6  # another part differs by about 50
    assert all(sizes[2 * seed][0] >= 4 * sizes[2 * seed + 1][0] for seed in range(2))


def test_a_damaged_jpeg_is_named_as_pillow_does() -> None:
    content = encoded(PHOTOGRAPH, "jpeg")
    with pytest.raises(ValueError, match="image file is truncated"):
        decode(content[: len(content) // 2], FileCrop(v2.RandomResizedCrop(24), 0))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_tiny_images(size: tuple[int, int]) -> None:
    content = encoded(Image.new("RGB", size, (9, 8, 7)))
    for seed in range(3):
        assert (decode(content, FileCrop(v2.RandomResizedCrop(5), seed)) == torch.tensor([9, 8, 7])).all()


@pytest.mark.usefixtures("folder")
def test_the_crops_belong_to_seed_epoch_and_image() -> None:
    crop = v2.RandomResizedCrop(24)
    transforms = Transforms([crop, v2.RandomHorizontalFlip(), v2.CenterCrop(SIDE)], (3, SIDE, SIDE), of_files=True)
    files, indices = ready(workers=2).train, torch.arange(8)

    def batches(workers: int, seed: int = 1, epoch: int = 3) -> list[torch.Tensor]:
        images: Any = ready(workers=workers).train
        return list(images.read_batches(indices, 4, transforms.draw(len(files), seed, epoch)))

    expected = batches(0)
    assert expected[0].shape == (4, SIDE, SIDE, 3)
    for workers in (1, 2):
        assert all(torch.equal(*pair) for pair in zip(batches(workers), expected, strict=True))
    assert not torch.equal(batches(0, epoch=4)[0], expected[0])
    assert not torch.equal(batches(0, seed=2)[0], expected[0])
    assert Transforms([crop, v2.CenterCrop(SIDE)], (3, SIDE, SIDE)).file_crop is None  # images in memory


@pytest.mark.usefixtures("folder")
def test_evaluation_shows_the_centre() -> None:
    module = ready(transforms=[v2.RandomResizedCrop(SIDE)])
    preparation = Preparation((SIDE, SIDE), crop_pct=0.875)
    assert module.description()["preparation"]["crop_pct"] == 0.875
    (pixels,) = module.val.read_batches(torch.arange(1), 1)
    assert torch.equal(pixels[0], decode(Path("images", module.val.names[0]).read_bytes(), preparation))  # type: ignore[attr-defined]
    for same in (ready(), ready(transforms=[v2.RandomResizedCrop(SIDE)], crop_pct=1.0)):
        assert "crop_pct" not in same.description()["preparation"]
        assert (same.mean, same.std) == (module.mean, module.std)
        assert same.fingerprint() != module.fingerprint()
    assert ready(crop_pct=0.875).fingerprint() == module.fingerprint()
    assert ready(fit="pad", transforms=[v2.RandomResizedCrop(SIDE)]).preparation == Preparation((SIDE, SIDE), "pad")
    for options, remedy in (({"crop_pct": 1.5}, "above 0 to 1"), ({"fit": "pad", "crop_pct": 0.5}, "with fit pad")):
        with pytest.raises(ValueError, match=f"--data.crop_pct .*{remedy}"):
            data(**options)


def test_the_centre_is_that_of_a_larger_resize() -> None:
    larger = v2.Resize(32)(PHOTOGRAPH)
    expected = np.asarray(v2.CenterCrop(28)(larger)).astype(float)
    ours = decode(encoded(PHOTOGRAPH), Preparation((28, 28), crop_pct=28 / 32)).numpy()
    assert np.abs(ours - expected).mean() < 4
