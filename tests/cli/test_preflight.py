"""What of a user's own does not fit is heard before the data is read, in one line."""

import gc
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import Precision

from project.cli.main import main
from project.cli.preflight import Trial, try_parts
from project.networks import MLP, Perceptron
from project.training.classifier import Classifier
from tests.conftest import CONFIGS

OWN = """
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR

class Strict(nn.Module):
    def __init__(self, width: int):
        raise ValueError("too wide")

class Seven(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3072, 7)

    def forward(self, images):
        return self.layer(images.flatten(1))

class Narrow(Seven):
    def forward(self, images):
        return nn.functional.linear(images.flatten(1), torch.zeros(10, 5))

class Pair(Seven):
    def forward(self, images):
        return images, images

class View(Seven):
    def forward(self, images):
        return self.layer(images.view(len(images), -1))

class Ten(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(3072, num_classes)

    def forward(self, images):
        return self.layer(images.flatten(1))

class Softmax(Ten):
    def forward(self, images):
        return super().forward(images).softmax(1)

class SoftmaxInEvaluation(Ten):
    def forward(self, images):
        return super().forward(images) if self.training else super().forward(images).softmax(1)

class Sigmoid(Ten):
    def forward(self, images):
        return super().forward(images).sigmoid()

class LogSoftmax(Ten):
    def forward(self, images):
        return super().forward(images).log_softmax(1)

class Detached(Ten):
    def forward(self, images):
        return super().forward(images).detach()

class InTraining(Ten):
    def forward(self, images):
        if self.training:
            raise KeyError("mask")
        return super().forward(images)

class Overwritten(Ten):
    def forward(self, images):
        return super().forward(images).exp_().relu_().sub_(1)

class PairInTraining(Ten):
    def forward(self, images):
        return (super().forward(images),) * 2 if self.training else super().forward(images)

class Stepless(torch.optim.SGD):
    def step(self, closure):
        assert closure() > 0
        raise NotImplementedError

class Numb(nn.CrossEntropyLoss):
    def forward(self, logits, labels):
        return super().forward(logits.detach(), labels)

class Crooked(torch.optim.lr_scheduler.LRScheduler):
    def __init__(self, optimizer, total_steps):
        super().__init__(optimizer)

    def get_lr(self):
        return [0.1 / (1 - self.last_epoch) for group in self.optimizer.param_groups]

class Late(Ten):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps > 5:
            raise KeyError('sixth')
        return super().forward(images)

class Undetermined(Late):
    def forward(self, images):
        self.steps += self.training
        if self.steps > 5:
            torch.zeros(1).put_(torch.tensor([0]), torch.ones(1))
        return Ten.forward(self, images)

class Inside(nn.Module):
    def forward(self, logits, step):
        return torch.zeros(3) @ torch.zeros(4) if step > 5 else logits

class LateInside(Late):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.inside = Inside()

    def forward(self, images):
        self.steps += self.training
        return self.inside(Ten.forward(self, images), self.steps)

class Quiet(Callback):
    pass

class Nag(Callback):
    def on_train_batch_end(self, trainer, *rest):
        trainer.nagged()

class Volume(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.convolution = nn.Conv3d(3, 8, (1, 3, 3), stride=(1, 2, 2))
        self.layer = nn.LazyLinear(num_classes)

    def forward(self, images):
        return self.layer(self.convolution(images[:, :, None]).relu().flatten(1))

class Single(Ten):
    def __deepcopy__(self, memo):
        raise RuntimeError

class Fading(ExponentialLR):
    pass

class Lonely(ExponentialLR):
    def __init__(self, optimizer):
        super().__init__(optimizer, 0.9)

def reduce(logits, labels):
    return logits.mean()
"""


def line(text: str) -> str:
    """Where it stands in mine.py."""
    return f"(mine.py, line {1 + OWN[: OWN.index(text)].count(chr(10))})"


