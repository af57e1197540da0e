"""Every file in configs/ is run, found by a glob."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from project.cli import main
from tests.conftest import CONFIGS, REPOSITORY

EXPERIMENTS = sorted(CONFIGS.glob("*.yaml"))
OVERLAYS = sorted(CONFIGS.glob("*/*.yaml"))
PROCESSES = CONFIGS / "trainer/ddp.yaml"
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


def named(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def results(experiment: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(Path(f"lightning_logs/{experiment}/version_0/results.json").read_text())
    return found


@pytest.mark.parametrize("config", EXPERIMENTS, ids=named)
def test_experiment(config: Path, cifar10_dir: Path) -> None:
    main(["fit", "--config", str(config), "--data.data_dir", str(cifar10_dir), *SMALL])
    assert results(config.stem)["steps"] == 180 // 20
    assert 0 <= results(config.stem)["test/accuracy"] <= 1


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != PROCESSES], ids=named)
def test_overlay(overlay: Path, cifar10_dir: Path) -> None:
    words = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(overlay)]
    if overlay.parent.name != "data":
        words += ["--data.data_dir", str(cifar10_dir)]
    devices = ["--trainer.devices", "1"]
    main(["fit", *words, *SMALL, *devices])
    settings = yaml.safe_load(Path("lightning_logs/mlp/version_0/config.yaml").read_text())
    wanted = yaml.safe_load(overlay.read_text())
    for group, changes in wanted.items():
        for name, change in changes.items():
            if name == "class_path":
                assert settings[group][name] == change
            elif isinstance(change, dict) and "class_path" in change:
                assert settings[group][name]["class_path"] == change["class_path"]
    assert results("mlp")["steps"] > 0


def test_two_processes() -> None:
    script = str(REPOSITORY / "scripts/main.py")
    configs = [CONFIGS / "mlp.yaml", CONFIGS / "data/digits.yaml", PROCESSES]
    words = [word for config in configs for word in ("--config", str(config))]
    command = [sys.executable, script, "fit", *words, "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("results: ") == 1
    assert [path.name for path in Path("lightning_logs/mlp").iterdir()] == ["version_0"]
    assert results("mlp")["steps"] == 1257 // 2 // 32
    rows = Path("lightning_logs/mlp/version_0/metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 3  # names; validation, training and test


@pytest.mark.parametrize("config", EXPERIMENTS, ids=named)
def test_header_is_the_experiments_record(config: Path) -> None:
    header = [line for line in config.read_text().splitlines() if line.startswith("#")]
    assert config.read_text().startswith("#")
    assert any(f"python scripts/main.py fit --config configs/{config.name}" in line for line in header)


def test_catalogue_names_every_config() -> None:
    catalogue = (CONFIGS / "README.md").read_text()
    assert [path for path in (*EXPERIMENTS, *OVERLAYS) if f"`{named(path)}`" not in catalogue] == []
