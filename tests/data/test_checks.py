"""What a data set of one's own may get wrong, by the line that it ends in."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from project.cli.main import main
from project.data import ImageDataModule
from project.data.images import ImagesInMemory
from tests.conftest import CONFIGS


class Own(ImageDataModule):
    """36 grey images of 4 x 6 pixels in three classes."""

    class_names = ("a", "b", "c")
    image_shape = (1, 4, 6)
    mean = (0.5,)
    std = (0.25,)
    training_images = 30

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        pixels = torch.arange(36 * 24).remainder(256).to(torch.uint8).view(36, 4, 6, 1)
        images = ImagesInMemory(pixels, torch.arange(36) % 3)
        return images[torch.arange(30)], images[torch.arange(30, 36)]


class Shown(Own):
    image_shape = (3, 4, 6)
    mean = std = (0.5, 0.5, 0.5)

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        return tuple(ImagesInMemory(part.pixels.expand(-1, -1, -1, 3), part.labels) for part in super().load())  # type: ignore


class ChannelsFirst(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        return tuple(ImagesInMemory(part.pixels.permute(0, 3, 1, 2), part.labels) for part in super().load())  # type: ignore


class Larger(Own):
    image_shape = (1, 8, 6)


class Real(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        train, test = super().load()
        return train, ImagesInMemory(test.pixels / 255, test.labels)


class Short(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        train, test = super().load()
        return ImagesInMemory(train.pixels, train.labels.int()), test


class FromOne(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        train, test = super().load()
        return ImagesInMemory(train.pixels, train.labels + 1), test


class Ignored(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        train, test = super().load()
        return train, ImagesInMemory(test.pixels, test.labels - 1)


class Fewer(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        train, test = super().load()
        return train[torch.arange(29)], test


class FewerLabels(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        train, test = super().load()
        return ImagesInMemory(train.pixels, train.labels[:29]), test


class NoTest(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        train, test = super().load()
        return train, test[torch.arange(0)]


class NumPy(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        train, test = super().load()
        return ImagesInMemory(train.pixels.numpy(), train.labels), test  # type: ignore[arg-type]


class Pixels(Own):
    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        return tuple(part.pixels for part in super().load())  # type: ignore[return-value]


class Coloured(Own):
    mean = (0.5, 0.5, 0.5)


class Unmeasured(Own):
    mean = std = ImageDataModule.mean


class Unnamed(ImageDataModule):
    image_shape = (1, 4, 6)
    training_images = 30

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        raise AssertionError


WRONG = {
    Shown: "training images with pixels that are not contiguous; give pixels.contiguous()",
    ChannelsFirst: "training images with pixels [30, 1, 4, 6]; give [N, 4, 6, 1], since image_shape is (1, 4, 6); "
    "pixels.permute(0, 2, 3, 1).contiguous() has this shape",
    Larger: "training images with pixels [30, 4, 6, 1]; give [N, 8, 6, 1], since image_shape is (1, 8, 6)",
    Real: "test images with pixels of torch.float32; give a tensor of torch.uint8, from 0 to 255",
    Short: "training images with labels of torch.int32; give a tensor of torch.int64: labels.long()",
    FromOne: "training images with labels from 1 to 3; give 0 to 2, the indices of class_names",
    Ignored: "test images with labels from -1 to 1; give 0 to 2, the indices of class_names",
    Fewer: "29 training images, and training_images is 30; give the same",
    FewerLabels: "training images with labels [29] for 30 images; give [N], one for each, and at least one",
    NoTest: "test images with labels [0] for 0 images; give [N], one for each, and at least one",
    NumPy: "training images with pixels of ndarray; give a tensor of torch.uint8, from 0 to 255",
    Pixels: "no pair of image sets; give (ImagesInMemory(pixels, labels), ImagesInMemory(pixels, labels)), for "
    "training and test",
    Coloured: "images of 1 channels, and mean and std are (0.5, 0.5, 0.5) and (0.25,); give 1 each",
}


@pytest.mark.parametrize("classes", [None, ["a", "b"]])
def test_a_set_of_ones_own(classes: list[str | int] | None) -> None:
    data = Own(batch_size=2, val_size=3, classes=classes)
    data.setup("fit")
    assert len(data.train) == (27 if classes is None else 17)


def test_mean_and_std_are_measured_if_there_are_none() -> None:
    data = Unmeasured(batch_size=2, val_size=3)
    data.setup("fit")
    pixels = data.load()[0].pixels.numpy() / 255
    assert (*data.mean, *data.std) == pytest.approx((pixels.mean(), pixels.std()), abs=6e-6)


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_what_load_gives_wrongly(kind: type[Own]) -> None:
    data = kind(batch_size=2, val_size=3, classes=["a", "b"])  # what is checked comes before the choice
    with pytest.raises(ValueError, match="load gives") as raised:
        data.setup("fit")
    assert str(raised.value) == f"--data {kind.__name__}: load gives {WRONG[kind]}"


def test_the_command_line_says_it(error: Callable[..., str]) -> None:
    config, own = ["--config", str(CONFIGS / "mlp.yaml"), "--data.batch_size", "2"], "--data=tests.data.test_checks."
    assert error("fit", *config, f"{own}FromOne").startswith("--data FromOne: load gives training images with labels")
    assert error("fit", *config, f"{own}Unnamed").startswith("--data Unnamed: has no class_names; give the class one")
    assert not list(Path().glob("lightning_logs/*/*"))


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        ({"image_shape": (20, 20)}, "image_shape is (20, 20); give (C, H, W), for grey images (1, H, W)"),
        ({"image_shape": (1, 20, 0)}, "image_shape is (1, 20, 0); give (C, H, W), for grey images (1, H, W)"),
        ({"mean": 0.3}, "mean is 0.3; give one number for each channel, as in (0.5,)"),
        ({"training_images": 30.0}, "training_images is 30.0; give a whole number"),
        ({"class_names": "abc"}, "class_names is a text; give a tuple of names"),
    ],
)
def test_attributes_of_another_form(attributes: dict[str, object], line: str) -> None:
    kind = type("Other", (Own,), attributes)
    with pytest.raises(ValueError, match="--data Other: ") as raised:
        kind(batch_size=2, val_size=3)
    assert str(raised.value) == f"--data Other: {line}"


def test_images_that_fill_no_batch(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *digits(), "--data.batch_size", "700", "--trainer.max_steps", "1"])
    line = "--data.batch_size 700: 557 of 1257 training images fill no batch and are left out of each epoch"
    assert line in capsys.readouterr().out
    main(["fit", *digits(), "--trainer.max_steps", "1"])
    assert "left out" not in capsys.readouterr().out
