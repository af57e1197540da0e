"""What the pictures show, compared with other libraries' numbers, from 1 class to 1,500, with any names."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torchmetrics.functional.classification import multiclass_calibration_error

from project.pictures.canvas import pixels, shortened, text_style, text_width
from project.pictures.classes import draw_classes
from project.pictures.confusion import draw_confusion
from project.pictures.curves import draw_curves
from project.pictures.mistakes import draw_mistakes, most_confident_mistakes
from project.pictures.reliability import draw_reliability, reliability_bins
from project.pictures.training_batch import draw_training_batch
from project.training.per_class import per_class
from tests.pictures.sets import labels_and_probabilities

ODD_NAMES = [
    "$x^2$ costs $",
    "<b>&amp;</b>",
    "猫 قطة 🐈",
    "two\nlines\t",
    "not \udcff UTF-8",
    "",
    "\\frac{1}{2}$",
    "x" * 300,
]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings(action="error"):
        yield


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def page(figure: Figure) -> np.ndarray:
    """The pixels of a drawn figure; all its text is inside."""
    drawn = pixels(figure)
    border = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
    assert (border == 255).all()
    return drawn


@pytest.mark.parametrize("num_classes", [2, 20, 30, 101])
def test_confusion_matrix(num_classes: int) -> None:
    labels, probabilities = labels_and_probabilities(3000, num_classes)
    predicted = probabilities.argmax(1)
    figure = draw_confusion(labels, predicted, [f"class{index}" for index in range(num_classes)], "Test")
    expected = confusion_matrix(labels, predicted, labels=range(num_classes))
    shares = expected / expected.sum(1, keepdims=True)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), shares)
    assert figure.axes[1].get_ylabel() == "share of the true class's images"
    shown = texts(figure)
    assert f"Test: {expected.trace():,} of 3,000 images correct ({expected.trace() / 30:.2f} %)" in shown
    if num_classes <= 20:
        assert sorted(text for text in shown if text.isdigit()) == sorted(map(str, expected[expected > 0]))
    else:
        np.fill_diagonal(expected, 0)
        row, column = np.unravel_index(expected.argmax(), expected.shape)
        first = next(text for text in shown if "→ class" in text).split("\n")[1]
        assert first.split() == [str(expected.max()), f"class{row}", "→", f"class{column}"]
    page(figure)


def test_more_classes_than_pixels() -> None:
    labels, predicted = np.arange(1500), np.arange(1500)[::-1].copy()
    figure = draw_confusion(labels, predicted, [str(label) for label in labels], "Test")
    shares = figure.axes[0].images[0].get_array()
    assert shares is not None
    assert shares.shape == (750, 750)
    np.testing.assert_array_equal(shares, np.fliplr(np.eye(750)))


def test_numbers_of_each_class() -> None:
    labels, probabilities = labels_and_probabilities(500, 12, sharpness=1)
    labels[labels == 3] = 4  # no image of class 3
    probabilities[:, 5] = 0  # nothing is predicted as class 5
    names = [f"class {index}" for index in range(12)]
    values = per_class(torch.from_numpy(labels), torch.from_numpy(probabilities).log(), names)
    reference = precision_recall_fscore_support(labels, probabilities.argmax(1), labels=range(12), zero_division=0)
    for number, (name, row) in enumerate(values.items()):
        precision, recall, f1, images = (column[number] for column in reference)
        assert name == names[number]
        expected = {"images": images, "accuracy": recall, "precision": precision, "recall": recall, "f1": f1}
        assert row == pytest.approx(expected, rel=1e-12)
    assert values["class 3"]["images"] == values["class 3"]["f1"] == values["class 5"]["precision"] == 0


@pytest.mark.parametrize(("num_classes", "num_shown"), [(2, 2), (100, 100), (101, 50)])
def test_bars(num_classes: int, num_shown: int) -> None:
    values = {
        f"class{index}": {"images": index, "recall": index / 200, "precision": 0.5, "f1": 1 - index / 200}
        for index in range(num_classes)
    }
    figure = draw_classes(values, "Test")
    (axes,) = figure.axes
    assert axes.get_yticklabels()[0].get_text() == f"class{num_classes - 1} ({num_classes - 1})"
    recall, precision, f1 = axes.collections
    lengths = [path.vertices[:, 0].max() for path in recall.get_paths()]
    np.testing.assert_allclose(lengths, [index / 2 for index in range(num_classes)][::-1][:num_shown])
    assert {path.vertices[:, 0].max() for path in precision.get_paths()} == {50}
    assert len(f1.get_paths()) == num_shown
    assert (num_classes > 100) == any("50 of 101 classes, the lowest F1 first" in text for text in texts(figure))
    page(figure)


def test_reliability() -> None:
    labels, probabilities = labels_and_probabilities(5000, 10, sharpness=2)
    expected = multiclass_calibration_error(torch.from_numpy(probabilities), torch.from_numpy(labels), 10, n_bins=15)
    bins = reliability_bins(probabilities.argmax(1) == labels, probabilities.max(1))
    assert bins.images.sum() == 5000
    assert bins.calibration_error() == pytest.approx(expected.item(), abs=1e-6)
    correct, confidence = probabilities.argmax(1) == labels, probabilities.max(1)
    name = "calibrated (temperature 10.458)"
    figure = draw_reliability(correct, {"not calibrated": confidence**2, name: confidence}, "Test")
    assert f"{name}: expected calibration error {expected:.4f}" in texts(figure)
    _, before, after = figure.axes[0].lines
    used = bins.images > 0
    np.testing.assert_array_equal(after.get_xydata(), np.stack((bins.confidence[used], bins.accuracy[used]), 1))
    assert before.get_color() != after.get_color()
    assert figure.axes[1].get_ylabel().endswith("(logarithmic)")
    low, high = figure.axes[1].get_ylim()
    assert np.log(1 / low) / np.log(high / low) > 0.05  # a bin with one image is seen
    assert all(axes.get_axisbelow() is True for axes in figure.axes)  # the grid cuts no line
    page(figure)


def test_mistakes() -> None:
    labels, probabilities = labels_and_probabilities(200, 3, sharpness=1)
    probabilities[7] = np.nan
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    shown = most_confident_mistakes(labels, predicted, confidence)
    wrong = [index for index in range(200) if probabilities[index].argmax() != labels[index] and index != 7]
    assert shown.tolist() == sorted(wrong, key=lambda index: -probabilities[index].max())[:24]
    images = np.full((24, 8, 8, 1), 77, np.uint8)
    names = ["cat", "dog", "ship"]
    places = [f"image {index}" for index in shown]
    true, wrongly = ([names[index] for index in indices[shown]] for indices in (labels, predicted))
    figure = draw_mistakes(images, true, wrongly, confidence[shown], places, "Test")
    caption = texts(figure)[1].split("\n")
    assert caption[:2] == [f"true: {true[0]}", f"predicted: {wrongly[0]}"]
    assert caption[2:] == [f"{100 * confidence[shown[0]]:.1f} %", f"image {shown[0]}"]
    page(figure)


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(8, 8, 1), (32, 32, 3), (20, 50, 4), (300, 300, 3), (5, 1, 2)]
)
def test_training_batch(height: int, width: int, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, height, width, channels), dtype=np.uint8)
    figure = draw_training_batch(images, [[name] for name in ODD_NAMES * 5], 40)
    assert (
        texts(figure)[0] == f"First training batch as the network gets it: 32 of 40 images, {width} x {height} pixels"
    )
    drawn = page(figure)
    if channels == 3 and height == 32:  # each pixel is a square of 4 x 4
        np.testing.assert_array_equal(drawn[44 : 44 + 128 : 4, 12 : 12 + 128 : 4], images[0])
        np.testing.assert_array_equal(drawn[47 : 44 + 128 : 4, 15 : 12 + 128 : 4], images[0])


def test_curves() -> None:
    rows = [
        {"step": 4, "epoch": 1, "train/lr": 0.1},
        {"step": 9, "epoch": 1, "train/loss": 2.0, "train/accuracy": 0.5, "val/loss": 2.5, "val/accuracy": 0.25},
        {"step": 14, "epoch": 2, "train/lr": 0.05},
        {"step": 19, "epoch": 2, "train/loss": 1.0, "train/accuracy": 0.75},
    ]
    loss, accuracy, rate = draw_curves(rows, "mlp/version_0").axes
    lines = [line.get_xydata().tolist() for axes in (loss, accuracy, rate) for line in axes.lines]
    expected = [[[1, 2], [2, 1]], [[1, 2.5]], [[1, 50], [2, 75]], [[1, 25]], [[0.5, 0.1], [1.5, 0.05]]]
    assert lines == expected
    page(draw_curves(rows, "mlp/version_0"))
    page(draw_curves([], "$"))


def test_any_names() -> None:
    num_classes = len(ODD_NAMES)
    labels, probabilities = labels_and_probabilities(50, num_classes)
    confidence = probabilities[:num_classes].max(1)
    scores: dict[str, Any] = {"images": 1, "recall": 0.0, "precision": 0.0, "f1": 0.0}
    figures = (
        draw_confusion(labels, probabilities.argmax(1), ODD_NAMES, "Test"),
        draw_classes(dict.fromkeys(ODD_NAMES, scores), "Test"),
        draw_mistakes(np.zeros((8, 9, 9, 3), np.uint8), ODD_NAMES, ODD_NAMES, confidence, ODD_NAMES, "$a$"),
    )
    for figure in figures:
        page(figure)
        assert any("$x^2$ costs $" in text for text in texts(figure))


@pytest.mark.parametrize("labels", [[], [0, 0]])
def test_not_finite_and_no_images(labels: Sequence[int]) -> None:
    array = np.array(labels, dtype=np.int64)
    probabilities = np.full((len(labels), 2), np.nan)
    page(draw_confusion(array, probabilities.argmax(1), ["cat", "dog"], "Test"))
    page(draw_reliability(array == 0, {"before": probabilities.sum(1)}, "Test"))
    assert most_confident_mistakes(array, array + 1, probabilities.sum(1)).size == 0
    page(draw_mistakes(np.zeros((0, 1, 1, 3), np.uint8), [], [], probabilities[:0, 0], [], "no mistakes"))


def test_a_character_that_the_standard_font_lacks() -> None:
    family = text_style("a\u1d81", 9)["fontproperties"].get_family()  # it is in STIX, which matplotlib brings too
    assert family[0] == text_style("a", 9)["fontproperties"].get_family()[0]
    assert len(family) > 1
    assert not any("Last Resort" in name for name in family)


def test_text_that_is_too_wide() -> None:
    assert shortened("cat", 100, 9) == "cat"
    for text, keep_end in (("a" * 100, False), ("W" * 100, True)):
        line = shortened(text, 100, 9, keep_end)
        assert 80 < text_width(line, 9) <= 100
    assert shortened("folder/of/images/IMG_0001.jpg", 120, 9, keep_end=True).endswith("IMG_0001.jpg")
    assert shortened("beginning" * 9 + "end", 100, 9).endswith("end")
