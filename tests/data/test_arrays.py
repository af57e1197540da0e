"""Arrays of one's own: every usual form gives the same images, all is measured, and a mistake is one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from project.cli.main import main
from project.data import ArrayDataModule, Arrays
from project.data.arrays import to_pixels
from tests.conftest import CONFIGS

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (30, 6, 5, 3), np.uint8)
GREY = COLOUR[..., 0]
LABELS = np.arange(30) % 3
SMALL: dict[str, Any] = {"batch_size": 4}


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY[..., None]),
        (COLOUR, COLOUR),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR),
        (GREY[:, None], GREY[..., None]),
        (GREY.astype(np.int64), GREY[..., None]),
        (GREY / 255, GREY[..., None]),
        ((GREY / 255).astype(np.float16), GREY[..., None]),
        (torch.from_numpy(COLOUR).float() / 255, COLOUR),
        (GREY > 100, 255 * (GREY > 100)[..., None]),
        (GREY.tolist(), GREY[..., None]),
    ],
)
def test_every_form_of_images(images: Any, expected: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = to_pixels(images)
    assert pixels.dtype == torch.uint8
    assert pixels.is_contiguous()
    assert np.array_equal(pixels.numpy(), expected)
    assert capsys.readouterr().out == ""


def test_floats_between_the_levels_are_rounded_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    images = RANDOM.random((3, 4, 4))
    assert np.abs(to_pixels(images).numpy()[..., 0] - 255 * images).max() <= 0.5
    assert capsys.readouterr().out == "the images are floats; they are rounded to the 256 levels of 8 bits\n"


def test_all_is_measured() -> None:
    data = Arrays.of(COLOUR, LABELS * 10 - 10, **SMALL)
    assert (data.image_shape, data.class_names, data.training_images) == ((3, 6, 5), ("-10", "0", "10"), 27)
    data.setup("fit")
    assert data.image_counts() == {"training": [8, 8, 8], "validation": [1, 1, 1], "test": [1, 1, 1]}
    training = torch.cat([data.train.pixels, data.val.pixels]).numpy() / 255  # type: ignore[attr-defined]
    assert data.mean == pytest.approx(training.mean((0, 1, 2)), abs=6e-6)
    assert data.std == pytest.approx(training.std((0, 1, 2)), abs=6e-6)
    for part in (data.train, data.val, data.test):
        for pixels, label in zip(part.pixels.numpy(), part.labels, strict=True):  # type: ignore[attr-defined]
            (place,) = np.flatnonzero((pixels == COLOUR).all((1, 2, 3)))
            assert LABELS[place] == label


@pytest.mark.parametrize(
    "labels", [np.array(["cat", "dog", "ape"])[LABELS], np.array([b"cat", b"dog", b"ape"])[LABELS]]
)
def test_names_as_labels(labels: Any) -> None:
    data = Arrays.of(GREY, labels[:, None], GREY, labels, classes=["dog", "cat"], **SMALL)
    data.setup("fit")
    assert data.class_names == ("dog", "cat")
    assert data.test.labels.tolist() == [{0: 1, 1: 0}[label] for label in LABELS if label < 2]


def test_names_of_numbered_labels_and_validation_images() -> None:
    arrays = {f"{part}_images": GREY for part in ("train", "val", "test")}
    arrays |= {f"{part}_labels": LABELS for part in ("train", "val", "test")}
    np.savez("sets.npz", **arrays, class_names=["a", "b", "c", "d"])
    data = Arrays("sets.npz", **SMALL)
    data.setup("fit")
    assert data.class_names == ("a", "b", "c", "d")
    assert [len(part) for part in (data.train, data.val, data.test)] == [30, 30, 30]
    everything = Arrays("sets.npz", val_size=0, classes=["b", "c"], **SMALL)
    everything.setup("fit")
    assert [len(part) for part in (everything.train, everything.val, everything.test)] == [40, 0, 20]
    with pytest.raises(ValueError, match=r"--data\.val_size 3: --data\.file sets\.npz has validation images of its"):
        Arrays("sets.npz", val_size=3, **SMALL)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"images": GREY}, "has the arrays images; name them images and labels, or train_images"),
    ({"images": GREY, "x": GREY, "y": LABELS}, "the arrays images and x have the same meaning"),
    ({"x_train": GREY, "y_train": LABELS, "x_test": GREY}, "has the arrays x_train, y_train, x_test; name them"),
    ({"images": GREY, "labels": LABELS[:29]}, "30 images of train have 29 labels; give each image one"),
    ({"images": GREY[0], "labels": LABELS}, "images [6, 5]; give [N, H, W], [N, H, W, C] or [N, C, H, W]"),
    ({"images": GREY * 1.0, "labels": LABELS}, "images of float64 from 0 to 255; give floats from 0 to 1: divide them"),
    ({"images": GREY - 128.0, "labels": LABELS}, "; give floats from 0 to 1, as they are before a normalisation"),
    ({"images": GREY / 65025, "labels": LABELS}, "; were they divided by 255 twice?"),
    ({"images": GREY * np.nan, "labels": LABELS}, "images of float64 from nan to nan; give finite numbers"),
    ({"images": GREY * 0, "labels": LABELS}, "images of uint8 from 0 to 0; all pixels are equal"),
    ({"images": GREY.astype(int) * 2, "labels": LABELS}, "give whole numbers from 0 to 255"),
    (
        {"images": GREY, "labels": np.eye(3)[LABELS]},
        "labels [30, 3]; give [N], one whole number or name",
    ),
    ({"images": GREY, "labels": LABELS / 2}, "labels of float64; give whole numbers or names"),
    ({"images": GREY, "labels": LABELS * 0}, "the classes are 0; give two or more"),
    (
        {"images": GREY, "labels": LABELS, "names": ["a", "b"]},
        "a label of train is 2, and the 2 classes have",
    ),
    ({"images": GREY, "labels": LABELS, "names": ["a", "b", "b"]}, "give two or more, each with its own name"),
    ({"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": LABELS + 1}, "a label of test is 3, and the 3"),
    (
        {"x_train": GREY, "y_train": LABELS, "x_test": COLOUR, "y_test": LABELS},
        "; give [N, 6, 5, 1], since",
    ),
]


@pytest.mark.parametrize(("arrays", "line"), WRONG, ids=[line[:30] for _, line in WRONG])
def test_a_mistake_is_one_line(arrays: dict[str, Any], line: str) -> None:
    np.savez("own.npz", **arrays)
    with pytest.raises(ValueError, match="--data") as raised:
        Arrays("own.npz", **SMALL).setup("fit")
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_that_are_no_arrays() -> None:
    np.savez("objects.npz", images=GREY, labels=np.array([{}] * 30))
    np.save("one.npy", GREY)
    Path("text.npz").write_text("no arrays")
    np.savez("cut.npz", images=GREY, labels=LABELS)
    Path("cut.npz").write_bytes(Path("cut.npz").read_bytes()[:500])
    for file, line in {
        "none.npz": "No such file or directory",
        "objects.npz": "labels has Python objects, which are not loaded, since that could run code; save names as text",
        "one.npy": "it is damaged, or no .npz file; numpy.savez writes one",
        "text.npz": "it is damaged, or no .npz file; numpy.savez writes one",
        "cut.npz": "it is damaged, or no .npz file; numpy.savez writes one",
    }.items():
        with pytest.raises(ValueError, match=f"--data.file {file}: ") as raised:
            Arrays(file, **SMALL)
        assert line in str(raised.value)


class Named(ArrayDataModule):
    class_names = ("a", "b", "c")

    def arrays(self) -> dict[str, Any]:
        return {"images": GREY, "labels": LABELS}


class Pair(Named):
    def arrays(self) -> Any:
        return GREY, LABELS


def test_a_class_of_ones_own() -> None:
    assert Named(**SMALL).class_names == ("a", "b", "c")
    with pytest.raises(ValueError, match=r'--data Pair: arrays gives tuple; give {"images": images, "labels": labels}'):
        Pair(**SMALL)
    with pytest.raises(ValueError, match=r"--data Far: load gives pixels with the standard deviation .* leave mean"):
        type("Far", (Named,), {"mean": (0.1,), "std": (0.01,)})(**SMALL).setup("fit")
    with pytest.raises(ValueError, match=r"--data Large: mean is \(125.0,\); give values from 0 to 1, not to 255"):
        type("Large", (Named,), {"mean": (125.0,), "std": (60.0,)})(**SMALL)


def test_a_fit(error: Callable[..., str]) -> None:
    digits = load_digits()
    np.savez("digits.npz", images=digits.images / 16, labels=digits.target)
    words = ["--config", str(CONFIGS / "mlp.yaml"), "--data", "Arrays", "--trainer.accelerator", "cpu"]
    result = main(["fit", *words, "--data.file", "digits.npz", "--trainer.max_epochs", "8"])
    assert result.figures["test/accuracy"] > 0.9
    assert main(["test", "--ckpt_path", "best"]).figures["test/accuracy"] == result.figures["test/accuracy"]
    assert error("fit", *words, "--data.file", "none.npz") == "--data.file none.npz: No such file or directory"
