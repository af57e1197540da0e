"""torchvision's networks: their new heads, their own input, their weights, and what is wrong with a file of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import get_model, get_model_builder, get_model_weights, list_models, regnet

from project.cli.main import main
from project.data import download as archive
from project.networks import ResNet18, TorchvisionModel, pretrained
from project.networks.torchvision_model import AUXILIARY
from project.system.errors import UserError
from project.training.classifier import Classifier
from tests.conftest import CONFIGS

NAMES = list_models(module=torchvision.models)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
SMALL = ["--model.network.image_size", "32", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]
FIT = ["fit", "--config", str(CONFIGS / "finetune.yaml"), "--config", str(CONFIGS / "data/digits.yaml"), *SMALL]


@pytest.fixture
def regnet_can_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """RegNet computes its widths with tensors, which must have numbers where its own have none."""
    original = regnet.BlockParams.from_init_params

    def computed(*args: Any, **options: Any) -> Any:
        with torch.device("cpu"):
            return original(*args, **options)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", computed)


def empty(name: str, **options: Any) -> TorchvisionModel:
    """A network whose tensors have no numbers, which cost nothing."""
    with torch.device("meta"):
        return TorchvisionModel(7, name=name, **options)


def test_resnet18_for_cifar() -> None:
    network = ResNet18(10)
    assert sum(weights.numel() for weights in network.parameters()) == 11_173_962
    shapes: list[torch.Size] = []
    network.layers.layer4.register_forward_hook(lambda *seen: shapes.append(seen[2].shape))
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert shapes == [(2, 512, 4, 4)]
    assert network.layers.conv1.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.1)  # as He et al.'s
    assert ResNet18(7, (1, 8, 8))(torch.randn(2, 1, 8, 8)).shape == (2, 7)


def with_new_head(name: str) -> TorchvisionModel:
    network = empty(name)
    assert [head.out_features for head in network.heads] == [7] * {"inception_v3": 2, "googlenet": 3}.get(name, 1)
    assert all(getattr(layer, "out_features", 0) != 1000 for layer in network.backbone.modules())
    return network


@torch.no_grad()
@pytest.mark.usefixtures("regnet_can_be_empty")
def test_every_kind_of_network_gives_logits_by_a_new_head() -> None:
    kinds = {get_model_builder(name).__module__: name for name in reversed(NAMES)}  # the first of each kind
    assert len(kinds) > 15
    for name in kinds.values():
        assert with_new_head(name).eval()(torch.zeros(2, 3, 32, 32, device="meta")).shape == (2, 7)


@pytest.mark.slow
@pytest.mark.skipif("BENCHMARKS" not in os.environ, reason="set BENCHMARKS to make every network of torchvision")
@pytest.mark.usefixtures("regnet_can_be_empty")
def test_every_network_has_a_new_head() -> None:
    for name in NAMES:
        with_new_head(name)


@pytest.mark.parametrize(
    ("name", "side", "tolerance"),
    # torchvision's resizing rounds to whole pixel values.
    [("resnet18", 80, 1e-5), ("resnet18", 200, 0.01), ("efficientnet_v2_l", 200, 0.01), ("inception_v3", 80, 1e-5)],
)
def test_its_own_input(name: str, side: int, tolerance: float) -> None:
    """An image that the data has normalised is what torchvision's own preset makes of its pixels."""
    pixels = torch.randint(256, (2, 3, side, side), dtype=torch.uint8)
    preset = get_model_weights(name).DEFAULT.transforms(crop_size=80, resize_size=80)
    network = empty(name, image_size=80)
    network.scale, network.offset = torch.ones(3, 1, 1), torch.zeros(3, 1, 1)
    network.renormalise_from(MEAN, STD)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    torch.testing.assert_close(network.input((pixels / 255 - mean) / std), preset(pixels), atol=tolerance, rtol=0)


def test_grey_images_and_its_own_size() -> None:
    network = TorchvisionModel(7, (1, 8, 8), name="squeezenet1_1")
    network.renormalise_from([0.3], [0.5])
    images = network.input(torch.randn(2, 1, 8, 8))
    assert images.shape == (2, 3, 224, 224)
    own = (images * torch.tensor(network.std)[:, None, None]) + torch.tensor(network.mean)[:, None, None]
    torch.testing.assert_close(own[:, 0], own[:, 2])


@pytest.mark.parametrize(("name", "side", "weight"), [("inception_v3", 299, 0.4), ("googlenet", 64, 0.3)])
def test_auxiliary_heads_count_in_the_loss_alone(name: str, side: int, weight: float) -> None:
    torch.manual_seed(0)
    network = TorchvisionModel(3, name=name, image_size=side)
    classifier = Classifier(network, 3, nn.CrossEntropyLoss())
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 2])
    torch.manual_seed(1)  # of dropout
    _, reported, loss = classifier.training_losses(images, labels)
    torch.manual_seed(1)
    logits, *auxiliary = network(images)
    assert len(auxiliary) == len(network.heads) - 1 > 0
    main_loss = nn.functional.cross_entropy(logits, labels)
    expected = main_loss + weight * sum(nn.functional.cross_entropy(more, labels) for more in auxiliary)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(reported, main_loss)
    loss.backward()
    assert all(weights.grad is not None for weights in network.parameters())
    assert network.eval()(images).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "side"), [("inception_v3", 75), ("googlenet", 32), ("densenet121", 32), ("mnasnet0_5", 32)]
)
def test_a_file_of_torchvision(name: str, side: int) -> None:
    source = get_model(name, **{"init_weights": True} if name in AUXILIARY else {})
    state = source.state_dict()
    for key in [key for key in state if "denselayer" in key]:  # as torchvision's own file has them
        old = key.replace("norm1", "norm.1").replace("norm2", "norm.2").replace("conv1", "conv.1")
        state[old.replace("conv2", "conv.2")] = state.pop(key)
    network = TorchvisionModel(3, name=name, image_size=side)
    network.load_weights(state)
    loaded = network.backbone.state_dict()
    assert all(torch.equal(weights, source.state_dict()[key]) for key, weights in loaded.items())
    assert len(loaded) > 0


