"""An exported network answers as the network does, with normalisation and softmax inside."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models.resnet import ResNet

import project
from project.checkpoints.files import read, write
from project.cli.main import main
from project.networks import resnet, timm_model
from project.training.calibration import fit_temperature
from project.use.export import Export
from project.use.formats import METADATA
from tests.conftest import REPOSITORY
from tests.data_sets import write_cifar10
from tests.use.checkpoints import STRANGE_NAMES, checkpoint_of

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install -e .[export]")
for package in ("onnx", "onnxscript", "onnxruntime", "safetensors"):
    pytest.importorskip(package, reason="pip install -e '.[export]'")
safetensors_torch = pytest.importorskip("safetensors.torch")
NETWORKS: dict[str, dict[str, Any]] = {
    "ConvNet": {"widths": [4, 4, 4, 4], "batch_norm": True},
    "MLP": {"hidden": [8]},
    "Perceptron": {},
    "ResNet18": {},
    "TimmModel": {"name": "test_vit", "image_size": 32},
    "TorchvisionModel": {"name": "squeezenet1_0", "image_size": 40},  # resizes and normalises images by itself
    "WhitenedConvNet": {"widths": [4, 4, 4]},
}
CALIBRATIONS: dict[str, dict[str, Any]] = {
    "ConvNet": {"temperature": 0.5, "images": 5, "views": "plain"},
    "MLP": {"temperature": 0.7, "images": 5, "views": "mirror_shift"},
    "Perceptron": {"temperature": 0.4, "images": 5, "views": "mirror"},
}
FORMS = ("onnx", "pt2", "safetensors")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
IMAGES //= np.array([1, 2, 4, 8, 16], np.uint8)[:, None, None, None]


def eager(checkpoint: dict[str, Any], pixels: np.ndarray) -> np.ndarray:
    """The probabilities of uint8 images [N, H, W, C], computed without project.use."""
    settings = checkpoint["network"]
    network = getattr(project.networks, settings["class_path"].rpartition(".")[2])(**settings["init_args"])
    network.load_state_dict({name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()})
    mean, std = (checkpoint["data"][name] for name in ("mean", "std"))
    if hasattr(network, "renormalise_from"):
        network.renormalise_from(mean, std)
    images = torch.from_numpy((pixels / 255 - np.array(mean)) / np.array(std)).float().permute(0, 3, 1, 2)
    calibration = checkpoint.get("calibration", {"temperature": 1, "views": "plain"})
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    moved = [torch.from_numpy(padded[:, :, place : place + 32, place : place + 32]) for place in (0, 2)]
    weights = {"plain": [1], "mirror": [1 / 2] * 2, "mirror_shift": [1 / 4] * 2 + [1 / 8] * 4}[calibration["views"]]
    views = [view for plain in (images, *moved) for view in (plain, plain.flip(3))]
    network.eval()
    logits = sum(weight * network(view) for weight, view in zip(weights, views, strict=False))
    return (logits / calibration["temperature"]).softmax(1).detach().numpy()


@pytest.fixture
def short_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet18 has one block in each of its four stages, and timm's network one of its six equal blocks."""
    build = timm_model._build

    def built(*args: Any) -> Any:
        backbone = build(*args)
        backbone.blocks = backbone.blocks[:1]
        return backbone

    monkeypatch.setattr(timm_model, "_build", built)
    monkeypatch.setattr(resnet, "ResNet", lambda block, _, **options: ResNet(block, [1, 1, 1, 1], **options))


@pytest.mark.usefixtures("short_networks")
@pytest.mark.parametrize("network", NETWORKS)
def test_each_form_of_each_network_answers_as_the_network(network: str) -> None:
    if network == "TimmModel":
        pytest.importorskip("timm", reason="pip install -e '.[timm]'")
    checkpoint = checkpoint_of(network, NETWORKS[network], ["cat", "dog"])
    if network in CALIBRATIONS:
        checkpoint["calibration"] = CALIBRATIONS[network]
        plain = eager({**checkpoint, "calibration": {"temperature": 1, "views": "plain"}}, IMAGES)
        assert np.abs(eager(checkpoint, IMAGES) - plain).max() > 1e-3
    write(checkpoint, Path("small.ckpt"))
    pixels = IMAGES
    expected = eager(checkpoint, pixels)
    assert expected.std(0).max() > 3e-4  # the images differ for the network, so a wrong answer would show
    for form in FORMS:
        result = main(["export", "--ckpt_path", "small.ckpt", "--to", form])
        assert result.figures["equal_answers"] == 6
    for file in ("small.onnx", "small.pt2"):
        assert str(REPOSITORY).encode() not in Path(file).read_bytes()
    session = onnxruntime.InferenceSession("small.onnx")
    assert [value.shape for value in (*session.get_inputs(), *session.get_outputs())] == [["N", 32, 32, 3], ["N", 2]]
    program = torch.export.load("small.pt2").module()
    loaded = project.load("small_safetensors")
    for number in (1, 2, 5):
        some = pixels[:number]
        answers = {
            "onnx": session.run(["probabilities"], {"images": some})[0],
            "pt2": program(torch.from_numpy(some)).detach().numpy(),
            "safetensors": loaded.probabilities(some).numpy(),
        }
        for form, answer in answers.items():
            np.testing.assert_allclose(answer, expected[:number], atol=1e-5, err_msg=form)


def metadata_of(path: Path) -> dict[str, Any]:
    if path.suffix == ".onnx":
        values = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
        return {name: json.loads(value) for name, value in values.items()}
    files = {METADATA: ""}
    torch.export.load(path, extra_files=files)
    return json.loads(files[METADATA])


