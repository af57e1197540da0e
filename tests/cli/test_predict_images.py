"""`predict --images` answers for image files of any kind as the run does for its test images."""

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from project.checkpoints.files import read, write
from project.cli import progress
from project.cli.main import main
from project.system.tables import read_text
from project.use.image_files import FILES_AT_ONCE, predict_files
from project.use.predictor import BATCH
from tests.conftest import CONFIGS, REPOSITORY
from tests.data_sets import write_image_folder

CLASSES = ["=1+1", 'dog, "big"']
SETTINGS = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/image_folder.yaml")]
OPTIONS = ["--data.image_size", "16", "--data.batch_size", "4", "--data.workers", "0", "--trainer.accelerator", "cpu"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a folder of images and a run that has learned from them."""
    root = tmp_path_factory.mktemp("trained")
    write_image_folder(root / "images")
    for old, new in zip(("cat", "dog"), CLASSES, strict=True):
        (root / "images" / old).rename(root / "images" / new)
    words = [*SETTINGS, *OPTIONS, "--data.data_dir", str(root / "images"), "--trainer.default_root_dir", str(root)]
    main(["fit", *words, "--trainer.max_steps", "20"])
    return root


@pytest.fixture
def predict(root: Path) -> list[str]:
    """The words before the images."""
    checkpoint = root / "lightning_logs/mlp/version_0/checkpoints/last.ckpt"
    return ["predict", "--ckpt_path", str(checkpoint), "--images"]


def noise(path: str | bytes, height: int = 20, width: int = 30) -> None:
    pixels = np.random.default_rng(len(path)).integers(0, 256, (height, width, 3), np.uint8)
    with open(path, "wb") as file:
        Image.fromarray(pixels).save(file, "png")


def rows(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_same_answers_as_for_the_test_images(
    root: Path, predict: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SETTINGS, *OPTIONS, "--data.data_dir", str(root / "images"), "--trainer.precision", "32-true"]
    result = main(["predict", *words, "--ckpt_path", predict[2]])
    assert result.predictions is not None
    expected = rows(str(result.predictions))
    files = [str(root / "images" / row["image"]) for row in expected]
    assert len({Path(file).suffix for file in files}) == 2
    capsys.readouterr()
    assert main([*predict, *files, "--output", "out.csv", "--top", "1"]).predictions == Path("out.csv")
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "predictions of 22 images: out.csv"
    for file, line, row, known in zip(files, lines, rows("out.csv"), expected, strict=True):
        assert row["name"] == file
        assert row["class"] == known["predicted"]
        assert float(row["probability"]) == pytest.approx(float(known["probability"]), abs=2e-4)
        assert line == f"{file}  {read_text(row['class'])} {100 * float(row['probability']):.2f} %"


NAMES = [b"=cmd|' C calc'!A0.png", b"-x.png", b"+1.png", b"@SUM.png", b'a\nb,"c";=d.png', b"\xff\xfe.png", b"[a].png"]


def test_names_of_any_kind(predict: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder/-sub").mkdir(parents=True)
    for name in NAMES:
        noise(name)
        noise(b"folder/-sub/" + name)
    given = [os.fsdecode(name) for name in NAMES if not name.startswith(b"-")]
    main([*predict, *given, "./-x.png", "folder", "--output", "out.csv"])
    main([*predict, *given, "./-x.png", "folder", "--output", "out.jsonl"])
    expected = [*given, "./-x.png", *(f"folder/-sub/{os.fsdecode(name)}" for name in sorted(NAMES))]
    assert [json.loads(line)["name"] for line in Path("out.jsonl").read_text().splitlines()] == expected
    names = [row["name"] for row in rows("out.csv")]
    assert [os.fsencode(Path(name)) for name in names] == [os.fsencode(Path(name)) for name in expected]
    assert all(Path(name).is_file() for name in names)
    cells = [cell for row in rows("out.csv") for cell in (*row, *row.values())]
    assert not any(cell.startswith(tuple("=+-@\t\r\n")) for cell in cells)
    assert len(capsys.readouterr().out.splitlines()) == 2 * (len(expected) + 1)


def test_every_class_and_more_than_there_are(predict: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    noise("a.png")
    for ending in ("csv", "jsonl"):
        main([*predict, "a.png", "a.png", "--top", "99", "--all_classes", "--output", f"out.{ending}"])
    line, again = capsys.readouterr().out.splitlines()[:2]
    assert line == again
    table, values = rows("out.csv"), [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert len(table) == len(values) == 2
    for row, value in zip(table, values, strict=True):
        probabilities = [float(row[f"probability of {name}"]) for name in CLASSES]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert value["probabilities"] == dict(zip(CLASSES, probabilities, strict=True))
        assert read_text(row["class"]) == value["class"] == CLASSES[int(np.argmax(probabilities))]
        assert float(row["probability"]) == value["probability"] == max(probabilities)
        ranking = sorted(zip(probabilities, CLASSES, strict=True), reverse=True)
        assert line == "  ".join(["a.png", *(f"{name} {100 * probability:.2f} %" for probability, name in ranking)])


def test_damaged_files(predict: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder/.hidden").mkdir(parents=True)
    for name in ("b.png", "d.png", ".e.png", ".hidden/f.png"):
        noise(f"folder/{name}")
    Path("folder/a.txt").write_text("no image")
    Path("folder/c.png").write_bytes(Path("folder/b.png").read_bytes()[:300])
    os.mkfifo("folder/pipe")
    os.symlink("nowhere", "folder/link.png")
    with pytest.raises(SystemExit) as stopped:
        main([*predict, "folder", "--output", "folder/out.csv"])
    assert stopped.value.code == 1
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()[:-1]] == [
        f"folder/{name}" for name in ("a.txt", "b.png", "c.png", "d.png", "link.png", "pipe")
    ]
    assert "folder/a.txt  cannot be read: no image\n" in printed.out
    assert printed.out.endswith("predictions of 2 images: folder/out.csv\n")
    assert printed.err.startswith("4 of 6 files cannot be read: folder/a.txt (no image), folder/c.png (")
    assert "folder/link.png (No such file or directory), folder/pipe (not a regular file)\n" in printed.err
    assert [row["name"] for row in rows("folder/out.csv")] == ["folder/b.png", "folder/d.png"]
    with pytest.raises(SystemExit):  # the output itself is none of the images
        main([*predict, "folder", "--output", "folder/out.csv", "--force"])
    assert capsys.readouterr().err == printed.err


def test_worker_processes(
    predict: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The order and the answers are the same, over several batches of which one has a damaged file."""
    Path("folder").mkdir()
    for number in range(BATCH + 2 * FILES_AT_ONCE):
        noise(f"folder/{number}.png", 4 + number % 3, 5)
    Path("folder/77.png").write_text("")
    monkeypatch.setattr(progress, "SECONDS", -1)
    printed = []
    for workers in ("0", "2"):
        with pytest.raises(SystemExit, match="1"):
            main([*predict, "folder", "--workers", workers, "--output", f"{workers}.csv"])
        printed.append(capsys.readouterr())
    assert Path("0.csv").read_text() == Path("2.csv").read_text()
    assert printed[0].out.splitlines()[:-1] == printed[1].out.splitlines()[:-1]
    first, *_, last = printed[1].err.splitlines()
    assert first == "0 of 320 files"
    assert last == "1 of 320 files cannot be read: folder/77.png (no image)"
    assert [row["name"] for row in rows("2.csv")] == sorted(
        f"folder/{number}.png" for number in range(320) if number != 77
    )


def test_progress_on_a_terminal(
    predict: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line of the terminal is free before anything else is printed."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    noise("a.png", 4, 4)
    main([*predict, *["a.png"] * (BATCH + 1)])
    shown = capsys.readouterr().err.split(progress.CLEAR)
    assert shown[1] == "0 of 257 files"
    assert shown[3].startswith("256 of 257 files, 0:00:0")
    assert shown[5].startswith("257 of 257 files")
    assert [shown[index] for index in (0, 2, 4, 6)] == [""] * 4
    assert len(shown) == 7


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nope", "--force"], "--images nope: there is no such file or folder; give image files, or folders of them"),
        (["--force"], "--images: no images are there; give image files, or folders of them"),
        (["empty", "--force"], "--images empty: no images are there; give image files, or folders of them"),
        (["texts", "--force"], "--images texts: 1 of 1 files cannot be read: texts/a.txt (no image)"),
        (["a.png"], "--output out.csv: it exists; name another, or replace it by --force"),
        (["a.png", "--output", "nowhere/a.csv"], "--output nowhere/a.csv: there is no directory nowhere; make it"),
        (["a.png", "--output", "out.txt"], "--output out.txt: give a name that ends in .csv or .jsonl"),
        (["a.png", "--output", "taken.csv", "--force"], "--output taken.csv: it is a directory; name a file"),
        (["a.png", "--top", "0"], "--top 0: give a whole number of at least 1"),
        (["a.png", "--workers", "-1"], "--workers -1: give a whole number of at least 0"),
        (["a.png", "--force", "--device", "meta"], "--device meta: this device cannot be used ("),
        (["a.png", "--force", "--device", "abacus"], "--device abacus: this device cannot be used ("),
        (["a.png", "--force", "--ckpt_path", "no.ckpt"], "--ckpt_path no.ckpt: there is no such file"),
    ],
)
def test_refusals(words: list[str], line: str, predict: list[str], error: Callable[..., str]) -> None:
    noise("a.png")
    Path("empty").mkdir()
    Path("taken.csv").mkdir()
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("no image")
    Path("out.csv").write_text("earlier")
    assert error(*predict, "--output", "out.csv", "--images", *words).startswith(line)
    assert Path("out.csv").read_text() == "earlier"
    assert sorted(path.name for path in Path().iterdir()) == ["a.png", "empty", "out.csv", "taken.csv", "texts"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--top", "x"], "--top x: give a whole number"),
        (["--workers", "1.5"], "--workers 1.5: give a whole number"),
        (["--outptu", "x"], "--outptu x: no such option of this command; leave it out, or see --help"),
        (["--output"], "--output: expected one argument"),
    ],
)
def test_options_that_the_parser_refuses(
    words: list[str], line: str, predict: list[str], error: Callable[..., str]
) -> None:
    assert error(*predict, "a.png", *words) == line


