"""The benchmark's own arithmetic, and one run of it."""

import importlib.util
import json
import statistics
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.conftest import CONFIGS, REPOSITORY


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark", REPOSITORY / "scripts/benchmark.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_articles_network(benchmark: ModuleType) -> None:
    network = benchmark.articles_network()
    assert sum(weights.numel() for weights in network.parameters()) == 299_434
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_articles_program(benchmark: ModuleType, cifar10_dir: Path) -> None:
    epochs = list(benchmark.articles_program(str(cifar10_dir), 2))
    assert len(epochs) == 2
    assert all(seconds > 0 and 0 <= accuracy <= 1 for seconds, accuracy in epochs)


def test_seeds(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    configs = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/digits.yaml")]
    further = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "seeds", *configs, "--seeds", "2", *further])
    benchmark.main()
    measured = json.loads(Path("lightning_logs/benchmarks/mlp-digits.json").read_text())
    assert [run["seed"] for run in measured["runs"]] == [0, 1]
    for run in measured["runs"]:
        assert json.loads((Path(run["run"]) / "results.json").read_text())["test/accuracy"] == run["test/accuracy"]
        assert run["train_seconds"] < run["fit_seconds"] < run["process_seconds"]
        assert 0.1 < run["peak_gib"] < 4
    mean = statistics.mean(run["test/accuracy"] for run in measured["runs"])
    assert f"{mean:.4g}" in capsys.readouterr().out
    assert measured["environment"]["cores"] >= 1
