"""Every file in configs/ is run, found by a glob."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from project.cli.main import main
from project.data import CIFAR10
from project.runs.settings import flatten
from project.search.space import read_space
from tests.conftest import CONFIGS
from tests.data_sets import CIFAR10_COUNTS, WRITERS

EXPERIMENTS = sorted(CONFIGS.glob("*.yaml"))
SPACES = sorted(CONFIGS.glob("search/*.yaml"))
OVERLAYS = sorted(set(CONFIGS.rglob("*.yaml")) - {*EXPERIMENTS, *SPACES})
PROCESSES = CONFIGS / "trainer/ddp.yaml"  # which test_reported_figures.py runs
SMALL = [
    "--data.batch_size",
    "20",
    "--data.val_size",
    "20",
    "--trainer.max_epochs",
    "1",
    "--trainer.accelerator",
    "cpu",
]
# What makes an experiment quick enough for a test.
QUICKER = {
    "finetune": ["--model.network.image_size", "32"],
    "resnet18": ["--trainer.limit_train_batches", "1"],
}


def named(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one dotted level."""
    level: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):  # of callbacks
            value = {str(number): entry for number, entry in enumerate(value)}
        level |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return level


def results(experiment: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(Path(f"lightning_logs/{experiment}/version_0/results.json").read_text())
    return found


@pytest.mark.usefixtures("resnet18_weights")
@pytest.mark.parametrize("config", EXPERIMENTS, ids=named)
def test_experiment(config: Path, cifar10_dir: Path) -> None:
    quicker = QUICKER.get(config.stem, [])
    main(["fit", "--config", str(config), "--data.data_dir", str(cifar10_dir), *SMALL, *quicker])
    classes = flat(yaml.safe_load(config.read_text())).get("data.init_args.classes") or CIFAR10.class_names
    images = sum(5 * CIFAR10_COUNTS["train_list"][CIFAR10.class_names.index(name)] for name in classes)
    assert results(config.stem)["steps"] == min((images - 20) // 20, 1 if "limit_train_batches" in str(quicker) else 99)
    assert 0 <= results(config.stem)["test/accuracy"] <= 1


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != PROCESSES], ids=named)
def test_overlay(overlay: Path, cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # it would take a C++ compiler a minute
    words = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(overlay)]
    given = [*SMALL, "--trainer.devices", "1"]
    if overlay.parent.name != "data":
        given += ["--data.data_dir", str(cifar10_dir)]
    elif overlay.stem in WRITERS:
        WRITERS[overlay.stem](Path("tiny"), monkeypatch)
        given += ["--data.data_dir", "tiny"]
    main(["fit", *words, *given])
    settings = flat(yaml.safe_load(Path("lightning_logs/mlp/version_0/config.yaml").read_text()))
    mine = {name.removeprefix("--").replace("data.", "data.init_args.", 1) for name in given}
    asked = {name: value for name, value in flat(yaml.safe_load(overlay.read_text())).items() if name not in mine}
    assert asked != {}
    assert {name: settings[name] for name in asked} == asked
    images = {"digits": 1437, "image_folder": 220 - 22}.get(overlay.stem, 200)
    assert results("mlp")["steps"] == (images - 20) // 20


@pytest.mark.parametrize("config", EXPERIMENTS, ids=named)
def test_header_is_the_experiments_record(config: Path) -> None:
    header = [line for line in config.read_text().splitlines() if line.startswith("#")]
    assert config.read_text().startswith("#")
    assert any(f"python scripts/main.py fit --config configs/{config.name}" in line for line in header)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=named)
def test_header_of_an_overlay_has_its_command(overlay: Path) -> None:
    header = [line for line in overlay.read_text().splitlines() if line.startswith("#")]
    commands = [line for line in header if "python scripts/main.py fit --config configs/" in line]
    assert any(line.endswith(f"--config configs/{named(overlay)}") for line in commands)


@pytest.mark.parametrize("space", SPACES, ids=named)
def test_space_has_its_command_and_its_experiments_own_values(space: Path) -> None:
    command = f"main.py search --config configs/{space.name} --space configs/{named(space)} --trials"
    assert command in space.read_text()
    options = flatten(yaml.safe_load((CONFIGS / space.name).read_text()))
    assert [name for name, values in read_space(space).ranges.items() if not values.contains(options[name])] == []


def test_catalogue_names_every_config() -> None:
    catalogue = (CONFIGS / "README.md").read_text()
    assert [path for path in (*EXPERIMENTS, *OVERLAYS, *SPACES) if f"`{named(path)}`" not in catalogue] == []
