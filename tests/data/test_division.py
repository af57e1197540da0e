"""The division of a folder: in proportion by class, every class in every part, and a line where that cannot be."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from project.cli.main import main
from project.data import Digits
from project.data.division import division_line, first_of_each_class, missing_line, split_by_class
from tests.conftest import CONFIGS
from tests.data.test_image_folder import ready

OPTIONS = ["--data.data_dir", "images", "--data.image_size", "8", "--data.batch_size", "4", "--data.workers", "0"]
CONFIG = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/image_folder.yaml")]
WORDS = ["fit", *CONFIG, *OPTIONS, "--trainer.accelerator", "cpu", "--trainer.max_steps", "1"]


def write(root: str, counts: dict[str, int]) -> None:
    """A folder with so many images of each class."""
    for number, (name, count) in enumerate(counts.items()):
        (Path(root) / name).mkdir(parents=True)
        for image in range(count):
            Image.new("RGB", (9, 8), (40 * number, image, 0)).save(f"{root}/{name}/{image}.png")


def counts(labels: torch.Tensor) -> list[int]:
    return labels.bincount(minlength=3).tolist()


@pytest.mark.parametrize(
    ("classes", "size", "expected"),
    [
        ([500, 300, 200], 100, [50, 30, 20]),
        ([500, 300, 200], None, [50, 30, 20]),
        ([900, 90, 10], 50, [45, 4, 1]),
        ([970, 20, 10], 10, [8, 1, 1]),  # the smallest classes are there
        ([100, 2, 1], None, [9, 1, 0]),
        ([3, 3, 3], None, [1, 1, 1]),
        ([9, 1, 1], 2, [2, 0, 0]),
        ([50, 30, 20], 1, [1, 0, 0]),  # the largest one where there is place for one
        ([5, 3, 1], 8, [4, 3, 1]),
        ([5, 3, 1], 0, [0, 0, 0]),
    ],
)
def test_parts_by_class(classes: list[int], size: int | None, expected: list[int]) -> None:
    labels = torch.arange(3).repeat_interleave(torch.tensor(classes))
    stay, split_off = split_by_class(labels, size)
    assert counts(labels[split_off]) == expected
    assert sorted([*stay.tolist(), *split_off.tolist()]) == list(range(len(labels)))
    assert torch.equal(split_by_class(labels, size)[1], split_off)


def test_every_class_is_in_every_part() -> None:
    write("images", {"ape": 60, "bat": 12, "cow": 3})
    module = ready(val_size=None)
    parts = {"training": [51, 10, 1], "validation": [4, 1, 1], "test": [5, 1, 1]}
    assert module.image_counts() == parts
    for images, numbers in zip((module.train, module.val, module.test), parts.values(), strict=True):
        names = Counter(name[:3] for name in images.names)  # type: ignore[attr-defined]
        assert [names["ape"], names["bat"], names["cow"]] == numbers
    assert ready(val_size=20).image_counts()["validation"] == [16, 3, 1]
    assert ready(val_size=None, classes=["cow", "bat"]).image_counts()["test"] == [1, 1]
    assert ready(val_size=0).image_counts()["validation"] == [0, 0, 0]


def test_train_and_test_folders_have_a_validation_by_class() -> None:
    write("images/train", {"ape": 40, "bat": 4})
    write("images/test", {"ape": 2, "bat": 1})
    assert ready(val_size=None).image_counts() == {"training": [37, 3], "validation": [3, 1], "test": [2, 1]}


def test_many_classes_in_one_line() -> None:
    numbers = {"training": [150, 136, 140, 141, 142, 143], "validation": [0] * 6, "test": [7] * 6}
    assert division_line(numbers, "012345") == (
        "training 852 images (136 of class 1 to 150 of class 0); validation no images; test 42 images (7 of each class)"
    )
    assert missing_line(numbers, "012345") == ""
    several = {"training": [1] * 7, "test": [0] * 6 + [1]}
    assert missing_line(several, "0123456").endswith("4 has 1 image, none of them for test; and 1 more classes")


def test_a_run_and_its_checkpoint_know_the_division(capsys: pytest.CaptureFixture[str]) -> None:
    write("images", {"ape": 30, "bat": 2, "cow": 1})
    result = main(WORDS)
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("training"))
    assert lines[start : start + 2] == [
        "training 27 images (ape: 25, bat: 1, cow: 1); validation 3 images (ape: 3, bat: 0, cow: 0); "
        "test 3 images (ape: 2, bat: 1, cow: 0)",
        "classes that are not in every part: bat has 2 images, none of them for validation; "
        "cow has 1 image, none of them for validation and test",
    ]
    assert result.directory is not None
    data = yaml.safe_load((result.directory / "environment.yaml").read_text())["data"]
    assert data["classes"] == ["ape", "bat", "cow"]
    assert data["images"] == {"training": [25, 1, 1], "validation": [3, 0, 0], "test": [2, 1, 0]}
    shutil.move("images", "moved")
    main(["test", "--ckpt_path", "best", "--data.data_dir", "moved"])
    assert "are not those of its run" not in capsys.readouterr().out
    Image.new("RGB", (9, 8), "red").save("moved/ape/new.png")
    for words in (["test", "--ckpt_path", "best"], [*WORDS[:-1], "2", "--ckpt_path", "last"]):
        main([*words, "--data.data_dir", "moved"])
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "are not those of its run" in line]
        assert line.startswith("--ckpt_path ")


def test_few_training_images_of_each_class(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    labels = torch.tensor([2, 0, 2, 2, 1, 0, 0])
    assert first_of_each_class(labels, 2).tolist() == [0, 1, 2, 4, 5]
    few, more, whole = (Digits(20, 100, train_per_class=number) for number in (3, 5, None))
    for data in (few, more, whole):
        data.setup("fit")
        assert len(data.val) == 100
    assert few.image_counts()["training"] == [3] * 10
    assert torch.equal(few.val.labels, whole.val.labels)
    images = [{image.numpy().tobytes() for image in data.train.pixels} for data in (few, more, whole)]
    assert images[0] < images[1] < images[2]
    words = ["fit", *digits(), "--data.train_per_class"]
    assert error(*words, "0") == "--data.train_per_class 0: give a whole number from 1 to 1437"
    assert error(*words, "3") == "--data.batch_size 100: a process has 30 images; give at most that"
