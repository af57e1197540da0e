"""Fixtures of the command line's tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from project.cli.main import main
from tests.cli.own_parts import OTHERS, OWN
from tests.conftest import CONFIGS
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
    crop = ["--data.transforms", "[{class_path: RandomResizedCrop, init_args: {size: 16}}]"]
    main(["fit", *words, *crop, "--trainer.max_steps", "20"])
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


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The words that fit mlp.yaml on the digits, where Python finds mine.py."""
    (tmp_path / "torch").mkdir()  # a folder of that name is not torch's own
    monkeypatch.chdir(tmp_path / "torch")
    for name, text in {"mine.py": OWN, **OTHERS}.items():
        Path(name).write_text(text)
    monkeypatch.syspath_prepend(Path.cwd())
    yield ["--config", str(CONFIGS / "data/digits.yaml"), "--trainer.accelerator", "cpu"]
    sys.modules.pop("mine", None)
