"""The model card says of a network what its checkpoint and its run say."""

import json
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
import yaml

from project.cli.main import main
from project.runs.seeds import runs_of_other_seeds
from project.use.model_card import escaped, model_card

pytest.importorskip("safetensors", reason="pip install -e '.[export]'")
EXPERIMENT = Path("lightning_logs/mlp")


def rows(card: str) -> dict[str, str]:
    """The rows of its tables."""
    lines = [line.strip("| ") for line in card.splitlines() if line.startswith("| ")]
    return dict(line.split(" | ", 1) for line in lines if line)


@pytest.fixture
def run(digits: Callable[..., list[str]]) -> Path:
    """An exported run beside three others, of which one differs from it by the seed alone."""
    short = [*digits(), "--trainer.max_steps", "5"]
    for seed, rate in ((1, 0.002), (2, 0.002), (3, 0.05), (2, 0.002)):  # another learning rate; a seed again
        main(["fit", *short, "--seed_everything", str(seed), "--model.optimizer.lr", str(rate)])
    Path("lightning_logs").rename("elsewhere")
    run = Path("elsewhere/mlp/version_0")
    main(["export", "--ckpt_path", str(run), "--to", "safetensors"])
    return run


def accuracy(run: Path) -> float:
    value: float = json.loads((run / "results.json").read_text())["test/accuracy"]
    return value


def test_the_card_of_a_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Path("mlp_safetensors/README.md").read_text()
    front, text = card.removeprefix("---\n").split("---\n", 1)
    assert "license" not in yaml.safe_load(front)
    assert text.startswith("\n# mlp\n\nImage classification: MLP gives an image one of 10 classes.\n")
    accuracies = [100 * accuracy(run.parent / f"version_{number}") for number in (0, 1)]
    environment = yaml.safe_load((run / "environment.yaml").read_text())
    parameters = sum(inputs * outputs + outputs for inputs, outputs in ((3072, 128), (128, 64), (64, 10)))
    table = rows(card)
    assert table["classes"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert table["network"] == f"MLP, {parameters:,} parameters"
    assert table["data"] == "Digits"
    assert (table["training images"], table["validation images"], table["seed"]) == ("1,257", "180", "1")
    assert table["epochs"] == str(json.loads((run / "results.json").read_text())["epochs"])
    assert "`nll`: the mean negative log-likelihood" in card
    assert "git clone ADDRESS" in card
    assert table["SHA-256 of the data"] == environment["data"]["sha256"]
    assert table["hardware"] == escaped(f"{environment['cpu']}, {torch.get_num_threads()} thread")
    assert f"torch {version('torch')}" in table["versions"]
    assert table["test/accuracy"] == f"{accuracies[0]:.2f} %"
    deviation = f"{mean(accuracies):.2f} ± {stdev(accuracies):.2f} %"
    assert table["test/accuracy of 2 seeds, mean ± standard deviation"] == deviation
    check_programs(card, accuracy(run), monkeypatch)


def check_programs(card: str, accuracy: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's lines of Python load the network, and its command trains it again."""
    Path("photo.jpg").write_bytes(b"")
    (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    *load, predict = program.splitlines()
    assert len([*load, predict]) == 3
    values: dict[str, Any] = {}
    exec("\n".join(load), values)
    assert values["network"].class_names == tuple("0123456789")
    assert predict == "print(network.predict('photo.jpg', top=3))"

    monkeypatch.chdir("mlp_safetensors")
    (command,) = re.findall(r"```\npython scripts/main.py (.*?)\n```", card)
    again = main(command.split())
    assert again.figures["test/accuracy"] == accuracy
    assert again.directory is not None
    assert again.directory.parent == EXPERIMENT


def test_runs_of_other_seeds_have_all_settings_but_the_seed(tmp_path: Path) -> None:
    settings = {
        "first": {"seed_everything": 0, "model": {"lr": 1}, "name": None},
        "other_seed": {"seed_everything": 1, "model": {"lr": 1}, "name": "experiment"},
        "same_seed": {"seed_everything": 1, "model": {"lr": 1}},
        "other_rate": {"seed_everything": 2, "model": {"lr": 2}},
        "unfinished": {"seed_everything": 3, "model": {"lr": 1}},
        "made_longer": {"seed_everything": 4, "model": {"lr": 1}},
    }
    for name, options in settings.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(options))
        if name != "unfinished":
            (tmp_path / name / "results.json").write_text('{"test/accuracy": 0.5}')
    longer = {**settings["made_longer"], "trainer": {"max_epochs": 20}}
    (tmp_path / "made_longer/config-2.yaml").write_text(yaml.safe_dump(longer))
    (tmp_path / "no_run").mkdir()
    (tmp_path / "file").touch()
    assert [run.name for run in runs_of_other_seeds(tmp_path / "first")] == ["first", "other_seed"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a, b", "a, b"),
        ("<b>*bold*</b>", r"\<b\>\*bold\*\</b\>"),
        ("a | b", r"a \| b"),
        ("two\nlines", r"two\\nlines"),
        ("`code`", r"\`code\`"),
        ("[link](here)", r"\[link\](here)"),
        ("&amp; $x$ #1", r"\&amp; \$x\$ \#1"),
        ("\udc80é", r"\\udc80é"),
    ],
)
def test_text_of_any_kind_is_shown_literally(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_checkpoint_that_says_little_has_a_card() -> None:
    names = ["a, b", "", *(f"class {number}" for number in range(998))]
    data = {"class_names": names, "image_shape": [3, 8, 8], "preparation": {"fit": "pad"}}
    card = model_card({"network": {"class_path": "own.Net"}, "data": data}, None, "it's", None)
    assert "| 8x8 pixels, 3 channels; others are resized into that, with a grey border |" in card
    assert '| "a, b", "", class 0, class 1, ' in card
    assert "class 97, and 900 more |" in card
    assert "Results" not in card
    assert """network = project.load("it's", allow=['own'])""" in card


def test_classes_and_calibration_join_the_card() -> None:
    """One class name has markup, and nothing was predicted as the other one."""
    per_class = {
        "a | b": {"images": 1200, "accuracy": 0.5, "precision": 0.25, "recall": 0.5, "f1": 1 / 3},
        "rare": {"images": 3, "accuracy": 0.0, "precision": None, "recall": 0.0, "f1": 0.0},
    }
    checkpoint = {
        "network": {"class_path": "own.Net"},
        "data": {"class_names": list(per_class), "image_shape": [3, 8, 8]},
        "figures": {"test/ece": 0.123456, "test/ece_calibrated": 0.01, "temperature": 0.75, "per_class": per_class},
        "calibration": {"temperature": 0.75, "images": 5000, "views": "mirror"},
    }
    card = model_card(checkpoint, None, "small", None)
    assert rows(card)["test/ece"] == "0.1235"
    assert rows(card)["test/ece_calibrated"] == "0.0100"
    assert rows(card)[r"a \| b"] == "1,200 | 50.00 % | 25.00 % | 33.33 %"
    assert rows(card)["rare"] == "3 | 0.00 % |  | 0.00 %"
    assert "divided by the temperature 0.7500, which was fitted on 5,000 validation images" in card
    assert "are those of the image and its mirror image, on average." in card