def test_the_checkpoint_is_needed(error: Callable[..., str]) -> None:
    assert error("predict", "--images", "a.png") == "--ckpt_path: missing; give it, or see --help"


def test_a_network_of_ones_own(
    predict: list[str], capsys: pytest.CaptureFixture[str], error: Callable[..., str]
) -> None:
    """Its module is in the current directory, which is not on the path of scripts/main.py."""
    Path("mynet.py").write_text("from project.networks import MLP\nclass Net(MLP): pass\n")
    content = read(Path(predict[2]))
    write({**content, "network": {**content["network"], "class_path": "mynet.Net"}}, Path("own.ckpt"))
    noise("a.png")
    words = ["predict", "--ckpt_path", "own.ckpt", "--images", "a.png"]
    assert error(*words).startswith("mynet.Net: the checkpoint's class is not of this project")
    main([*words, "--allow", "mynet"])
    assert capsys.readouterr().out.startswith("a.png  ")
    assert str(Path.cwd()) not in sys.path
    del sys.modules["mynet"]


def test_every_class_needs_a_file(predict: list[str], error: Callable[..., str]) -> None:
    noise("a.png")
    line = "--all_classes: the probabilities go into a file; name it by --output"
    assert error(*predict, "a.png", "--all_classes") == line


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file may become larger than `size` bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("count", [1, 2000])
def test_full_disk_leaves_the_old_file(count: int, predict: list[str], error: Callable[..., str]) -> None:
    """The disk is full at the end, or while rows are written."""
    noise("a.png", 4, 4)
    Path("out.csv").write_text("earlier")
    with small_files(20):
        line = error(*predict, *["a.png"] * count, "--output", "out.csv", "--force", "--workers", "0")
    assert line == "--output out.csv: cannot be written (File too large); make room, or name another"
    assert Path("out.csv").read_text() == "earlier"
    assert [path.name for path in Path().glob(".*")] == []


