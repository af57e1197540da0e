"""`predict --images` answers for image files of any kind as the run does for its test images."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from project.checkpoints.files import read, write
from project.cli import progress
from project.cli.main import main
from project.system.tables import read_text
from project.use.image_files import FILES_AT_ONCE
from project.use.predictor import BATCH
from tests.cli.conftest import CLASSES, noise
from tests.conftest import REPOSITORY


def rows(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_same_answers_as_for_the_test_images(
    root: Path, predict: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = main(["predict", "--trainer.precision", "32-true", "--ckpt_path", predict[2]])
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
