"""What of a user's own does not fit is heard before the data is read, in one line."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CONFIGS

OWN = """
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR

class Seven(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3072, 7)

    def forward(self, images):
        return self.layer(images.flatten(1))

class Narrow(Seven):
    def forward(self, images):
        return nn.functional.linear(images, torch.zeros(10, 5))

class Pair(Seven):
    def forward(self, images):
        return images, images

class Fading(ExponentialLR):
    pass

class Lonely(ExponentialLR):
    def __init__(self, optimizer):
        super().__init__(optimizer, 0.9)

def reduce(logits, labels):
    return logits.mean()
"""
OTHERS = {"needs.py": "import nothing_like_it", "spoiled.py": "class Network:\ndef"}
OWN_PARTS = [
    (["--model.network", "mine.Seven"], "--model.network mine.Seven: gives [3, 7] for 3 images; give logits [N, 10]"),
    (["--model.network", "mine.Seven", "--data.classes", "[0, 1]", "--data.val_size", "9"], "give logits [N, 2]"),
    (["--model.network", "mine.Narrow"], "--model.network mine.Narrow: mat1 and mat2 shapes cannot be multiplied"),
    (["--model.network", "mine.Narrow"], "(mine.py, line 16); it gets images [3, 3, 32, 32]"),
    (["--model.network", "mine.Pair"], "--model.network mine.Pair: gives a tuple for 3 images; give logits [N, 10]"),
    (["--model.network", "mine.Eight"], "--model.network Eight: mine has no such class"),
    (["--model.network", "mine.py"], "--model.network mine.py: give a class of it, as in mine.ClassName"),
    (["--model.network", "mine.reduce"], "--model.network mine.reduce: no class of the kind Module; give one"),
    (
        ["--model.network", "needs.Network"],
        "--model.network needs.Network: its module needs nothing_like_it, which is not",
    ),
    (["--model.network", "spoiled.Network"], "spoiled.py, line 2: "),
    (["--model.loss", "MSELoss"], "--model.loss torch.nn.MSELoss: The size of tensor a (10) must match"),
    (
        ["--model.loss.reduction", "none"],
        "--model.loss torch.nn.CrossEntropyLoss: gives [3] for 3 images; give one number",
    ),
    (
        ["--model.lr_scheduler", "mine.Fading"],
        "--model.lr_scheduler mine.Fading: the second of its arguments (optimizer, gamma, last_epoch) is not the",
    ),
    (
        ["--model.lr_scheduler", "torch.optim.lr_scheduler.ReduceLROnPlateau"],
        "ReduceLROnPlateau: the second of its arguments (optimizer, mode, factor,",
    ),
    (
        ["--model.lr_scheduler", "mine.Lonely"],
        "--model.lr_scheduler mine.Lonely: the second of its arguments (optimizer) is not the run's length; give",
    ),
    (
        ["--model.loss", "PerceptronCriterion"],
        "PerceptronCriterion: it tells two classes apart, not 10: name two by --data.classes",
    ),
    (
        ["--model.lr_scheduler", "StepLR", "--model.lr_scheduler.step_size", "3"],
        "step_size: the run gives it to StepLR",
    ),
]


@pytest.mark.parametrize(("options", "expected"), OWN_PARTS, ids=[" ".join(options) for options, _ in OWN_PARTS])
def test_parts_of_ones_own(
    error: Callable[..., str], monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
) -> None:
    Path("torch").mkdir()  # a folder of that name is not torch's own
    monkeypatch.chdir("torch")
    for name, text in {"mine.py": OWN, **OTHERS}.items():
        Path(name).write_text(text)
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    network = [] if "--model.network" in options else ["--config", str(CONFIGS / "mlp.yaml")]
    words = [*network, "--config", str(CONFIGS / "data/digits.yaml"), *options]
    assert expected in error("fit", *words)
    assert not list(Path().glob("lightning_logs/*/*"))
