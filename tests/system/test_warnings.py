"""Nothing but a run's own lines reaches a terminal: each warning that no filter names is an error here.

What a new release of a library warns of makes one of these tests fail.
"""

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from project.cli.main import main
from project.data.decoding import read_in_workers
from project.system.process import quieten
from tests.conftest import CONFIGS, REPOSITORY
from tests.data_sets import write_image_folder


@pytest.fixture
def every_warning_is_an_error(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In this process, set up as by scripts/main.py."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "argv", ["program", "with", "words"])
    levels = {name: logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quieten()
        yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


IMAGES = ["--config", str(CONFIGS / "data/image_folder.yaml"), "--data.data_dir", "images", "--data.workers", "1"]
DIGITS = ["--config", str(CONFIGS / "data/digits.yaml"), "--data.batch_size", "100"]
KINDS = {
    "digits": DIGITS,
    "images": [*IMAGES, "--data.batch_size", "20"],
    "unvalidated": [*DIGITS, "--data.val_size", "0"],
    "callbacks": [
        *(*DIGITS, "--trainer.callbacks+=EMAWeightAveraging"),
        *("--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks+=LearningRateMonitor"),
    ],
}


@pytest.mark.usefixtures("every_warning_is_an_error")
@pytest.mark.parametrize("kind", KINDS)
def test_no_warnings(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    write_image_folder(Path("images"), count=30)
    words = ["--config", str(CONFIGS / "mlp.yaml"), *KINDS[kind], "--trainer.accelerator", "cpu"]
    main(["fit", *words, "--trainer.max_steps", "3", "--trainer.max_epochs", "2"])  # ends in the middle of an epoch
    main(["fit", *words, "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    for command in ("test", "predict", *(["validate"] if kind != "unvalidated" else [])):
        main([command, *words, "--ckpt_path", "last"])
    printed = capfd.readouterr()
    assert printed.err == ""
    assert "continuing lightning_logs/mlp/version_0 after 3 steps" in printed.out


def test_no_warnings_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    write_image_folder(Path("images"), count=30)
    srun = Path("bin/srun").absolute()
    srun.parent.mkdir()
    srun.touch(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}:{os.environ['PATH']}")
    words = ["--config", str(CONFIGS / "mlp.yaml"), *KINDS["images"], "--trainer.max_epochs", "1"]
    command = [sys.executable, "-W", "error", str(REPOSITORY / "scripts/main.py"), "fit", *words]
    done = subprocess.run([*command, "--trainer.accelerator", "cpu"], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0
    assert len(list(Path("lightning_logs/mlp/version_0/pictures").glob("*.png"))) == 6  # by default


class Parents(Dataset[int]):
    def __getitem__(self, place: int) -> int:
        return os.getppid()


@pytest.mark.skipif(sys.platform != "linux", reason="where no process is forked")
def test_workers_are_the_runs_own() -> None:
    """And not a server's, Python's default from 3.14 on, which a signal to all processes of a job ends."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("forkserver", force=True)
    (found,) = read_in_workers(Parents(), [[0, 1]], 1, torch.tensor)
    multiprocessing.set_start_method(before, force=True)
    assert found.tolist() == [os.getpid()] * 2
