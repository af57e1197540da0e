"""Transforms of training images against torchvision's own, and the choices that belong to each image."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision import transforms as v1
from torchvision.transforms import v2

from project.cli.main import main
from project.data import Digits
from project.data.batch_transforms import BatchTransform, Crop, Erasing, Flip, batch_transform
from project.data.image_transforms import ImageTransform
from project.data.transforms import DrawnTransforms, Transforms
from project.system.errors import UserError
from tests.cli.test_errors import QUICK
from tests.data_sets import write_image_folder

COUNT, SIZE = 40, (9, 7)
GENERATOR = torch.Generator()


@pytest.fixture
def pixels() -> Tensor:
    return torch.randint(0, 256, (COUNT, *SIZE, 3), dtype=torch.uint8, generator=GENERATOR.manual_seed(0))


def drawn(transforms: list[Any], seed: int = 0, epoch: int = 0) -> DrawnTransforms:
    return Transforms(transforms, (3, *SIZE)).draw(COUNT, seed, epoch)


CROPS = [
    {"size": (9, 7), "padding": 3},
    {"size": (9, 7), "padding": (1, 2, 4, 3), "fill": (1, 20, 255)},
    {"size": (9, 7), "padding": 3, "padding_mode": "edge"},
    {"size": (9, 7), "padding": (2, 5), "padding_mode": "reflect"},
    {"size": (9, 7), "padding": 4, "padding_mode": "symmetric"},
    {"size": (11, 4), "pad_if_needed": True, "fill": 7},
    {"size": (5, 7)},
]


@pytest.mark.parametrize("options", CROPS, ids=str)
def test_crop_is_torchvisions(pixels: Tensor, options: dict[str, Any]) -> None:
    theirs = v2.RandomCrop(**options)
    ours = batch_transform(theirs, *SIZE)
    assert isinstance(ours, Crop)
    draws = ours.draw(COUNT, GENERATOR.manual_seed(1))
    images, cropped = pixels.permute(0, 3, 1, 2), ours.apply(pixels, draws).permute(0, 3, 1, 2)
    assert cropped.shape[2:] == ours.size
    fixed = theirs.make_params([images[0]])
    for place, (top, left) in enumerate(zip(draws["top"].tolist(), draws["left"].tolist(), strict=True)):
        expected = theirs.transform(images[place], {**fixed, "needs_crop": True, "top": top, "left": left})
        assert torch.equal(cropped[place], expected)
    places = [theirs.make_params([images[0]]) for _ in range(300)]
    for name, high in zip(("top", "left"), ours.highest, strict=True):
        chosen = ours.draw(300, GENERATOR.manual_seed(2))[name]
        assert (chosen.min(), chosen.max()) == (0, high)
        assert {place[name] for place in places} == set(range(high + 1))


@pytest.mark.parametrize("value", [0, 200, (3, 2, 1)])
def test_erasing_is_torchvisions(pixels: Tensor, value: Any) -> None:
    theirs = v2.RandomErasing(0.7, value=value)
    ours = batch_transform(theirs, *SIZE)
    assert isinstance(ours, Erasing)
    draws = ours.draw(COUNT, GENERATOR.manual_seed(1))
    images, erased = pixels.permute(0, 3, 1, 2), ours.apply(pixels, draws).permute(0, 3, 1, 2)
    color = torch.tensor(theirs.value)[:, None, None]
    for place in range(COUNT):
        names = {"i": "top", "j": "left", "h": "height", "w": "width"}
        chosen = {name: int(draws[of_ours][place]) for name, of_ours in names.items()}
        expected = theirs.transform(images[place], {**chosen, "v": color})
        assert torch.equal(erased[place], expected)


def test_erasing_has_torchvisions_distribution() -> None:
    """Means and deviations over 1,000 of theirs, within four standard errors."""
    theirs = v2.RandomErasing(0.3, (0.05, 0.5), (0.5, 3.0))
    ours = batch_transform(theirs, 20, 16)
    assert ours is not None
    draws = ours.draw(20_000, GENERATOR.manual_seed(1))
    erased = draws["height"] > 0
    assert erased.float().mean().item() == pytest.approx(0.3, abs=0.015)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        chosen = [theirs.make_params([torch.empty(3, 20, 16)]) for _ in range(1000)]
    for name, of_ours in {"i": "top", "j": "left", "h": "height", "w": "width"}.items():
        expected = torch.tensor([float(one[name]) for one in chosen if one["v"] is not None])
        found = draws[of_ours][erased].float()
        error = expected.std().item() / len(expected) ** 0.5
        assert found.mean().item() == pytest.approx(expected.mean().item(), abs=4 * error)
        assert found.std().item() == pytest.approx(expected.std().item(), rel=0.1)
    never = batch_transform(v2.RandomErasing(1.0, (0.99, 1.0), (1.0, 1.0)), 8, 8)  # as high as the image: never fits
    assert never is not None
    assert never.draw(50, GENERATOR)["height"].tolist() == [0] * 50


@pytest.mark.parametrize("kind", [v2.RandomHorizontalFlip, v2.RandomVerticalFlip])
def test_flip_is_torchvisions(pixels: Tensor, kind: Callable[[float], v2.Transform]) -> None:
    ours = batch_transform(kind(0.3), *SIZE)
    assert isinstance(ours, Flip)
    draws = ours.draw(COUNT, GENERATOR.manual_seed(1))
    flipped = ours.apply(pixels, draws).permute(0, 3, 1, 2)
    for place, chosen in enumerate(draws["flipped"]):
        image = pixels[place].permute(2, 0, 1)
        assert torch.equal(flipped[place], kind(1.0)(image) if chosen else image)
    assert ours.draw(9000, GENERATOR)["flipped"].float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_what_changes_batches_and_what_changes_images() -> None:
    transforms = [v2.RandomCrop(32), v2.RandomHorizontalFlip(), v2.Identity(), v2.RandomCrop(32), v2.RandomErasing()]
    for order, kinds in (
        ([0, 1, 4], [Crop, Flip, Erasing]),
        ([1, 2, 1, 2, 4], [Flip, ImageTransform, Erasing]),
        ([2, 3], [ImageTransform]),  # images before this crop may have several sizes
        ([2], [ImageTransform]),
    ):
        stages = Transforms([transforms[place] for place in order], (3, 32, 32)).stages
        assert [type(stage) for stage in stages] == kinds
    for transform in (v2.RandomErasing(value="random"), v2.RandomCrop(5, 1, fill={Tensor: 3}), v2.RandomRotation(9)):
        assert batch_transform(transform, *SIZE) is None


TRANSFORMS = [v2.RandomCrop(SIZE, 2), v2.TrivialAugmentWide(), v2.RandomErasing()]


def test_the_choices_belong_to_the_image(pixels: Tensor) -> None:
    changes = drawn(TRANSFORMS)
    whole = changes.apply(pixels.clone(), torch.arange(COUNT))
    some = torch.tensor([31, 4, 17])
    assert torch.equal(changes.apply(pixels[some], some), whole[some])
    assert torch.equal(drawn(TRANSFORMS).apply(pixels.clone(), torch.arange(COUNT)), whole)
    others = [
        drawn(TRANSFORMS, seed, epoch).apply(pixels.clone(), torch.arange(COUNT)) for seed, epoch in ((0, 1), (1, 0))
    ]
    changed = [(one != other).flatten(1).any(1).float().mean() for one, other in ((whole, others[0]), (*others,))]
    assert min(changed) > 0.9
    same = pixels[:1].expand(pixels.shape).contiguous()  # one image in many places has many views
    assert len({bytes(view.numpy()) for view in changes.apply(same, torch.arange(COUNT))}) > COUNT / 2


def test_images_are_torchvisions_for_the_same_seed(pixels: Tensor) -> None:
    transforms = [v2.RandAugment(), v2.ColorJitter(0.3, 0.3)]  # the first one on an image of Pillow
    changes = drawn(transforms)
    ((_, draws),) = changes.stages
    changed = changes.apply(pixels.clone(), torch.arange(COUNT))
    with torch.random.fork_rng():
        for place in (0, 13):
            torch.manual_seed(int(draws["seed"][place]))
            first = v2.functional.pil_to_tensor(transforms[0](Image.fromarray(pixels[place].numpy())))
            expected = transforms[1](first)
            assert torch.equal(changed[place].permute(2, 0, 1), expected)


def noise(image: Tensor) -> Tensor:
    """Draws from all three generators."""
    level = random.randrange(100) + np.random.randint(100)
    return (image * 0 + level + torch.randint(50, ())).to(torch.uint8)


def test_a_function_of_ones_own(pixels: Tensor) -> None:
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    changes = drawn([noise])
    changed = changes.apply(pixels.clone(), torch.arange(COUNT))
    random.random()
    assert torch.equal(changes.apply(pixels[7:9], torch.arange(7, 9)), changed[7:9])
    assert len({int(image[0, 0, 0]) for image in changed}) > 20
    random.setstate(states[1])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[2]  # type: ignore[index]


REFUSED = [
    (v2.CenterCrop(5), r"CenterCrop: gives images \[3, 5, 5\]; end with \[3, 9, 7\], or change --data.image_size"),
    (v2.MixUp(alpha=0.2), "MixUp: changes labels; give --data.mix '{mixup: 0.2}' in place"),
    (v2.ToDtype(torch.float32, scale=True), "ToDtype: gives torch.float32, and images are torch.uint8 until"),
    (v2.ToPILImage(), "ToPILImage: gives a Image; give a tensor"),
    (v2.FiveCrop(SIZE), "FiveCrop: gives a tuple; give a tensor"),
    (v1.RandomErasing(), "RandomErasing: of torchvision's first version; give torchvision.transforms.v2.RandomErasing"),
    (v1.ToTensor(), "ToTensor: of torchvision's first version; give torchvision.transforms.v2.ToTensor"),
    (nn.Identity(), "Identity: a module that is no transform; derive its class from torchvision.transforms.v2.Tr"),
    (3, "int: no transform; give a function or a class with __call__"),
    (v2.RandomIoUCrop(), "RandomIoUCrop: fails [(]TypeError: "),
    (v2.RandomCrop(30), "RandomCrop: fails [(]ValueError: Required crop size"),
    (v2.RandomErasing(value=0.4), "RandomErasing: value .0.4.* is for normalised images; these are torch.uint8: give"),
    (v2.RandomErasing(value="random"), "RandomErasing: value random is for normalised images"),
    (len, "len: gives a int; give a tensor"),
    (ImageOps.mirror, "mirror: fails .TypeError: .*; transforms get images as tensors .C, H, W. of torch.uint8"),
]


@pytest.mark.parametrize(("transform", "line"), REFUSED, ids=lambda value: type(value).__name__)
def test_refused(transform: Any, line: str) -> None:
    for transforms in ([transform], [v2.RandomHorizontalFlip(), transform]):
        with pytest.raises(UserError, match=f"--data.transforms {line}"):
            Transforms(transforms, (3, *SIZE))


def test_in_between_images_may_be_anything(pixels: Tensor) -> None:
    as_float = [v2.ToDtype(torch.float32, scale=True), v2.RandomErasing(value="random"), v2.ToDtype(torch.uint8, True)]
    sizes = [v2.ScaleJitter((12, 12), (1.0, 2.0)), v2.RandomCrop(SIZE, pad_if_needed=True)]
    for transforms in (as_float, sizes, [v2.Pad(2), v2.CenterCrop(SIZE)]):
        assert drawn(transforms).apply(pixels.clone(), torch.arange(COUNT)).shape == pixels.shape


def test_short_names_from_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own_transform.py").write_text("def darker(image):\n    return image // 2\n")
    Path("more.yaml").write_text(
        "data:\n  init_args:\n    transforms:\n    - class_path: RandomCrop\n      init_args: {size: 32, padding: 2}\n"
        "    - TrivialAugmentWide\n    - own_transform.darker\n    - class_path: RandomApply\n      init_args:\n"
        "        transforms: [ColorJitter, {class_path: RandomRotation, init_args: {degrees: 9}}]\n"
    )
    result = main(["fit", *QUICK, "--config", "more.yaml", "--trainer.max_steps", "2", "--data.batch_size", "4"])
    run = result.directory
    assert run is not None
    written = (run / "config.yaml").read_text()
    for text in ("RandomCrop\n", "ColorJitter\n"):
        assert f"class_path: torchvision.transforms.v2.{text}" in written
    assert "degrees: 9\n" in written
    capsys.readouterr()
    checkpoint = str(run / "checkpoints/last.ckpt")
    main(["test", "--ckpt_path", checkpoint, "--trainer.accelerator", "cpu", "--allow", "own_transform"])


LINES = [
    ("[RandomCrpo]", "--data.transforms [RandomCrpo]: no such class; did you mean RandomCrop?"),
    (
        "[{class_path: Compose, init_args: {transforms: [ColorJiter]}}]",
        "--data.transforms [{class_path: Compose, init_args: {transforms: [ColorJiter]}}]: no such class; did you mean "
        "ColorJitter?",
    ),
    (
        "[{class_path: Compose, init_args: {transforms: [{class_path: ColorJitter, init_args: {hue: 2}}]}}]",
        "--data.transforms.hue 2.0: hue values should be between (-0.5, 0.5)",
    ),
    (
        "[RandomCrop]",
        "--data.transforms RandomCrop: write {class_path: RandomCrop, init_args: {size: ...}} in its place",
    ),
    ("RandomErasing", "--data.transforms RandomErasing: expected a list, as in '[a, b]'"),
    ("[CutMix]", "--data.transforms CutMix: changes labels; give --data.mix '{cutmix: 1.0}' in place"),
    ("[{class_path: RandomCrop, init_args: {size: 8}}]", "--data.transforms RandomCrop: gives images [3, 8, 8]; end w"),
]


@pytest.mark.parametrize(("value", "line"), LINES)
def test_lines(error: Callable[..., str], value: str, line: str) -> None:
    assert error("fit", *QUICK, "--data.transforms", value).startswith(line)
    assert not list(Path().glob("lightning_logs/*/*"))


FAILING = """
import torch

