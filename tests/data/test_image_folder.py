"""A folder of images: every mode is shown rightly, and every batch holds the same bits however it is read."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from project.cli.main import main
from project.data import ImageFolder, image_files
from project.data.augmentation import Augmentation
from project.data.batches import Batch, EvaluationBatches, TrainingBatches
from project.data.decoding import Preparation, decode
from project.data.image_files import ImageFiles, check_files
from project.data.images import ImagesInMemory
from project.data.normalisation import Normalisation
from project.data.transforms import Transforms
from project.system.errors import UserError
from tests.conftest import CONFIGS
from tests.data_sets import write_image_folder

SIDE = 16
NORMALISE = Normalisation((0.5, 0.25, 0.0), (0.5, 0.25, 1.0), torch.device("cpu"))


@pytest.fixture
def folder() -> Path:
    write_image_folder(Path("images"), count=20)
    return Path("images")


def data(**options: Any) -> ImageFolder:
    defaults = {"data_dir": "images", "image_size": SIDE, "batch_size": 4, "val_size": 4, "workers": 0}
    return ImageFolder(**(defaults | options))


TRANSFORMS = Transforms([v2.RandomCrop(SIDE, 2), v2.RandAugment(), v2.RandomErasing()], (3, SIDE, SIDE))


def ready(**options: Any) -> ImageFolder:
    module = data(**options)
    module.prepare_data()
    module.setup("fit")
    return module


def in_memory(files: ImageFiles) -> ImagesInMemory:
    decoded = [decode((files.folder / name).read_bytes(), Preparation((SIDE, SIDE))) for name in files.names]
    return ImagesInMemory(torch.stack(decoded), files.labels)


def training(images: Any, first: int = 0, rank: int = 0, world_size: int = 1, balanced: bool = False) -> list[Any]:
    """Images, labels, and what dropout would draw, of each batch."""
    drawn = Augmentation("random", shift=2, cutout=3, curriculum={8: 0.5})
    process, position = (rank, world_size), (3, first, 9 + first, 40)
    parts = (TRANSFORMS, None, balanced)
    batches = TrainingBatches(images, NORMALISE, 4, drawn, 1, lambda: position, *process, *parts)
    return [(*batch, torch.rand(3)) for batch in batches]


def same(ours: Any, theirs: Any) -> bool:
    pairs = list(zip(ours, theirs, strict=True))
    return bool(pairs) and all(torch.equal(one, other) for both in pairs for one, other in zip(*both, strict=True))


@pytest.mark.usefixtures("folder")
def test_batches_are_those_from_memory_whatever_the_number_of_workers() -> None:
    expected = training(in_memory(ready().train))  # type: ignore[arg-type]
    for workers in (0, 1, 2):
        files = ready(workers=workers).train
        assert same(training(files), expected)
        assert same(training(files, first=5), expected[5:])
    options = {"rank": 1, "world_size": 2, "balanced": True}
    assert same(training(files, **options), training(in_memory(files), **options))  # type: ignore[arg-type]


@pytest.mark.usefixtures("folder")
def test_evaluation_is_that_from_memory() -> None:
    def batches(images: Any, rank: int) -> list[Batch]:
        return list(EvaluationBatches(images, NORMALISE, 3, rank, 2))

    files = ready(workers=2).train
    for rank in (0, 1):
        assert same(batches(files, rank), batches(in_memory(files), rank))  # type: ignore[arg-type]


def test_reading_draws_nothing_from_torch(folder: Path) -> None:
    files = ready(workers=1).train
    before = torch.get_rng_state()
    list(files.read_batches(torch.arange(8), 4))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("folder")
def test_normalisation_is_that_of_the_training_images_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ready(val_size=0, workers=2)
    scaled = in_memory(module.train).pixels.numpy() / 255  # type: ignore[arg-type]
    assert module.mean == pytest.approx(scaled.mean((0, 1, 2)), abs=6e-6)
    assert module.std == pytest.approx(scaled.std((0, 1, 2)), abs=6e-6)
    monkeypatch.setattr("project.data.image_files.decode", None)  # would fail if a file were read again
    again = ready()
    assert (again.mean, again.std, again.fingerprint()) == (module.mean, module.std, ready().fingerprint())


@pytest.mark.usefixtures("folder")
def test_only_a_changed_file_is_checked_again(capsys: pytest.CaptureFixture[str]) -> None:
    before = ready().fingerprint()
    shutil.copy("images/dog/1.png", "images/cat/1.png")
    assert ready().fingerprint() != before
    copied = ready().fingerprint()
    for colour, number in (("red", 1), ("blue", 2)):  # of the same size in bytes
        Image.new("RGB", (9, 9), colour).save("images/dog/2.bmp")
        os.utime("images/dog/2.bmp", (number, number))
        assert ready().fingerprint() != copied
        copied = ready().fingerprint()
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["40", "1", "1", "1"]


@pytest.mark.usefixtures("folder")
def test_split_is_of_names_whatever_the_file_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ready()
    walk = os.walk
    monkeypatch.setattr(
        os, "walk", lambda *args, **options: [(f, d, n[::-1]) for f, d, n in [*walk(*args, **options)][::-1]]
    )
    second = ready()
    assert (len(first.train), len(first.val), len(first.test)) == (32, 4, 4)
    assert first.fingerprint() == second.fingerprint()
    parts = [set(part.names) for part in (first.train, first.val, first.test)]  # type: ignore[attr-defined]
    assert len(set.union(*parts)) == 40
    for part in (first.train, first.val, first.test):
        assert [("cat", "dog")[label] for label in part.labels] == [name[:3] for name in part.names]  # type: ignore[attr-defined]


def spoil(folder: Path) -> list[str]:
    """Damage and add files; give the start of the expected text about each."""
    whole = (folder / "cat/1.png").read_bytes()
    (folder / "cat/1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dog/notes.txt").write_text("no picture")
    (folder / "dog/empty.jpg").touch()
    (folder / "dog/lost.png").symlink_to("nowhere")
    (folder / "LICENSE").write_text("in no class's folder")
    for hidden in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "dog/desktop.ini"):
        (folder / hidden).write_text("the system's own")
    return [
        "LICENSE (in no",
        "cat/1.png (",
        "dog/empty.jpg (no image",
        "dog/lost.png (No such",
        "dog/notes.txt (no image",
    ]


def test_names_that_are_no_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = os.fsdecode(b"\xff.png")
    shutil.copy(folder / "cat/1.png", folder / "cat" / odd)
    (folder / "dog" / odd).touch()
    module = ready(skip_damaged=True, workers=1)
    assert f"cat/{odd}" in {*module.train.names, *module.val.names, *module.test.names}  # type: ignore[attr-defined]
    assert len(module.fingerprint()) == 64
    assert "dog/\\udcff.png (no image)" in capsys.readouterr().out
    training(module.train)


COMMAND = ["fit", "--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/image_folder.yaml")]
QUICK = ["--data.data_dir", "images", "--data.image_size", "16", "--data.batch_size", "4", "--data.shift", "2"]
WORDS = [*COMMAND, *QUICK, "--trainer.accelerator", "cpu"]


def test_damaged_files_are_named_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = spoil(folder)
    for _ in range(2):  # what is damaged is not forgotten
        with pytest.raises(SystemExit) as stopped:
            main([*WORDS, "--trainer.max_epochs", "1"])
        assert stopped.value.code == 2
        line = capsys.readouterr().err
        assert line.startswith("error: --data.data_dir images: 5 of 44 files are not intact images of a class: ")
        assert line.count("\n") == 1
        assert all(part in line for part in expected)
        assert "delete them, or leave them out by --data.skip_damaged true" in line
    assert not list(Path().glob("lightning_logs/*/*"))


def test_damaged_files_can_be_skipped_but_not_silently(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = spoil(folder)
    main([*WORDS, "--trainer.max_epochs", "1", "--data.skip_damaged", "true"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipping")]
    assert "5 of 44 files" in line
    assert all(part in line for part in expected)
    module = ready(skip_damaged=True)
    assert sum(len(part) for part in (module.train, module.val, module.test)) == 39
    saved = json.loads(Path("images/.checked-16.json").read_text())
    assert len(saved) == 39
    assert saved["cat/0.jpg"][2] == hashlib.sha256((folder / "cat/0.jpg").read_bytes()).hexdigest()


def test_a_file_damaged_during_a_run_is_named(folder: Path) -> None:
    for workers in (0, 1):
        files = ready(workers=workers).train
        content = (folder / "cat/2.png").read_bytes()
        (folder / "cat/2.png").write_bytes(b"")
        with pytest.raises(UserError, match=r"cat/2.png \(no image\); it was intact when it was checked"):
            list(files.read_batches(torch.arange(len(files)), 4))
        (folder / "cat/2.png").write_bytes(content)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"data_dir": "none"}, "--data.data_dir none: there is no such folder; give a folder"),
        ({"data_dir": "images/cat"}, "images/cat: has no files for two classes; give a folder"),
        ({"image_size": 0}, "--data.image_size 0: give a whole number of at least 1"),
        ({"workers": -1}, "--data.workers -1: give a whole number of at least 0"),
        ({"batch_size": 33}, "--data.batch_size 33: give a whole number from 1 to 32"),
        ({"classes": ["cat", "cow"]}, "name two or more of cat, dog"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_options(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected.replace("(", r"\(")):
        data(**options)


def test_the_last_line_of_a_long_check_has_all_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([0, 11, 11, 12, 13, 13])  # at the start, after each of three files, and at each line
    monkeypatch.setattr(image_files, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(image_files, "FILES_AT_ONCE", 1)
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.*"))[:3]]
    check_files(folder, names, Preparation((SIDE, SIDE)), workers=0)
    assert capsys.readouterr().out.splitlines()[1:] == ["checked 1 of 3", "checked 3 of 3"]
