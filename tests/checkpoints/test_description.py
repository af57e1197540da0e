"""A checkpoint can be used without anything else: by Lightning, by test and predict, and by project.load."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

import project
from project.checkpoints.files import read, write
from project.cli.main import main
from project.networks import MLP
from project.system.errors import UserError
from project.training.classifier import Classifier

RUN = Path("lightning_logs/mlp/version_0")
BEST = RUN / "checkpoints/best.ckpt"


def test_what_a_checkpoint_says(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits()])
    best, last = read(BEST), read(RUN / "checkpoints/last.ckpt")
    assert best["figures"] == json.loads((RUN / "results.json").read_text())
    assert "figures" not in last
    assert best["experiment"] == "mlp"
    assert best["environment"] == yaml.safe_load((RUN / "environment.yaml").read_text())
    settings = yaml.safe_load((RUN / "config.yaml").read_text())
    assert best["settings"] == {name: value for name, value in settings.items() if name not in ("config", "ckpt_path")}


def test_load_from_checkpoint(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), "--model.loss.weight", str([1, 2, 1, 1, 1, 1, 1, 1, 1, 1])])
    shutil.move(BEST, "alone.ckpt")
    shutil.rmtree("lightning_logs")
    model = Classifier.load_from_checkpoint("alone.ckpt", test_views="mirror")
    assert isinstance(model.network, MLP)
    assert model.test_views == "mirror"
    assert model.loss.weight.tolist() == [1, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    for name, value in read(Path("alone.ckpt"))["state_dict"].items():
        assert torch.equal(model.state_dict()[name], value)
    images = torch.rand(2, 32, 32, 3)
    mean, std = (torch.tensor(read(Path("alone.ckpt"))["data"][name]) for name in ("mean", "std"))
    expected = model.eval()(((images - mean) / std).permute(0, 3, 1, 2))
    torch.testing.assert_close(project.load("alone.ckpt").logits(images.permute(0, 3, 1, 2)), expected)


@pytest.mark.parametrize("value", ["best", "mlp", str(RUN), "lightning_logs/mlp", str(BEST), "moved"])
def test_evaluation_without_config(
    digits: Callable[..., list[str]], value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = main(["fit", *digits()]).figures
    if value == "moved":
        shutil.move(RUN, "moved")
        shutil.rmtree("lightning_logs")
    tested = main(["test", "--ckpt_path", value])
    assert tested.figures["test/accuracy"] == figures["test/accuracy"]
    validated = main(["validate", "--ckpt_path", value, "--data.batch_size", "7"])  # an option that is given wins
    assert validated.figures["val/accuracy"] == figures["val/accuracy"]
    predictions = main(["predict", "--ckpt_path", value]).predictions
    assert predictions is not None
    assert predictions.name == "best.predictions.csv"
    assert not Path("lightning_logs").exists() or [path.name for path in RUN.parent.iterdir()] == ["version_0"]


def test_a_class_of_ones_own_has_to_be_allowed(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    Path("own_net.py").write_text(
        "from project.networks import MLP\nclass Net(MLP):\n    def __init__(self, num_classes: int):\n"
        "        super().__init__(num_classes)\n"
    )
    own = [word for word in digits() if "mlp" not in word]
    main(["fit", "--model.network", "own_net.Net", *own[1:], "--name", "own"])
    best = "lightning_logs/own/version_0/checkpoints/best.ckpt"
    del sys.modules["own_net"]
    line = error("test", "--ckpt_path", best)
    assert line.startswith("own_net.Net: the checkpoint names this class, which is not of this project")
    assert line.endswith("give --allow own_net")
    assert "own_net" not in sys.modules
    main(["test", "--ckpt_path", best, "--allow", "own_net"])
    main(["test", "--ckpt_path", best])  # it is imported already


def test_a_checkpoint_without_settings(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    main(["fit", *digits()])
    write({name: value for name, value in read(BEST).items() if name != "settings"}, Path("bare.ckpt"))
    expected = "--ckpt_path bare.ckpt: it has no settings; give its run's config.yaml with --config"
    assert error("test", "--ckpt_path", "bare.ckpt") == expected
    with pytest.raises(UserError, match="no such file"):
        Classifier.load_from_checkpoint("missing.ckpt")
