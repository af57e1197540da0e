"""A checkpoint can be used without anything else: by Lightning, by test and predict, and by project.load."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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


def test_what_a_checkpoint_says(finished_run: Callable[..., None]) -> None:
    finished_run()
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
    finished_run: Callable[..., None], value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    finished_run()
    figures = json.loads((RUN / "results.json").read_text())
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


def test_a_checkpoint_without_settings(finished_run: Callable[..., None], error: Callable[..., str]) -> None:
    finished_run()
    write({name: value for name, value in read(BEST).items() if name != "settings"}, Path("bare.ckpt"))
    expected = "--ckpt_path bare.ckpt: it has no settings; give its run's config.yaml with --config"
    assert error("test", "--ckpt_path", "bare.ckpt") == expected
    with pytest.raises(UserError, match="no such file"):
        Classifier.load_from_checkpoint("missing.ckpt")


def changed(settings: dict[str, Any]) -> None:
    """Write changed.ckpt: the best checkpoint with these settings in it, a mapping merged into the one there."""

    def merge(target: dict[str, Any], source: dict[str, Any]) -> None:
        for name, value in source.items():
            if isinstance(value, dict) and isinstance(target.get(name), dict):
                merge(target[name], value)
            else:
                target[name] = value

    checkpoint = read(BEST)
    merge(checkpoint, settings)
    write(checkpoint, Path("changed.ckpt"))


EVIL = {"class_path": "torch.distributed.launcher.api.elastic_launch", "init_args": {"entrypoint": "/usr/bin/touch"}}


def test_settings_run_no_code(finished_run: Callable[..., None], error: Callable[..., str]) -> None:
    finished_run()
    Path("evil.py").write_text("import pathlib\npathlib.Path('ran').write_text('')\nclass Net: ...\n")
    hook = {"class_path": "lightning.pytorch.callbacks.LambdaCallback", "init_args": {"on_test_start": EVIL}}
    changed({"settings": {"trainer": {"callbacks": [hook], "logger": EVIL, "plugins": [EVIL], "precision": "a.b"}}})
    main(["test", "--ckpt_path", "changed.ckpt"])  # they are not read
    for network in ("{class_path: evil.Net}", {"class_path": "evil.Net"}, "evil.Net"):
        changed({"settings": {"model": {"network": network}}})
        line = error("test", "--ckpt_path", "changed.ckpt")
        assert line.startswith("evil.Net: the checkpoint names this class")
        assert line.endswith("give --allow evil")
    for path in (EVIL["class_path"], "torch.os.system", "lightning.pytorch.callbacks.LambdaCallback", "numpy.save"):
        for place in ({"model": {"loss": {"init_args": {"weight": str({"class_path": path})}}}}, {"data": EVIL}):
            changed({"settings": place})
            assert "it is no network, loss or data set; if you trust" in error("test", "--ckpt_path", "changed.ckpt")
    changed({"settings": {"data": "evil.Data", "model": 5}})
    assert "its settings are damaged (" in error("test", "--ckpt_path", "changed.ckpt")
    assert not Path("ran").exists()


DAMAGED: dict[str, dict[str, Any]] = {
    "its data has a damaged class_names": {"data": {"class_names": ["a"]}},
    "its data has a damaged image_shape": {"data": {"image_shape": [3, 32]}},
    "its data has a damaged mean": {"data": {"mean": [0.5]}},
    "its data has a damaged std": {"data": {"std": [0.5, 0.5, 0.0]}},
    "its calibration is damaged": {"calibration": {"temperature": float("nan")}},
    "its calibration is damaged; give": {"calibration": {"views": "foo"}},
    "its network has 7 outputs, and its data 10 class names": {"network": {"init_args": {"num_classes": 7}}},
    "where the path of a class has to be": {"network": {"class_path": 5}},
}


def test_a_damaged_description(finished_run: Callable[..., None]) -> None:
    finished_run()
    for problem, change in DAMAGED.items():
        changed(change)
        with pytest.raises(UserError, match=problem):
            project.load("changed.ckpt")


def test_views_are_kept_without_validation_images(digits: Callable[..., list[str]]) -> None:
    result = main(["fit", *digits(), "--data.val_size", "0", "--model.test_views", "mirror"])
    predictor = project.load("last")
    assert predictor.calibration == {"views": "mirror"}
    assert result.directory is not None
    data = project.data.Digits()
    data.setup("test")
    with np.load(result.directory / "test.npz") as test:
        logits = predictor.logits(data.test.pixels.numpy())  # type: ignore[attr-defined]
        torch.testing.assert_close(logits, torch.from_numpy(test["logits"]), rtol=0.05, atol=0.05)  # bfloat16
        plain = project.load("last")
        plain.calibration = {}
        assert (plain.logits(data.test.pixels.numpy()) - logits).abs().max() > 0.5  # type: ignore[attr-defined]
