"""Fixtures of the tests of export."""

from pathlib import Path
from typing import Any

import pytest

from project.checkpoints.files import write
from project.use import export
from tests.use.checkpoints import STRANGE_NAMES, checkpoint_of


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "IMAGES", 6)
    monkeypatch.setattr(export, "BATCH", 4)


@pytest.fixture
def small() -> dict[str, Any]:
    """A checkpoint in small.ckpt, of a network for classes with strange names and of data that is at hand."""
    checkpoint = checkpoint_of("MLP", {"hidden": [4]}, STRANGE_NAMES)
    checkpoint["settings"] = {"data": {"class_path": "project.data.Digits", "init_args": {"val_size": 100}}}
    write(checkpoint, Path("small.ckpt"))
    return checkpoint
