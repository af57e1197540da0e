"""`main.py inspect` shows a data set before the training, and speaks of --data as fit does."""

import csv
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import project
from project.checkpoints.files import write
from project.cli.main import main
from project.data import Digits
from project.system.tables import read_text
from tests.conftest import CONFIGS, REPOSITORY
from tests.inspection.test_similarity import mirrored, photographs, smaller
from tests.use.checkpoints import checkpoint_of

SETTINGS = ["--config", str(CONFIGS / "data/image_folder.yaml"), "--data.batch_size", "4", "--data.workers", "0"]
ODD = '=a, "b"'
OWN = """
import torch
from project.data.images import ImagesInMemory
from project.data.module import ImageDataModule

class Grey(ImageDataModule):
    class_names = tuple(f"class {number}" for number in range(1000))
    image_shape = (1, 9, 12)
    training_images = 998
    mean, std = (0.5,), (0.5,)

    def __init__(self, num_test: int = 1, **options):
        super().__init__(**options)
        self.num_test = num_test

    def load(self):
        pixels = torch.randint(0, 256, (998, 9, 12, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        test = slice(self.num_test)
        return ImagesInMemory(pixels, torch.arange(998)), ImagesInMemory(pixels[test], torch.arange(998)[test])
"""


class Inspected(NamedTuple):
    """What inspect did of a folder with planted faults."""

    output: Path
    printed: str
    errors: str
    rows: list[dict[str, str]]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train, val and test with two classes of photographs, and planted faults."""
    root = tmp_path_factory.mktemp("data") / "images"
    originals = photographs(30, side=40)
    for number, image in enumerate(originals):
        part, name = ("train", "val", "test")[number // 10], ("cat", ODD)[number % 2]
        (root / part / name).mkdir(parents=True, exist_ok=True)
        image.save(root / part / name / f"{number}.png")
    shutil.copy(root / "train/cat/0.png", root / f"test/{ODD}/same_file.png")
    originals[2].save(root / "train/cat/same_pixels.bmp")
    mirrored(smaller(originals[4])).save(root / "val/cat/mirrored.jpg")
    for number in range(5):
        Image.new("L", (50, 30)).save(root / f"train/cat/black{number}.png", dpi=(72 + number, 72))
    (root / "train/cat/broken.png").write_bytes((root / "train/cat/0.png").read_bytes()[:200])
    (root / "test/cat/text.jpg").write_text("no image")
    return root


@pytest.fixture(scope="module")
def inspected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Inspected:
    output, printed, errors = tmp_path_factory.mktemp("inspected") / "found", StringIO(), StringIO()
    with redirect_stdout(printed), redirect_stderr(errors), pytest.raises(SystemExit) as stopped:
        main(["inspect", *SETTINGS, "--data.data_dir", str(folder), "--output", str(output)])
    assert stopped.value.code == 1
    return Inspected(output, printed.getvalue(), errors.getvalue(), table(output / "findings.csv"))


def found(inspected: Inspected, *kinds: str) -> set[tuple[str, ...]]:
    names = ("part", "image", "class", "other_part", "other_image", "other_class")
    return {tuple(read_text(row[name]) for name in names) for row in inspected.rows if row["finding"] in kinds}


def test_planted_duplicates(inspected: Inspected) -> None:
    assert found(inspected, "same file") == {
        ("training", "train/cat/0.png", "cat", "test", f"test/{ODD}/same_file.png", ODD)
    }
    pixels = found(inspected, "same pixels")
    assert ("training", "train/cat/2.png", "cat", "training", "train/cat/same_pixels.bmp", "cat") in pixels
    black = {f"train/cat/black{number}.png" for number in range(5)}
    assert {row[4] for row in pixels} | {row[1] for row in pixels} == {
        "train/cat/2.png",
        "train/cat/same_pixels.bmp",
        *black,
    }
    assert len(pixels) == 5  # four pairs connect five black images
    assert found(inspected, "near duplicate, mirrored") == {
        ("training", "train/cat/4.png", "cat", "validation", "val/cat/mirrored.jpg", "cat")
    }
    assert found(inspected, "near duplicate") == set()
    assert {row[1] for row in found(inspected, "almost one color")} == black
    line = "images of almost one color (standard deviation of a thumbnail of 16x16 pixels below 2 of 255): 5\n"
    assert line in inspected.printed
    assert "small drawings" not in inspected.printed


def test_groups_with_different_labels_come_first(inspected: Inspected) -> None:
    first = next(row for row in inspected.rows if row["group"])
    assert (first["group"], first["finding"], first["note"]) == ("1", "same file", "different labels")
    assert "groups with different labels: 1\n" in inspected.printed
    assert "validation images with a duplicate in training: 1 of 11 (9.09 %)\n" in inspected.printed
    assert "test images with a duplicate in training or validation: 1 of 11 (9.09 %)\n" in inspected.printed


def test_damaged_files_do_not_end_it(inspected: Inspected) -> None:
    damaged = {row["image"]: row["note"] for row in inspected.rows if row["finding"] == "damaged file"}
    assert set(damaged) == {"train/cat/broken.png", "test/cat/text.jpg"}
    assert damaged["test/cat/text.jpg"] == "no image"
    assert inspected.errors == f"2 of 40 files are damaged: {inspected.output / 'findings.csv'}\n"


def test_classes_and_files(inspected: Inspected) -> None:
    classes = {read_text(row.pop("class")): row for row in table(inspected.output / "classes.csv")}
    assert classes["cat"] == {"training": "11", "validation": "6", "test": "5"}
    assert classes[ODD] == {"training": "5", "validation": "5", "test": "6"}
    size = "64x64 pixels with 3 channels"
    assert f"38 images in 2 classes; the network gets them as {size}\n" in inspected.printed
    assert "files: 31 PNG RGB, 5 PNG L, 1 BMP RGB, 1 JPEG RGB\n" in inspected.printed
    assert "smallest 50x30, median 40x40, largest 40x40\n" in inspected.printed


def test_mean_and_deviation_are_those_that_the_network_gets(inspected: Inspected, folder: Path) -> None:
    from project.data.decoding import Preparation, decode

    paths = [path for part in ("train", "val") for path in (folder / part).rglob("*.*")]
    files = [path for path in paths if path.name != "broken.png"]
    pixels = np.stack([decode(path.read_bytes(), Preparation((64, 64))).numpy() for path in files]) / 255
    for name, values in (("mean", pixels.mean((0, 1, 2))), ("standard deviation", pixels.std((0, 1, 2)))):
        shown = ", ".join(f"{value:.4f}" for value in values)
        assert f"{name} of the training and validation images: {shown}\n" in inspected.printed


def test_pictures(inspected: Inspected) -> None:
    names = sorted(path.name for path in inspected.output.iterdir())
    assert names == ["classes.csv", "classes.png", "duplicates.png", "findings.csv"]
    for name in names[1:3]:
        with Image.open(inspected.output / name) as image:
            assert image.width > 800
            assert len(image.getcolors(2**24) or ()) > 1000


def test_output_that_exists(error: Callable[..., str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("found").mkdir()
    Path("found/mine.txt").write_text("mine")
    Path("found/labels.png").write_text("of an earlier inspection")
    words = ["inspect", *SETTINGS, "--data.data_dir", str(folder), "--output"]
    assert error(*words, "found") == "--output found: it exists; name another, or replace it by --force"
    with pytest.raises(SystemExit, match="1"):
        main([*words, "found", "--force"])
    capsys.readouterr()
    assert {path.name for path in Path("found").iterdir()} == {
        "mine.txt", "classes.csv", "classes.png", "duplicates.png", "findings.csv",
    }  # fmt: skip
    assert (
        error(*words, f"{folder}/found")
        == f"--output {folder}/found: it is in the folder of the images; name another directory"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--data", "CIFAR11"],
        ["--data", "Digits", "--data.val_sise", "3"],
        ["--data", "Digits", "--data.classes", "[1, 11]"],
        ["--data", "Digits", "--data.batch_size", "many"],
        ["--data", "ImageFolder", "--data.data_dir", "nowhere"],
        ["--config", "nowhere.yaml"],
    ],
    ids=" ".join,
)
def test_same_error_lines_as_fit(words: list[str], error: Callable[..., str]) -> None:
    assert error("inspect", *words) == error("fit", "--model.network", "Perceptron", *words)


def test_options_of_fit_that_are_not_the_datas(error: Callable[..., str]) -> None:
    expected = "--trainer.max_epochs 3: no such option of this command; leave it out, or see --help"
    assert error("inspect", "--data", "Digits", "--trainer.max_epochs", "3") == expected


def test_a_data_set_of_ones_own(capsys: pytest.CaptureFixture[str], error: Callable[..., str]) -> None:
    """Grey images in 1,000 classes, of which two are empty, and all others but one have one image."""
    Path("own_grey.py").write_text(OWN)
    words = ["inspect", "--data", "own_grey.Grey", "--data.val_size", "0"]
    figures = main(words).figures
    printed = capsys.readouterr().out
    assert error(*words, "--data.num_test", "0", "--force").startswith(
        "--data Grey: load gives test images with labels [0]"
    )
    del sys.modules["own_grey"]
    assert (figures["images"], figures["exact_duplicates"], figures["duplicates"]) == (999, 2, 2)
    assert "classes without training images: 2\n" in printed
    assert "test images with a duplicate in training or validation: 1 of 1 (100.00 %)\n" in printed
    assert "validation images with" not in printed
    assert "; the data set normalizes by 0.5000\n" in printed
    assert "inspection_Grey: classes.csv, classes.png, duplicates.png, findings.csv\n" in printed
    assert len(table(Path("inspection_Grey/classes.csv"))) == 1000


@pytest.fixture
def checkpoint() -> Path:
    content = checkpoint_of("MLP", {"hidden": [4]}, ["3", "5"])
    options = {"val_size": 50, "batch_size": 50, "classes": ["3", "5"]}
    data = {"class_path": "project.data.Digits", "init_args": options}
    environment = {"data": {"sha256": "of other images"}}
    settings = {"data": data, "model": {}, "trainer": {}}
    write({**content, "settings": settings, "environment": environment}, Path("digits.ckpt"))
    return Path("digits.ckpt")


def test_labels_that_a_network_contradicts(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = main(["inspect", "--ckpt_path", str(checkpoint)]).figures
    printed = capsys.readouterr().out
    assert "the images or their parts are not those of the training" in printed
    assert "small drawings, such as digits, may be alike without being the same\n" in printed
    data = Digits(val_size=50, batch_size=50, classes=["3", "5"])
    data.setup("test")
    expected = Counter()
    for part, images in (("validation", data.val), ("test", data.test)):
        predicted = project.load(checkpoint).logits(images.pixels.permute(0, 3, 1, 2)).argmax(1)
        for place in (predicted != images.labels).nonzero()[:, 0].tolist():
            label, other = data.class_names[images.labels[place]], data.class_names[predicted[place]]
            expected[part, str(place), label, other] += 1
    rows = [row for row in table(Path("inspection_Digits/findings.csv")) if row["finding"] == "contradicted label"]
    assert Counter((row["part"], row["image"], row["class"], row["other_class"]) for row in rows) == expected
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores)
    assert figures["contradicted_labels"] == len(rows) > 30
    total = len(data.val) + len(data.test)
    assert f"mistakes of the network on validation and test images: {len(rows)} of {total}\n" in printed
    assert "labels.png shows the labels that the network contradicts most; some may be wrong\n" in printed
    assert Path("inspection_Digits/labels.png").stat().st_size > 10_000


def test_checkpoint_of_other_classes(checkpoint: Path, error: Callable[..., str]) -> None:
    line = error("inspect", "--ckpt_path", str(checkpoint), "--data.classes", "[3, 4]")
    assert line.startswith("--ckpt_path digits.ckpt: a checkpoint of another network or other data (its class 1 is 5")
    line = error("inspect", "--ckpt_path", str(checkpoint), "--device", "nowhere")
    assert line.startswith("--device nowhere: this device cannot be used (")
    assert error("inspect", "--ckpt_path", "nothing").startswith("--ckpt_path nothing: no run in ")


def test_help_is_quick() -> None:
    code = (
        "import sys; from project.cli.main import main\n"
        "try: main(['inspect', '--help'])\n"
        "finally: print(sorted({'torch', 'lightning', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert "--ckpt_path" in done.stdout
    assert done.stdout.endswith("[]\n")
