"""--model.weights: a network of any kind begins with the tensors of a file that fit."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import DenseNet, get_model

from project.cli.main import main
from project.networks import ConvNet, ResNet18, TorchvisionModel, WhitenedConvNet
from project.networks.weights import read_weights, take_weights
from project.training.classifier import Classifier
from tests.conftest import CONFIGS

FIT = ["fit", "--config", str(CONFIGS / "convnet.yaml"), "--config", str(CONFIGS / "data/digits.yaml")]
QUICK = ["--trainer.max_steps", "1", "--trainer.accelerator", "cpu", "--data.batch_size", "20"]
TWO = ["--data.classes", "['0', '1']", "--data.val_size", "200"]
FIRST = "lightning_logs/convnet/version_0"
SMALL = ["--model.network.widths", "[8, 8, 8, 8]"]


def saved(version: int, name: str = "convnet") -> dict[str, torch.Tensor]:
    path = f"lightning_logs/{name}/version_{version}/checkpoints/last.ckpt"
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def test_a_run_begins_with_the_weights_of_another(
    capsys: pytest.CaptureFixture[str], error: Callable[..., str]
) -> None:
    """A learning rate of nearly 0 leaves the parameters as they were."""
    words = [*FIT, *QUICK, *SMALL]
    main([*words, "--trainer.callbacks+", "AveragedWeights"])
    capsys.readouterr()
    again = [*words, "--model.lr_scheduler", "null", "--model.optimizer.lr", "1e-30", "--model.weights"]
    main([*again, "convnet", *TWO])
    last = f"{FIRST}/checkpoints/last.ckpt"  # nothing was validated
    line = f"--model.weights {last} (the averaged weights): 26 of 28 tensors are taken; "
    line += "new: head.2.weight [2, 32] (file: [10, 32]), head.2.bias [2] (file: [10])"
    assert line in capsys.readouterr().out.splitlines()
    ours, theirs = saved(1), saved(0)
    for name in (name for name in ours if "running" not in name and "num_batches" not in name):
        assert (name in theirs and torch.equal(ours[name], theirs[name])) == ("head.2" not in name)
    assert f"weights: {last}" in Path("lightning_logs/convnet/version_1/config.yaml").read_text()
    # A run that goes on needs the file no more.
    Path(last).rename("moved.ckpt")
    main([*again, last, *TWO, "--trainer.max_steps", "2", "--ckpt_path", "last"])
    both = [*again, "moved.ckpt", *TWO, "--ckpt_path", "best", "--trainer.max_steps", "3"]
    assert error(*both).startswith(
        "--model.weights moved.ckpt: lightning_logs/convnet/version_1/checkpoints/last.ckpt has"
    )
    other = error(*FIT, *QUICK, "--model.network", "ResNet18", "--model.weights", "moved.ckpt")
    assert other.startswith(
        "--model.weights moved.ckpt: none of its tensors fits the network: its first is network.feat"
    )
    content = bytearray(Path("moved.ckpt").read_bytes())
    content[-1] ^= 1
    Path("moved.ckpt").write_bytes(content)
    assert error(*again, "moved.ckpt") == "--model.weights moved.ckpt: its digest differs; give another, such as best"


def test_a_file_of_torchvisions_densenet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = DenseNet(4, (2, 2), 8, num_classes=1000)
    state = source.state_dict()
    for key in [key for key in state if "denselayer" in key]:  # as torchvision's own file has them
        state[re.sub(r"(norm|conv)([12])", r"\1.\2", key)] = state.pop(key)
    for key in [key for key in state if "num_batches_tracked" in key]:  # which old files lack
        del state[key]
    torch.save({"model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "weights.pth")
    network = nn.ModuleDict({"backbone": DenseNet(4, (2, 2), 8, num_classes=3)})
    taken = take_weights(network, read_weights(tmp_path / "weights.pth")[0])
    assert taken.new == (
        "backbone.classifier.weight [3, 16] (file: [1000, 16])",
        "backbone.classifier.bias [3] (file: [1000])",
    )
    loaded = network["backbone"].state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in source.state_dict().items() if "classifier" not in key)
    assert taken.unused == ()


def test_other_prefixes() -> None:
    """The same layers inside other modules: all but the first layer, which has another size, and the head."""
    network = ResNet18(3)
    taken = take_weights(network, get_model("resnet18").state_dict())
    assert [line.partition(" ")[0] for line in taken.new] == [
        "layers.conv1.weight",
        "layers.fc.weight",
        "layers.fc.bias",
    ]
    assert str(taken).endswith("layers.fc.bias [3] (file: [1000])")
    torch.manual_seed(1)
    source = TorchvisionModel(2, name="squeezenet1_1", image_size=32)
    assert take_weights(nn.ModuleDict({"inner": nn.ModuleDict({"net": source})}), source.state_dict()).new == ()


def test_the_whitening_of_the_file_stays(cifar10_dir: Path) -> None:
    words = ["fit", "--config", str(CONFIGS / "speed.yaml"), "--data.data_dir", str(cifar10_dir), *QUICK]
    words += ["--model.network.widths", "[4, 4, 4]", "--data.val_size", "20"]
    main([*words, "--data.classes", "[cat, dog]"])
    main([*words, "--model.weights", "lightning_logs/speed", "--data.classes", "[ship, truck, bird]"])
    first, second = (saved(version, "speed")["network.whitening.weight"] for version in (0, 1))
    assert torch.equal(first, second)


def test_files_without_weights() -> None:
    network = ConvNet(10, widths=(8, 8, 8, 8))
    state = network.state_dict()
    contents = {
        "infinite": state | {"features.0.weight": state["features.0.weight"] / 0},
        "module": nn.Linear(1, 1),
        "list": [1, 2],
        "empty": {},
        "bias": {"bias": torch.zeros(10)},  # of the head's shape
        "whole": state,
    }
    for name, content in contents.items():
        torch.save(content, f"{name}.pth")
    Path("half.pth").write_bytes(Path("whole.pth").read_bytes()[:10_000])
    Path("text.pth").write_text("weights")
    expected = {
        "infinite": "features.0.weight has numbers that are not finite",
        "module": "it has more than tensors; save the network's state_dict()",
        "list": "it has no tensors by name; save a network's state_dict()",
        "empty": "it has no tensors by name; save a network's state_dict()",
        "bias": "none of its tensors fits the network: its first is bias [10], the network's features.0.weight",
        "text": "it is no file of torch's, or damaged",
        "half": "it is no file of torch's, or damaged",
        "none": "there is no such file",
    }
    for name, reason in expected.items():
        with pytest.raises(ValueError, match=re.escape(reason)):
            take_weights(network, read_weights(Path(f"{name}.pth"))[0])


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ("none.pth", "there is no such file"),
        ("missing", "no run in lightning_logs/missing has a checkpoint"),
        ("https://a.b/c.pth", "an address in a network; fetch what is there, and give a path"),
    ],
)
def test_weights_that_are_not_there(error: Callable[..., str], weights: str, reason: str) -> None:
    assert error(*FIT, *QUICK, "--model.weights", weights).startswith(f"--model.weights {weights}: {reason}")
    assert not list(Path().glob("lightning_logs/*/*"))


def test_a_safetensors_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source, network = WhitenedConvNet(2), WhitenedConvNet(3)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    taken = take_weights(network, read_weights(tmp_path / "model.safetensors")[0])
    assert taken.new == ("head.weight [3, 256] (file: [2, 256])",)
    (tmp_path / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match="no whole safetensors file"):
        read_weights(tmp_path / "model.safetensors")


def test_weights_of_the_loss_are_not_the_networks() -> None:
    classifier = Classifier(ConvNet(2), 2, nn.CrossEntropyLoss(weight=torch.ones(2)))
    assert take_weights(ConvNet(2), classifier.state_dict()).new == ()