@pytest.mark.parametrize("name", AUXILIARY)
def test_weights_of_a_run_from_random_ones_are_of_the_same_images(name: str) -> None:
    assert empty(name).backbone.transform_input == empty(name, weights="default").backbone.transform_input


@pytest.fixture
def error(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a fit ends with, before it has begun a run."""

    def line_of(*args: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main([*FIT, *args])
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert not list(Path().glob("lightning_logs/*/*"))
        return line

    return line_of


CASES = [
    (["--model.network.name", "resnt18"], "--model.network.name resnt18: torchvision has no such network; the nearest"),
    (["--model.network.weights", "none.pth"], "no such weights of resnet18; give default or IMAGENET1K_V1, or a file"),
    (["--model.network.image_size", "31"], "--model.network.image_size 31: resnet18 needs at least 32"),
    (["--model.network.name", "maxvit_t", "--model.network.image_size", "300"], "maxvit_t cannot take it (Input size"),
    (
        ["--model.network", "Perceptron", "--data.classes", "[0, 1]"],
        "Finetuning: Perceptron has no layers before a last linear one",
    ),
    (["--model.optimizer", "MuonSGD"], "--model.optimizer MuonSGD: has groups of its own"),
    (["--trainer.callbacks.rate", "0"], "Finetuning's rate 0.0 must be above 0"),
    (["--trainer.callbacks.layer_decay", "0"], "Finetuning's layer_decay 0.0 must be above 0, at most 1"),
    (["--trainer.callbacks.layer_decay", "2"], "Finetuning's layer_decay 2.0 must be above 0, at most 1"),
    (["--trainer.callbacks.layer_decay", ".nan"], "--trainer.callbacks.layer_decay .nan: give a finite number"),
    (["--trainer.callbacks.unfreeze_at_epoch", "-1"], "Finetuning's unfreeze_at_epoch -1 must be at least 0"),
]


@pytest.mark.usefixtures("resnet18_weights")
@pytest.mark.parametrize(("options", "expected"), CASES, ids=[" ".join(options) for options, _ in CASES])
def test_option(error: Callable[..., str], options: list[str], expected: str) -> None:
    assert expected in error(*options)


def test_weights_that_cannot_be_fetched(
    error: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(url: str, timeout: float) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(archive.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(archive, "urlopen", unreachable)
    line = error()
    folder = tmp_path / "torch/hub/checkpoints"
    assert line.startswith("error: --model.network.weights default: resnet18-f37072fd.pth is not there and https://")
    assert f"put resnet18-f37072fd.pth into {folder}, or give a file as --model.weights" in line
    assert list(folder.iterdir()) == []


def test_fetched_weights_are_checked(
    error: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(archive.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(archive, "download", lambda url, path, seconds: path.write_bytes(b"half of it"))
    assert "its SHA-256 sum differs" in error()
    assert list((tmp_path / "torch/hub/checkpoints").iterdir()) == []


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
def test_weights_of_another_image_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        whole = get_model("vit_b_32").state_dict()
    path = tmp_path / "hub/checkpoints" / Path(get_model_weights("vit_b_32").DEFAULT.url).name
    path.parent.mkdir(parents=True)
    torch.save({name: torch.zeros(1).expand(value.shape) for name, value in whole.items()}, path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = empty("vit_b_32", weights="default", image_size=256)
    with pytest.raises(UserError, match=r"pos_embedding.*; give the --model.network.image_size that they were trained"):
        pretrained.load_weights(network)


def test_a_damaged_file_of_the_default_weights(
    error: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "torch/hub/checkpoints/resnet18-f37072fd.pth"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"half of it")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert f"{damaged} is damaged; delete {damaged} to fetch it anew" in error()


def test_a_run_begins_with_another_ones_weights() -> None:
    words = [*FIT, "--model.network.name", "squeezenet1_1"]
    main([*words, "--model.network.weights", "null", "--trainer.callbacks", "null"])
    first = Path("lightning_logs/finetune/version_0/checkpoints/last.ckpt")
    main([*words, "--model.weights", str(first)])  # its only epoch trains the head alone; default's are not read
    second = Path("lightning_logs/finetune/version_1/checkpoints/last.ckpt")
    ours, theirs = (torch.load(path, weights_only=True)["state_dict"] for path in (first, second))
    for name, weights in ours.items():
        assert torch.equal(weights, theirs[name]) == ("heads" not in name)


def test_a_checkpoint_needs_no_other_weights() -> None:
    weights = Path("weights.pth")
    torch.save(state := get_model("squeezenet1_1").state_dict(), weights)
    words = [*FIT[1:], "--model.network.name", "squeezenet1_1", "--model.weights", str(weights)]
    main(["fit", *words])
    weights.unlink()
    main(["test", *words, "--ckpt_path", "last"])
    main(["fit", *words, "--trainer.max_steps", "2", "--ckpt_path", "last"])
    saved = torch.load("lightning_logs/finetune/version_0/checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
    name = "features.0.weight"
    assert torch.equal(saved["state_dict"][f"network.backbone.{name}"], state[name])