OTHERS = {"needs.py": "import nothing_like_it", "spoiled.py": "class Network:\ndef"}
OWN_PARTS = [
    (["--model.network", "mine.Strict", "--model.network.width", "7"], "--model.network.width 7: too wide"),
    (["--model.network", "mine.Seven"], "--model.network mine.Seven: gives [3, 7] for 3 images; give logits [N, 10]"),
    (["--model.network", "mine.Seven", "--data.classes", "[0, 1]", "--data.val_size", "9"], "give logits [N, 2]"),
    (["--model.network", "mine.Narrow"], "--model.network mine.Narrow: mat1 and mat2 shapes cannot be multiplied"),
    (["--model.network", "mine.Narrow"], f"{line('torch.zeros(10, 5)')}; it gets images [3, 3, 32, 32]"),
    (
        ["--model.network", "mine.View"],
        "mine.View: view size is not compatible with input tensor's size and stride (at least one dimension spans "
        f"across two contiguous subspaces). Use .reshape(...) instead {line('images.view')}; batches are channels-"
        "last in memory: give flatten(1) in place of view",
    ),
    (["--model.network", "mine.InTraining"], f"mine.InTraining: KeyError 'mask' {line('KeyError')}; it gets imag"),
    (["--model.network", "mine.PairInTraining"], "mine.PairInTraining: gives a tuple for 3 images; give logits [N, 10"),
    (["--model.network", "mine.Detached"], "mine.Detached: element 0 of tensors does not require grad and does not"),
    (["--model.network", "mine.Overwritten"], "mine.Overwritten: one of the variables needed for gradient computation"),
    (["--model.network", "ConvNet", "--data.curriculum", "{16: 0.5}"], "it gets images [3, 3, 16, 16]"),
    (
        ["--model.optimizer", "SparseAdam"],
        "--model.optimizer torch.optim.SparseAdam: SparseAdam does not support dense gradients, please consider Adam "
        "instead; give another, such as AdamW",
    ),
    (["--model.optimizer", "mine.Stepless"], f"mine.Stepless: NotImplementedError {line('NotImpl')}; give an"),
    (
        ["--model.lr_scheduler", "mine.Crooked"],
        f"--model.lr_scheduler mine.Crooked: ZeroDivisionError float division by zero {line('0.1 /')}; give another",
    ),
    (["--model.loss", "mine.Numb"], "--model.loss mine.Numb: element 0 of tensors does not require grad"),
    (["--model.network", "mine.Pair"], "--model.network mine.Pair: gives a tuple for 3 images; give logits [N, 10]"),
    (["--model.network", "mine.Eight"], "mine.py) has no such class; give one of ConvNet, MLP"),
    (["--model.network", "mine.py"], "--model.network mine.py: give module and class with a dot between them, as in"),
    (["--model.network", "mine.reduce"], "--model.network mine.reduce: no class of the kind Module; give one"),
    (
        ["--model.network", "needs.Network"],
        "--model.network needs.Network: its module needs nothing_like_it, which is not",
    ),
    (["--model.network", "spoiled.Network"], "spoiled.py, line 2: "),
    (
        ["--model.loss", "NLLLoss"],
        "torch.nn.NLLLoss: takes log-probabilities, and a network gives logits here; give CrossEntropyLoss",
    ),
    (
        ["--model.loss", "BCEWithLogitsLoss"],
        "BCEWithLogitsLoss: takes other targets than labels [N] of classes; give C",
    ),
    (
        ["--model.loss", "MSELoss", "--data.classes", "[1, 2, 3]", "--data.val_size", "9"],
        "MSELoss: takes other targets",
    ),
    (
        ["--model.network", "mine.Softmax"],
        "--model.network mine.Softmax: its outputs look like probabilities, and CrossEntropyLoss takes logits; leave "
        "out the softmax at the network's end",
    ),
    (["--model.network", "mine.Softmax", "--trainer.precision", "bf16-true"], "leave out the softmax"),
    (["--model.network", "mine.SoftmaxInEvaluation"], "leave out the softmax"),
    (["--model.network", "mine.Sigmoid", "--trainer.precision", "bf16-mixed"], "leave out the sigmoid"),
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


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The words that fit mlp.yaml on the digits, where Python finds mine.py."""
    (tmp_path / "torch").mkdir()  # a folder of that name is not torch's own
    monkeypatch.chdir(tmp_path / "torch")
    for name, text in {"mine.py": OWN, **OTHERS}.items():
        Path(name).write_text(text)
    monkeypatch.syspath_prepend(Path.cwd())
    yield ["--config", str(CONFIGS / "data/digits.yaml"), "--trainer.accelerator", "cpu"]
    sys.modules.pop("mine", None)


@pytest.mark.parametrize(("options", "expected"), OWN_PARTS, ids=[" ".join(options) for options, _ in OWN_PARTS])
def test_parts_of_ones_own(error: Callable[..., str], mine: list[str], options: list[str], expected: str) -> None:
    network = [] if "--model.network" in options else ["--config", str(CONFIGS / "mlp.yaml")]
    assert expected in error("fit", *network, *mine, *options)
    assert not list(Path().glob("lightning_logs/*/*"))


LATE = [
    (["--model.network", "mine.Late"], "--model.network mine.Late: KeyError 'sixth'", "KeyError('sixth')"),
    (["--model.network", "mine.LateInside"], "mine.LateInside: inconsistent tensor size, expected", "@ torch.zeros(4)"),
    (
        ["--trainer.callbacks", "mine.Nag"],
        "--trainer.callbacks mine.Nag: AttributeError 'ExperimentTrainer' object",
        "nagged",
    ),
]


@pytest.mark.parametrize(("options", "expected", "raised"), LATE, ids=[options[1] for options, *_ in LATE])
def test_a_part_of_ones_own_that_fails_later(
    error: Callable[..., str], mine: list[str], options: list[str], expected: str, raised: str
) -> None:
    network = [] if "--model.network" in options else ["--config", str(CONFIGS / "mlp.yaml")]
    failed = error("fit", *network, *mine, *options)
    assert expected in failed
    assert failed.endswith(line(raised))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--model.network", "mine.Single", "--model.optimizer", "SparseAdam"],
            "--model.optimizer torch.optim.SparseAdam: SparseAdam does not support dense gradients",
        ),
        (
            [
                "--model.network",
                "mine.Ten",
                "--trainer.callbacks",
                "EarlyStopping",
                "--trainer.callbacks.monitor",
                "nothing",
                "--trainer.callbacks+=mine.Quiet",  # a callback of one's own may log what is watched
            ],
            "lightning.pytorch.callbacks.EarlyStopping: Early stopping conditioned on metric `nothing`",
        ),
    ],
)
def test_a_part_of_a_library_that_fails_later(
    error: Callable[..., str], mine: list[str], options: list[str], expected: str
) -> None:
    assert expected in error("fit", *options, *mine)


def test_what_torch_cannot_do_deterministically(error: Callable[..., str], mine: list[str]) -> None:
    failed = error("fit", "--model.network", "mine.Undetermined", *mine, "--trainer.deterministic", "true")
    assert failed == "--trainer.deterministic true: torch has no deterministic put_ here; give warn in place of true"
    torch.use_deterministic_algorithms(False)


def test_an_error_of_our_own_keeps_its_traceback(mine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Classifier, "_step")
    with pytest.raises(AttributeError, match="_step"):
        main(["fit", "--config", str(CONFIGS / "mlp.yaml"), *mine])


def test_weights_of_five_dimensions_and_of_no_shape_yet(mine: list[str]) -> None:
    words = ["--model.network", "mine.Volume", *mine, "--trainer.max_epochs", "1"]
    main(["fit", *words])
    results = json.loads(Path("lightning_logs/digits/version_0/results.json").read_text())
    assert results["test/accuracy"] > 0.5
    main(["fit", *words, "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    main(["test", *words, "--ckpt_path", "best"])


def test_no_logits_are_taken_for_probabilities(mine: list[str]) -> None:
    torch.manual_seed(0)
    two = {"num_classes": 2, "image_shape": (3, 4, 4)}
    networks = [Perceptron(**two), *(MLP(**two, relu_on_logits=seed % 2 == 0) for seed in range(40))]
    for network in networks:
        model = Classifier(network, 2, torch.nn.CrossEntropyLoss())
        Trial(model, Precision(), None, 2).check_logits(network(torch.randn(3, 3, 4, 4)))
    loss = ["--model.loss", "MultiMarginLoss"]
    for words in (["mine.LogSoftmax"], ["mine.LogSoftmax", *loss], ["mine.Softmax", *loss]):
        main(["fit", "--model.network", *words, *mine, "--trainer.max_steps", "1", "--trainer.limit_test_batches", "1"])


def test_a_network_that_cannot_be_copied_is_not_tried(mine: list[str]) -> None:
    main(["fit", "--model.network", "mine.Single", *mine, "--trainer.max_steps", "1"])
    assert Path("lightning_logs/digits/version_0/results.json").exists()


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_a_trial_leaves_nothing_behind(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    tried = []

    def try_parts_and_compare(trainer: Trainer, model: Classifier, *rest: Any) -> Any:
        def state() -> list[Any]:
            weights = [(value.tolist(), value.stride()) for value in model.state_dict().values()]
            modes = [module.training for module in model.modules()]
            numpy = np.random.get_state()[1]
            return [weights, modes, torch.get_rng_state().tolist(), list(numpy), random.getstate()]

        def parameters() -> int:
            return sum(isinstance(one, torch.nn.Parameter) for one in gc.get_objects())

        before, count = state(), parameters()
        gc.disable()
        made = try_parts(trainer, model, *rest)
        assert parameters() == count
        gc.enable()
        assert state() == before
        assert all(weights.grad is None for weights in model.parameters())
        tried.append(made)
        return made

    monkeypatch.setattr("project.cli.experiment.try_parts", try_parts_and_compare)
    main(["fit", *digits("convnet"), "--trainer.precision", precision, "--trainer.max_steps", "1"])
    assert tried
