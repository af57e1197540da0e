"""predict --images with a wrong option, without images, on a full disk, or stopped."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from project.cli.main import main
from project.use.image_files import predict_files
from tests.cli.conftest import noise


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
        (["a.png", "--top", "0"], "--top 0: give a whole number from 1 to 2147483648"),
        (["a.png", "--threads", "0"], "--threads 0: give a number from 1 to 1024"),
        (["a.png", "--workers", "-1"], "--workers -1: give a whole number from 0 to 512"),
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
        (["--output"], "--output: give a value"),
    ],
)
def test_options_that_the_parser_refuses(
    words: list[str], line: str, predict: list[str], error: Callable[..., str]
) -> None:
    assert error(*predict, "a.png", *words) == line


@pytest.mark.parametrize("name", ["-dash.png", "-h.png"])
def test_a_file_that_looks_like_an_option(name: str, predict: list[str], error: Callable[..., str]) -> None:
    noise(name)
    assert error(*predict, "=1+1.jpg", name) == f"{name}: a file, but read as an option; write ./{name}, or ./* for *"


def test_the_checkpoint_is_needed(error: Callable[..., str]) -> None:
    assert error("predict", "--images", "a.png") == "--ckpt_path: missing; give it, or see --help"


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
    assert line == "--output out.csv: it cannot be written (File too large); mend that, or name another"
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
