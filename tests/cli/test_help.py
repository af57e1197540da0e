"""The texts of --help and of each .help option."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import optim

from project import data, networks
from project.cli.main import main

OWN = """
from torch import nn

class OwnNetwork(nn.Module):
    \"\"\"A network of the test. It has one option.

    Args:
        channels: Number of channels.
    \"\"\"

    def __init__(self, num_classes: int, channels: int = 3) -> None:
        super().__init__()
"""


@pytest.fixture
def text(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command prints, in one line."""

    def text_of(*words: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return " ".join(printed.out.split())

    return text_of


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["fti", "--help"]])
def test_the_program(text: Callable[..., str], words: list[str]) -> None:
    printed = text(*words)
    assert "Train and test image classifiers" in printed
    assert "fit Train a network, keep the checkpoint with the best validation accuracy, and test it once." in printed
    assert all(
        f"{command} " in printed for command in ("fit", "validate", "test", "predict", "predict --images", "export")
    )
    assert "python scripts/main.py fit --config configs/convnet.yaml" in printed
    assert "README.md" in printed


@pytest.mark.parametrize("words", [["--help"], ["test", "--help"], ["export", "--help"]])
def test_a_narrow_terminal(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        main(words)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 60 and not re.search("python|usage", line)] == []


def test_the_options_of_this_project_come_first(text: Callable[..., str]) -> None:
    printed = text("fit", "--help")
    options = ["network", "optimizer", "lr_scheduler"]
    order = [*(f"--model.{name} " for name in options), "--data ", "--checkpoints.every_n_steps ", "--ckpt_path "]
    places = [
        printed.index(option)
        for option in [*order, "--name ", "--seed_everything ", "--pictures ", "--trainer.precision "]
    ]
    assert places == sorted(places)
    assert "known subclasses" not in printed
    assert "-->" not in printed
    for line in (
        "ConvNet: Four 3x3 convolutions without padding",
        "CIFAR10: 60,000 colour photographs",
        "SGD: Implements stochastic gradient descent (optionally with momentum)",
        "OneCycle: ",
        "EarlyStopping: Monitor a metric and stop training when it stops improving",
        "--trainer.callbacks.help CLASS shows the options of a class;",
    ):
        assert line in printed


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_other_commands(text: Callable[..., str], command: str) -> None:
    printed = text(command, "--help")
    images = "--images FILE ... [--OPTION VALUE ...] images of your own; its options: main.py predict --images --help"
    first = images if command == "predict" else "[--OPTION VALUE ...]"
    assert printed.startswith(f"usage: main.py {command} --ckpt_path CHECKPOINT {first}")
    assert "--ckpt_path CKPT_PATH A checkpoint file, a run directory, an experiment, or best or last" in printed
    assert ("--output " in printed) == (command == "predict")
    assert "--model.optimizer" not in printed
    assert "All other options are those of fit" in printed
    assert "--model.optimizer CLASS" in text(command, "--model.help")


@pytest.mark.parametrize(
    ("option", "kinds"),
    [
        ("model.network", [networks.ConvNet, networks.MLP, networks.ResNet18, networks.TorchvisionModel]),
        ("data", [data.CIFAR10, data.CIFAR100, data.Digits, data.ImageFolder, data.MNIST, data.SVHN]),
        ("model.optimizer", [optim.SGD, optim.AdamW]),
    ],
)
def test_each_class_of_an_option(text: Callable[..., str], option: str, kinds: list[type]) -> None:
    printed = text("fit", f"--{option}.help")
    for kind in kinds:
        words = " ".join((kind.__doc__ or "").split())
        start = printed.index(f" {kind.__name__}: ") + len(f" {kind.__name__}: ")
        assert printed[start : start + 25] == words[:25]
    assert f"--{option} CLASS " in printed
    assert f"--{option}.help CLASS shows the options of a class;" in printed


def test_no_class_that_a_run_cannot_use_is_listed(text: Callable[..., str]) -> None:
    schedules = text("fit", "--model.lr_scheduler.help")
    assert "CosineAnnealingLR: " in schedules
    assert "StepLR" not in schedules
    losses = text("fit", "--model.loss.help")
    assert "CrossEntropyLoss: " in losses
    assert "NLLLoss" not in losses
    callbacks = text("fit", "--trainer.callbacks.help")
    assert "Finetuning: " in callbacks
    assert "AveragedWeights: " in callbacks
    assert "FiniteLoss" not in callbacks  # every run has it
    assert "--trainer.callbacks.decay" in text("fit", "--trainer.callbacks.help", "AveragedWeights")
    assert "BatchSizeFinder" not in callbacks
    transforms = text("fit", "--data.transforms.help")
    assert "TrivialAugmentWide: " in transforms
    assert "MixUp" not in transforms
    assert "--data.transforms.padding_mode" in text("fit", "--data.transforms.help", "RandomCrop")


PARTS = {
    "--model.help": "--model.compile",
    "--checkpoints.help": "--checkpoints.every_n_minutes",
    "--trainer.help": "--trainer.max_epochs",
    "--name.help": "Name of the experiment",
    "--trainer.max_time.help": "DD:HH:MM:SS",
    "--trainer.logger.help": "CSVLogger: ",
}


@pytest.mark.parametrize("option", PARTS)
def test_a_part(text: Callable[..., str], option: str) -> None:
    printed = text("fit", option)
    assert PARTS[option] in printed
    assert "--data " not in printed


CLASS_OPTIONS = [
    (["--model.network.help", "ConvNet"], "--model.network.widths", "--model.network.image_shape"),
    (["--model.network.help=MLP"], "--model.network.hidden", "--model.network.num_classes"),
    (["--model.optimizer.help", "torch.optim.SGD"], "--model.optimizer.momentum", "--model.optimizer.params"),
    (["--model.lr_scheduler.help", "OneCycle"], "--model.lr_scheduler.warmup", "--model.lr_scheduler.total_steps"),
    (["--data.help", "Digits"], "--data.batch_size", "--data.data_dir"),
    (["--trainer.callbacks.help", "Timer"], "--trainer.callbacks.duration", "--trainer.callbacks.monitor"),
    (["--model.network.help", "own_help.OwnNetwork"], "--model.network.channels CHANNELS Number of", "num_classes"),
]


@pytest.mark.parametrize(("words", "shown", "hidden"), CLASS_OPTIONS, ids=[case[1] for case in CLASS_OPTIONS])
def test_the_options_of_a_class(text: Callable[..., str], words: list[str], shown: str, hidden: str) -> None:
    Path("own_help.py").write_text(OWN)
    printed = text("fit", *words)
    assert shown in printed
    assert hidden not in printed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model.network.help", "ConvNett"], "--model.network.help ConvNett: no such class; did you mean ConvNet?"),
        (["--data.help=own.Nothing"], "--data.help own.Nothing: no such class; --data.help shows what there is"),
        (["--data.shift.help"], "--data.shift.help: no such option; --data.help CLASS shows the options of a class"),
        (["--modle.help"], "--modle.help: no such option; --help shows what there is"),
    ],
)
def test_no_such_help(error: Callable[..., str], words: list[str], expected: str) -> None:
    assert error("fit", *words) == expected