def test_sigterm_leaves_no_half_file(predict: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    noise("a.png", 4, 4)

    def stopped(*args: object) -> Iterator[list[tuple[str, str]]]:
        yield from predict_files(*args)  # type: ignore[arg-type, misc]
        assert [path.name for path in Path().glob(".*")] == [".out.csv.unfinished"]
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("project.use.image_files.predict_files", stopped)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"):
        main([*predict, "a.png", "--output", "out.csv"])
    assert [path.name for path in Path().iterdir()] == ["a.png"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_one_file_needs_no_lightning(predict: list[str], root: Path) -> None:
    noise("a.png")
    code = (
        "import sys; from project.cli.main import main; main(sys.argv[1:]);"
        "print(sorted({'lightning', 'torchvision', 'tensorboard', 'rich', 'torchmetrics'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *predict, "a.png"]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    line, modules = done.stdout.splitlines()
    assert line.startswith("a.png  ")
    assert modules == "[]"
    assert done.stderr == ""


def test_a_run_that_was_moved(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(root / "lightning_logs/mlp/version_0", "moved")
    noise("a.png")
    main(["predict", "--images", "a.png", "--ckpt_path", "moved"])
    checkpoint, line = capsys.readouterr().out.splitlines()
    assert checkpoint == "checkpoint moved/checkpoints/last.ckpt, since the run has no best.ckpt"
    assert line.startswith("a.png  ")
