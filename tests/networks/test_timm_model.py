"""timm's networks: a fit, a test and a prediction with one; its input; its weights; what is wrong with its options."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from project.cli.main import main
from project.networks import TimmModel, pretrained
from project.system.errors import UserError
from tests.conftest import CONFIGS

timm = pytest.importorskip("timm", reason="pip install -e '.[timm]'")
NETWORK = ["--model.network", "TimmModel", "--model.network.name", "test_vit", "--model.network.image_size", "32"]
FIT = ["fit", "--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/digits.yaml"), *NETWORK]
QUICK = ["--trainer.max_steps", "2", "--trainer.accelerator", "cpu"]
FINETUNING = ["--trainer.callbacks", "Finetuning", "--trainer.callbacks.layer_decay", "0.75"]


def test_from_a_fit_to_a_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    main([*FIT, *QUICK, *FINETUNING])
    tested = main(["test", "--ckpt_path", "last"]).figures["test/accuracy"]
    assert f"test/accuracy {100 * tested:.2f} %" in capsys.readouterr().out
    Image.new("RGB", (40, 50)).save("photo.png")
    main(["predict", "--ckpt_path", "last", "--images", "photo.png"])
    assert "photo.png" in capsys.readouterr().out
    main([*FIT, *QUICK, "--model.weights", "lightning_logs/mlp/version_0", "--data.classes", "['1', '7']"])
    assert "new: heads.0.weight [2, 64] (file: [10, 64])" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_its_own_input(name: str) -> None:
    """timm's own transform of an image of its own size, and the network of timm with the same weights."""
    network = TimmModel(3, name=name).eval()
    pixels = torch.randint(256, (2, 3, 160, 160), dtype=torch.uint8)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])
    network.renormalise_from(mean.tolist(), std.tolist())
    images = (pixels / 255 - mean[:, None, None]) / std[:, None, None]
    config = timm.data.resolve_model_data_config(network.backbone) | {"crop_pct": 1.0}
    transform = timm.data.create_transform(**config)
    own = torch.stack([transform(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in pixels])
    torch.testing.assert_close(network.input(images), own, atol=1e-5, rtol=0)
    assert network.input(torch.zeros(1, 1, 8, 8)).shape == (1, 3, 160, 160)
    source = timm.create_model(name, num_classes=3).eval()
    source.load_state_dict(network.backbone.state_dict() | _head_of(network, source))
    torch.testing.assert_close(network(images), source(own), atol=1e-4, rtol=0)


def _head_of(network: TimmModel, source: Any) -> dict[str, torch.Tensor]:
    name = source.default_cfg["classifier"]
    return {f"{name}.{part}": value for part, value in network.heads[0].state_dict().items()}


def test_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    source = timm.create_model("test_vit", num_classes=0, img_size=32)
    create = timm.create_model
    network = TimmModel(3, name="test_vit", weights="r160_in1k", image_size=32)

    def fetched(name: str, pretrained: bool = False, **options: Any) -> Any:
        assert (name, pretrained, options) == ("test_vit.r160_in1k", True, {"num_classes": 0, "img_size": 32})
        return source

    monkeypatch.setattr(timm, "create_model", fetched)
    pretrained.load_weights(network)
    assert all(torch.equal(value, network.backbone.state_dict()[key]) for key, value in source.state_dict().items())

    def unreachable(*args: Any, **options: Any) -> Any:
        raise OSError("no network. Check the connection")

    monkeypatch.setattr(timm, "create_model", unreachable)
    line = (
        "weights r160_in1k: timm's weights of test_vit.r160_in1k cannot be fetched or read .no network.; try again, or"
    )
    with pytest.raises(UserError, match=line):
        pretrained.load_weights(network)
    monkeypatch.setattr(timm, "create_model", create)


CASES = [
    (["name", "test_vt"], "--model.network.name test_vt: timm has no such network; the nearest are test_vit"),
    (
        ["weights", "none"],
        "--model.network.weights none: timm has no such weights of test_vit; give default or r160_in1k",
    ),
    (["image_size", "0"], "--model.network.image_size 0: give at least 1"),
    (["image_size", "8"], "--model.network project.networks.TimmModel: AssertionError Input height (8) should be div"),
]


@pytest.mark.parametrize(("option", "line"), CASES, ids=[" ".join(option) for option, _ in CASES])
def test_options(error: Callable[..., str], option: list[str], line: str) -> None:
    assert error(*FIT, *QUICK, f"--model.network.{option[0]}", option[1]).startswith(line)
    assert not list(Path().glob("lightning_logs/*/*"))


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ValueError, match=r"^--model.network TimmModel: timm is not installed; pip install -e '.\[timm\]'$"
    ):
        TimmModel(3)