def only_dark(image):
    if image.float().mean() < 100:  # each dog, and no random image
        raise ValueError("too dark")
    return image
"""


def test_an_image_on_which_a_transform_fails(error: Callable[..., str]) -> None:
    write_image_folder(Path("images"), count=10)
    Path("failing.py").write_text(FAILING)
    options = ["--data", "ImageFolder", "--data.data_dir", "images", "--data.image_size", "32", "--data.batch_size=4"]
    options += ["--data.val_size", "2"]
    line = error("fit", *QUICK, *options, "--data.workers=2", "--data.transforms", "[failing.only_dark]")
    assert line.startswith("--data.transforms only_dark: fails (ValueError: too dark), at ")
    assert (Path("images") / line.rpartition(" ")[2]).is_file()


def test_an_image_in_memory_is_named_by_its_place() -> None:
    pixels = torch.zeros(3, 4, 4, 3, dtype=torch.uint8)
    pixels[1] = 90

    def no_zero(image: Tensor) -> Tensor:
        return image if image.any() else image[:1]

    changes = Transforms([no_zero], (3, 4, 4)).draw(3, 0, 0)
    with pytest.raises(UserError, match=r"no_zero: gives images \[1, 4, 4\].*, at image 2 of the training images"):
        changes.apply(pixels[1:], torch.tensor([1, 2]))


def test_the_seed_of_the_weights_does_not_move() -> None:
    before = torch.get_rng_state()
    data = Digits(transforms=[v2.RandomCrop(32, 2), v2.TrivialAugmentWide()])
    assert torch.equal(torch.get_rng_state(), before)
    assert data.transforms is not None
    assert [isinstance(stage, BatchTransform) for stage in data.transforms.stages] == [True, False]
