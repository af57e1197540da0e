"""Classes in files of the user's own, in the current folder and beside the YAML file."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from project.cli.main import main
from tests.cli.test_errors import QUICK
from tests.conftest import REPOSITORY

NETWORK = """
from torch import nn

class SmallCNN(nn.Sequential):
    def __init__(self, num_classes: int, channels=4):
        super().__init__(nn.Conv2d(3, channels, 3, 4), nn.Flatten(), nn.Linear(channels * 64, num_classes))
"""
LOSS = """
from torch import nn

class Loss(nn.CrossEntropyLoss):
    def __init__(self, label_smoothing: float = 0.0, reduction: str = "y"):
        super().__init__()
"""
DRY = ["--trainer.fast_dev_run", "1", "--trainer.accelerator", "cpu"]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Each test imports files of its own."""
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_in_the_current_folder() -> None:
    Path("own_here.py").write_text(NETWORK)
    main(["fit", *QUICK, *DRY, "--model.network", "own_here.SmallCNN", "--model.network.channels", "5"])


def test_in_a_folder_of_the_current_one() -> None:
    Path("own_folder").mkdir()
    Path("own_folder/nets.py").write_text(NETWORK)
    main(["fit", *QUICK, *DRY, "--model.network", "own_folder.nets.SmallCNN"])


def test_beside_the_yaml_file() -> None:
    Path("experiment").mkdir()
    Path("experiment/own_beside.py").write_text(NETWORK)
    Path("experiment/small.yaml").write_text("model: {network: {class_path: own_beside.SmallCNN}}")
    main(["fit", *QUICK, *DRY, "--config=experiment/small.yaml"])


def test_an_installed_module_is_never_shadowed(error: Callable[..., str]) -> None:
    Path("json.py").write_text("raise RuntimeError")
    Path("project.py").write_text("raise RuntimeError")
    sys.modules.pop("json.tool", None)
    main(["fit", *QUICK, *DRY])
    line = error("fit", "--model.network", "json.Net")
    assert line.startswith("--model.network Net: json (")
    assert "lib" in line


def test_options_of_the_same_name_mean_what_the_class_says() -> None:
    """torch's loss takes no such smoothing, and no such reduction."""
    Path("own_loss.py").write_text(LOSS)
    main(
        [
            "fit",
            *QUICK,
            *DRY,
            "--model.loss=own_loss.Loss",
            "--model.loss.label_smoothing=-1",
            "--model.loss.reduction=x",
        ]
    )


def test_an_option_without_a_type(error: Callable[..., str]) -> None:
    Path("own_untyped.py").write_text(NETWORK)
    line = error("fit", *QUICK, "--model.network", "own_untyped.SmallCNN", "--model.network.channels", "many")
    assert line.startswith("--model.network.channels many: ")
    assert line.endswith(" (own_untyped.py, line 6); --model.network.help own_untyped.SmallCNN shows what it takes")
    assert not list(Path().glob("lightning_logs/*/*"))


def test_a_file_with_a_mistake(error: Callable[..., str]) -> None:
    Path("own_broken.py").write_text("from torch import nn\nSIZE = SIDE * 3\n")
    line = error("fit", *QUICK, "--model.network", "own_broken.Net")
    assert line.endswith("name 'SIDE' is not defined (own_broken.py, line 2)")


def test_a_file_that_is_not_there(error: Callable[..., str]) -> None:
    line = error("fit", *QUICK, "--model.network", "own_nowhere.SmallCNN")
    assert line == (
        "--model.network own_nowhere.SmallCNN: Python finds no module own_nowhere; put it into the current folder, "
        "beside a file of --config, or where PYTHONPATH points"
    )


def test_a_class_that_is_not_there(error: Callable[..., str]) -> None:
    Path("own_other.py").write_text(NETWORK)
    line = error("fit", *QUICK, "--model.network", "own_other.SmallCN")
    assert line.startswith("--model.network SmallCN: own_other (")
    assert line.endswith("own_other.py) has no such class; did you mean SmallCNN?")


def test_an_untyped_argument_without_default_is_needed(error: Callable[..., str]) -> None:
    Path("own_needs.py").write_text(
        "from project.networks import MLP\nclass Needs(MLP):\n    def __init__(self, num_classes, width):\n"
        "        super().__init__(num_classes)\n"
    )
    line = error("fit", "--config", str(REPOSITORY / "configs/data/digits.yaml"), "--model.network", "own_needs.Needs")
    assert line == "--model.network.width null: Needs needs a value; give one"