def test_metadata_has_all_that_is_needed_to_use_the_file(
    small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    small["calibration"] = CALIBRATIONS["MLP"]
    write(small, Path("small.ckpt"))
    for form in ("onnx", "pt2"):
        main(["export", "--ckpt_path", "small.ckpt", "--to", form])
        metadata = metadata_of(Path(f"small.{form}"))
        assert metadata["class_names"] == STRANGE_NAMES
        assert metadata["preparation"] == small["data"]["preparation"]
        assert metadata["calibration"] == small["calibration"]
        assert metadata["normalisation"] == {"mean": [0.2, 0.4, 0.6], "std": [0.1, 0.2, 0.3], "inside": True}
        assert metadata["input"] == {"shape": ["N", 32, 32, 3], "type": "uint8 from 0 to 255"}
        assert metadata["comparison"].pop("largest_difference") < 1e-5
        assert metadata["comparison"] == {"images": 6, "equal_answers": 6, "source": "validation images"}
        assert f"{form}: 6 of 6 answers equal on validation images, largest" in capsys.readouterr().out
    assert Path("small.pt2").stat().st_size < 3 * Path("small.onnx").stat().st_size  # no images are in it


def test_validation_images_are_those_of_the_run(small: dict[str, Any]) -> None:
    data = project.data.Digits(val_size=100)
    data.setup("validate")
    pixels, source = Export(Path("small.ckpt"), small, "onnx", Path("small.onnx"))._images()
    assert source == "validation images"
    assert torch.equal(pixels, data.val.pixels[:6])


def test_random_images_take_the_place_of_missing_data(
    small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    small["settings"]["data"] = {"class_path": "project.data.CIFAR10", "init_args": {"data_dir": "elsewhere"}}
    write(small, Path("small.ckpt"))
    result = main(["export", "--ckpt_path", "small.ckpt", "--to", "pt2"])
    assert result.figures["source"] == "random images"
    assert "random images are used: CIFAR10 cannot be read:" in capsys.readouterr().out
    assert not Path("elsewhere").exists()


def test_missing_data_is_given_by_the_option_of_export(
    small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    small["settings"]["data"] = {"class_path": "project.data.ImageFolder", "init_args": {"data_dir": "elsewhere"}}
    Export(Path("small.ckpt"), small, "onnx", Path("small.onnx"))._images()
    printed = capsys.readouterr().out
    assert printed.startswith("random images are used: ImageFolder cannot be read: --data_dir elsewhere: ")
    assert "--data.data_dir" not in printed


def test_without_validation_images_the_test_images_are_compared(cifar10_dir: Path) -> None:
    config = ["--config", str(REPOSITORY / "configs/mlp.yaml"), "--data.data_dir", str(cifar10_dir)]
    main(["fit", *config, "--data.val_size", "0", "--trainer.max_steps", "1"])
    figures = main(["export", "--ckpt_path", "last", "--to", "pt2"]).figures
    assert (figures["source"], figures["images"]) == ("test images", figures["equal_answers"])


def test_data_that_has_moved_is_found(small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path / "moved", monkeypatch)
    small["settings"]["data"] = {"class_path": "project.data.CIFAR10", "init_args": {"batch_size": 32}}
    write(small, Path("small.ckpt"))
    result = main(["export", "--ckpt_path", "small.ckpt", "--to", "pt2", "--data_dir", "moved"])
    assert result.figures["source"] == "validation images"


def test_floats_are_an_option(small: dict[str, Any]) -> None:
    main(["export", "--ckpt_path", "small.ckpt", "--to", "onnx", "--input", "float"])
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    session = onnxruntime.InferenceSession("small.onnx")
    (answer,) = session.run(None, {"images": pixels.astype(np.float32) / 255})
    np.testing.assert_allclose(answer, eager(small, pixels), atol=1e-5)


def test_averaged_weights_are_exported(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), "--trainer.callbacks+=AveragedWeights"])
    main(["export", "--ckpt_path", "best", "--to", "pt2", "--output", "mlp.pt2"])
    data = project.data.Digits(val_size=180)
    data.setup("test")
    classes = torch.export.load("mlp.pt2").module()(data.test.pixels).argmax(1)
    results = json.loads(Path("lightning_logs/mlp/version_0/results.json").read_text())
    assert (classes == data.test.labels).float().mean().item() == pytest.approx(results["test/accuracy"])
    validation_logits = project.load("best").logits(data.val.pixels.numpy())
    assert fit_temperature(validation_logits, data.val.labels) == pytest.approx(results["temperature"], rel=1e-4)
    last = read(Path("lightning_logs/mlp/version_0/checkpoints/last.ckpt"))
    assert not torch.equal(last["state_dict"]["network.1.weight"], last["current_model_state"]["network.1.weight"])


def test_weights_are_exported_without_their_class(
    small: dict[str, Any], error: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    small["network"] = {"class_path": "gone.Network", "init_args": {}}
    write(small, Path("small.ckpt"))
    for form in ("onnx", "pt2"):
        assert error("export", "--ckpt_path", "small.ckpt", "--to", form, "--allow", "gone").startswith(
            "gone.Network: this class cannot be imported (No module named 'gone'); put its module where Python finds "
            "it, or export the weights alone with --to safetensors"
        )
    result = main(["export", "--ckpt_path", "small.ckpt", "--to", "safetensors", "--allow", "gone"])
    assert result.figures == {}
    assert "the weights are exported without a comparison: gone.Network" in capsys.readouterr().out
    weights = safetensors_torch.load_file("small_safetensors/model.safetensors")
    assert torch.equal(weights["1.weight"], small["state_dict"]["network.1.weight"])
