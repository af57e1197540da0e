"""What of a user's own does not fit is heard before the data is read, in one line."""

import gc
import json
import random
from collections.abc import Callable
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
from tests.cli.own_parts import line
from tests.conftest import CONFIGS

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


@pytest.mark.parametrize(("options", "expected"), OWN_PARTS, ids=[" ".join(options) for options, _ in OWN_PARTS])
def test_parts_of_ones_own(error: Callable[..., str], mine: list[str], options: list[str], expected: str) -> None:
    network = [] if "--model.network" in options else ["--config", str(CONFIGS / "mlp.yaml")]
    assert expected in error("fit", *network, *mine, *options)
    assert not list(Path().glob("lightning_logs/*/*"))


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
