"""A trained network that is loaded with project.load answers as it did in its run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import datasets

import project
from project.checkpoints.classes import instantiate
from project.checkpoints.files import read, write
from project.cli.main import main
from project.data.decoding import Preparation
from project.networks import MLP
from project.system.errors import UserError
from project.use.images import pixels_of
from project.use.predictor import Predictor
from tests.conftest import REPOSITORY

RUN = Path("lightning_logs/mlp/version_0")


@pytest.fixture
def trained(cifar10_dir: Path) -> Predictor:
    """A network that has learned the small CIFAR-10."""
    config = ["--config", str(REPOSITORY / "configs/mlp.yaml"), "--data.data_dir", str(cifar10_dir)]
    main(["fit", *config, "--trainer.max_epochs", "2"])
    return project.load("best")


def test_it_answers_as_in_the_run(trained: Predictor, cifar10_dir: Path) -> None:
    test = datasets.CIFAR10(str(cifar10_dir), train=False)
    labels = [trained.class_names[label] for label in test.targets]
    checkpoint = torch.load(RUN / "checkpoints/best.ckpt", weights_only=True)
    network = MLP(10)
    network.load_state_dict({name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()})
    mean, std = (torch.tensor(checkpoint["data"][name])[:, None, None] for name in ("mean", "std"))
    expected = network((torch.from_numpy(test.data).permute(0, 3, 1, 2) / 255 - mean) / std).detach()
    forms = {
        "array": test.data,
        "floats": test.data.astype(np.float32) / 255,
        "tensor": torch.from_numpy(test.data).permute(0, 3, 1, 2),
        "images": [Image.fromarray(image) for image in test.data],
        "one by one": list(test.data),
    }
    for name, images in forms.items():
        torch.testing.assert_close(trained.logits(images), expected, rtol=1e-4, atol=1e-4, msg=name)
        predictions = trained.predict(images, top=3)
        probabilities, classes = (expected / checkpoint["calibration"]["temperature"]).softmax(1).topk(3)
        assert [prediction.name for prediction in predictions] == [trained.class_names[row[0]] for row in classes]
        for prediction, row in zip(predictions, probabilities.tolist(), strict=True):
            assert [probability for _, probability in prediction.top] == pytest.approx(row, abs=1e-4)
    accuracy = np.mean([prediction.name == label for prediction, label in zip(predictions, labels, strict=True)])
    assert accuracy == pytest.approx(json.loads((RUN / "results.json").read_text())["test/accuracy"])


def test_files(trained: Predictor, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save("noise.png")
    Image.fromarray(noise[:, ::-1]).save("turned.png", exif=_exif(orientation=2))
    Image.new("RGB", (90, 50), "red").save("red.jpg")
    ours, turned, one = trained.logits(["noise.png", Path("turned.png"), noise])
    assert torch.equal(ours, one)
    assert torch.equal(ours, turned)
    assert trained.predict("red.jpg")[0].name in trained.class_names
    assert len(trained.predict([])) == 0
    classes = "('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', ...)"
    assert repr(trained) == f"Predictor(network=MLP, class_names={classes}, image_shape=(3, 32, 32))"


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_other_numbers_of_channels() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    (color,) = pixels_of(grey, 3, Preparation((8, 8)))
    assert color.shape == (8, 8, 3)
    assert torch.equal(color[..., 0], torch.from_numpy(grey) / 255)
    (luminance,) = pixels_of(np.full((8, 8, 3), (10, 20, 30), np.uint8), 1, Preparation((8, 8)))
    assert luminance.shape == (8, 8, 1)
    assert luminance[0, 0].item() * 255 == pytest.approx(18)
    (fraction,) = pixels_of(np.full((8, 8, 3), (0.1, 0.2, 0.3)), 1, Preparation((8, 8)))
    assert fraction[0, 0].item() == pytest.approx(0.299 * 0.1 + 0.587 * 0.2 + 0.114 * 0.3, abs=1e-5)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (grey,) = pixels_of(noise, 1, Preparation((64, 64)))
    assert np.array_equal((grey[..., 0] * 255).round(), np.asarray(Image.fromarray(noise).convert("L")))


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        ("missing.png", "missing.png: No such file"),
        (np.zeros((4, 4, 7), np.uint8), "images: an array of the shape [4, 4, 7]; give [H, W, C]"),
        (np.zeros((4, 4, 3), np.int64), "images: an array of int64; give uint8 from 0 to 255"),
        (np.full((4, 4, 3), 2.0), "images: floats from 2 to 2; give floats from 0 to 1"),
        (np.full((4, 4, 3), np.nan), "images: floats from nan to nan"),
        (torch.zeros(4, 4), "images: a tensor of 2 dimensions"),
        ([object()], "images: a value of type object; give paths"),
        (5, "images: a value of type int; give paths"),
        (".", ".: a folder; give its files, or use main.py predict --images ."),
    ],
)
def test_images_that_are_none(images: object, problem: str) -> None:
    with pytest.raises(UserError) as raised:
        list(pixels_of(images, 3, Preparation((8, 8))))  # type: ignore[arg-type]
    assert str(raised.value).startswith(problem)


def test_a_checkpoint_runs_no_code_that_is_not_trusted(
    finished_run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished_run()
    own = {**read(RUN / "checkpoints/best.ckpt"), "network": {"class_path": "mynet.Net", "init_args": {}}}
    write(own, Path("own.ckpt"))
    Path("mynet.py").write_text("import torch\nprint('code runs')\nclass Net(torch.nn.Linear): pass\n")
    monkeypatch.syspath_prepend(Path.cwd())
    with pytest.raises(UserError, match=r"mynet.Net: the checkpoint's class is not of this project.* --allow mynet"):
        project.load("own.ckpt")
    assert "mynet" not in sys.modules
    with pytest.raises(UserError, match=r"mynet.Net cannot be made with the arguments in the checkpoint"):
        project.load("own.ckpt", allow=["mynet"])
    del sys.modules["mynet"]
    for class_path in ("torch.hub.load", "torch.load", "nowhere", "", "torch.nn.Nothing", "os.system"):
        with pytest.raises(UserError, match=class_path or "the checkpoint names ''"):
            instantiate({"class_path": class_path})


def test_arguments_of_a_checkpoint() -> None:
    loss = instantiate({"class_path": "torch.nn.CrossEntropyLoss", "init_args": {"weight": [1, 2, 3]}})
    assert isinstance(loss, nn.CrossEntropyLoss)
    assert torch.equal(loss.weight, torch.tensor([1.0, 2.0, 3.0]))


def test_neither_lightning_nor_the_command_line_is_imported(finished_run: Callable[..., None]) -> None:
    finished_run()
    code = (
        "import sys, project; heavy = {'torch', 'lightning', 'jsonargparse', 'tensorboard', 'torchvision'};"
        "print(sorted(heavy & set(sys.modules))); project.load('best').predict([]);"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[0] == "[]"
    assert done.stdout.splitlines()[-1] == "['torch']"
