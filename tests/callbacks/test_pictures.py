"""The pictures that a fit leaves; nothing else in the run depends on them."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from project.cli.main import main
from project.training.classifier import Classifier

FIT = ["--model.network.hidden", "[16]", "--trainer.limit_train_batches", "2"]
NAMES = ["classes", "confusion", "curves", "mistakes", "reliability", "training_batch"]


def image_steps(run: Path) -> dict[str, list[int]]:
    """The steps of TensorBoard's images by their tags, which all begin with visual/."""
    events = EventAccumulator(str(run), {"images": 0})
    events.Reload()
    tags = events.Tags()["images"]
    assert all(tag.startswith("visual/") for tag in tags)
    return {tag.removeprefix("visual/"): [event.step for event in events.Images(tag)] for tag in tags}


def test_pictures_change_nothing_else(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[Any] = []
    original = Classifier.training_step

    def training_step(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        batches.append([part.clone() for part in batch])
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", training_step)
    words = ["fit", *digits(epochs=2), *FIT, "--data.shift", "2", "--pictures"]
    drawn, plain = main([*words, "true"]), main([*words, "false"])
    assert drawn.directory is not None
    assert plain.directory is not None
    assert sorted(path.stem for path in (drawn.directory / "pictures").glob("*.png")) == NAMES
    assert sorted((drawn.directory / "pictures").iterdir()) == sorted((drawn.directory / "pictures").glob("*.png"))
    assert not (plain.directory / "pictures").exists()
    assert drawn.figures["temperature"] == plain.figures["temperature"]
    steps = {"train/batch": [0], "val/confusion": [3]}
    assert image_steps(drawn.directory) == steps | {
        f"test/{name}": [3] for name in ("classes", "confusion", "mistakes", "reliability")
    }
    weights = [torch.load(run.directory / "checkpoints/last.ckpt")["state_dict"] for run in (drawn, plain)]  # type: ignore[operator]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for figures in zip(drawn.metrics(), plain.metrics(), strict=True):
        first, second = ({name: row[name] for name in row if not name.endswith("_second")} for row in figures)
        assert first == second
    assert drawn.figures["per_class"].keys() == set("0123456789")
    assert drawn.figures["per_class"] == plain.figures["per_class"]
    _check_training_batch(drawn.directory / "pictures/training_batch.png", batches[0][0])


def _check_training_batch(file: Path, images: torch.Tensor) -> None:
    """The first image of the picture is the first that the network got, each pixel a square of 4 x 4."""
    shown = np.asarray(Image.open(file))[44 + 2 : 44 + 128 : 4, 12 + 2 : 12 + 128 : 4]
    assert np.corrcoef(shown.ravel(), images[0].permute(1, 2, 0).ravel())[0, 1] > 0.9999


def test_each_validation_and_resumed(
    digits: Callable[..., list[str]], stop_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("project.callbacks.pictures.SECONDS", 0.0)
    words = [*digits(epochs=3), *FIT, "--trainer.limit_test_batches", "0", "--pictures", "true"]
    stop_at(3, words)
    pictures = Path("lightning_logs/mlp/version_0/pictures")
    first = pictures / "training_batch.png"
    first.write_text("from the first start")
    main(["fit", *words, "--ckpt_path", "last"])
    assert sorted(path.stem for path in pictures.iterdir()) == ["confusion", "curves", "training_batch"]
    assert first.read_text() == "from the first start"
    assert image_steps(pictures.parent) == {"train/batch": [0], "val/confusion": [1, 3, 5]}


def test_a_full_disk_ends_no_run(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def save(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    result = main(["fit", *digits(), *FIT, "--pictures", "true"])
    assert result.figures["test/accuracy"] > 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("pictures: ")]
    assert lines == ["pictures: training_batch.png is not drawn: No space left on device"]


def test_none_without_a_run_directory(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), "--trainer.fast_dev_run", "true", "--pictures", "true"])
    assert not list(Path().rglob("*.png"))
