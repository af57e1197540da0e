"""What speed.yaml uses: a network made from the data, averaged weights, several views, every image for training."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from project.cli.main import main
from project.networks import WhitenedConvNet
from project.networks.test_time_augmentation import views_logits

RUN = Path("lightning_logs/speed/version_0")


@pytest.fixture
def small(digits: Callable[..., list[str]]) -> Callable[..., list[str]]:
    def words(epochs: int = 1) -> list[str]:
        return [*digits("speed", epochs), "--model.network.widths", "[8, 8, 8]", "--data.curriculum", "{16: 0.5}"]

    return words


def saved(name: str = "last") -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(RUN / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"]
    return weights


def test_whitening_is_computed_once(small: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Size] = []
    original = WhitenedConvNet.initialize

    def initialize(self: WhitenedConvNet, images: torch.Tensor) -> None:
        seen.append(images.shape)
        original(self, images)

    monkeypatch.setattr(WhitenedConvNet, "initialize", initialize)
    main(["fit", *small(1)])
    first = saved()["network.whitening.weight"]
    main(["fit", *small(2), "--ckpt_path", "last"])
    main(["test", *small(2), "--ckpt_path", "last"])
    assert seen == [(1000, 3, 32, 32)]
    assert torch.equal(saved()["network.whitening.weight"], first)


def test_averaged_weights_are_what_is_kept(small: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    callback = "--trainer.callbacks"
    main(["fit", *small(), callback, "EMAWeightAveraging", f"{callback}.decay", "0.9"])
    checkpoint = torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)
    averaged, current = checkpoint["state_dict"], checkpoint["current_model_state"]
    torch.testing.assert_close(averaged["network.whitening.weight"], current["network.whitening.weight"])
    assert not torch.equal(averaged["network.head.weight"], current["network.head.weight"])
    loss = json.loads((RUN / "results.json").read_text())["test/loss"]
    capsys.readouterr()
    main(["test", *small(), "--ckpt_path", "best"])
    assert f"test/loss {loss:.4f}\n" in capsys.readouterr().out  # the averaged weights were tested, as they were kept
    main(["fit", *small(2), callback, "EMAWeightAveraging", f"{callback}.decay", "0.9", "--ckpt_path", "last"])
    assert json.loads((RUN / "results.json").read_text())["epochs"] == 2


def test_every_image_can_be_trained_on(small: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *small(), "--data.val_size", "0"])
    results = json.loads((RUN / "results.json").read_text())
    assert results["steps"] == 1437 // 100
    assert (results["val/accuracy"], results["checkpoint"]) == (None, "checkpoints/last.ckpt")
    assert 0 < results["test/accuracy"] <= 1
    assert 0 < results["test/accuracy_mirror_shift"] <= 1
    assert "warn" not in capsys.readouterr().err.lower()


@pytest.mark.parametrize(("views", "passes"), [("plain", 1), ("mirror", 2), ("mirror_shift", 6)])
def test_each_view_is_passed_once(
    small: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, views: str, passes: int
) -> None:
    seen: list[torch.Tensor] = []
    original = WhitenedConvNet.forward

    def forward(self: WhitenedConvNet, images: torch.Tensor) -> torch.Tensor:
        if not self.training:
            seen.append(images)
        return original(self, images)

    main(["fit", *small(), "--trainer.max_steps", "2", "--trainer.limit_test_batches", "0"])
    monkeypatch.setattr(WhitenedConvNet, "forward", forward)
    main(["test", *small(), "--model.test_views", views, "--trainer.limit_test_batches", "1", "--ckpt_path", "last"])
    tested = [images for images in seen if len(images) == 360]  # not those of the trial
    assert len(tested) == passes
    assert len({images.double().mul(torch.arange(32)).sum().item() for images in tested}) == passes


def test_views() -> None:
    images = torch.arange(2 * 36.0).view(2, 1, 6, 6)

    def corner(images: torch.Tensor) -> torch.Tensor:
        return images[:, :, 0, 0]

    plain = corner(images)
    assert torch.equal(views_logits(corner, images, "plain", plain), images[:, :, 0, 0])
    assert torch.equal(views_logits(corner, images, "mirror", plain), (images[:, :, 0, 0] + images[:, :, 0, 5]) / 2)
    # Moved down and right the corner shows pixel (1, 1) reflected; moved up and left it shows pixel (1, 1) itself.
    shifted = (images[:, :, 1, 1] + images[:, :, 1, 4] + images[:, :, 1, 1] + images[:, :, 1, 4]) / 4
    expected = (images[:, :, 0, 0] + images[:, :, 0, 5]) / 4 + shifted / 2
    torch.testing.assert_close(views_logits(corner, images, "mirror_shift", plain), expected)
