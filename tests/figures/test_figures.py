"""What the pictures show is computed, and each is drawn."""

import csv
import json
import runpy
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from project.cli.fit_process import FitProcesses
from project.data import CIFAR10
from project.figures import approximation, backpropagation, curves, descent, drawing, pairs
from project.figures.drawing import MEASUREMENTS
from tests.conftest import CONFIGS, REPOSITORY

PNG = b"\x89PNG\r\n\x1a\n"


def test_plain_descent_zigzags_and_momentum_damps_it() -> None:
    plain, damped = (descent.path(make, 0.075) for make in list(descent.OPTIMIZERS.values())[:2])
    # Across the valley each step of plain descent multiplies by 1 - 0.075 * 25 = -0.875, along it by 0.925.
    factors = torch.tensor([1 - 0.075, 1 - 0.075 * 25])
    steps = torch.arange(descent.STEPS + 1)[:, None]
    torch.testing.assert_close(plain, torch.tensor(descent.START) * factors**steps, rtol=1e-4, atol=1e-5)
    assert descent.height(damped[-1]) < descent.height(plain[-1]) / 10


def test_each_optimizer_goes_down() -> None:
    start = descent.height(torch.tensor(descent.START))
    for make in descent.OPTIMIZERS.values():
        rate = descent.best_learning_rate(make)
        assert rate not in (descent.LEARNING_RATES[0], descent.LEARNING_RATES[-1])  # the search was wide enough
        assert descent.height(descent.path(make, rate)[-1]) < start / 100


def test_the_error_falls_with_the_units() -> None:
    seeds = range(3)
    errors = [sum(approximation.error(units, seed, steps=400) for seed in seeds) for units in (1, 4, 64)]
    assert errors[0] > 1.5 * errors[1]
    assert errors[1] > 1.5 * errors[2]


def test_drawn(tmp_path: Path) -> None:
    assert descent.draw(tmp_path).read_bytes().startswith(PNG)
    assert approximation.draw(tmp_path, steps=5).read_bytes().startswith(PNG)


def test_backpropagation_is_drawn(tmp_path: Path, cifar10_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backpropagation.draw(tmp_path, str(cifar10_dir)).read_bytes().startswith(PNG)
    differences = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if "layer" in line]
    assert len(differences) == 3
    assert all(0 < difference < 1e-14 for difference in differences)


def test_pairs_are_measured_once(tmp_path: Path, cifar10_dir: Path) -> None:
    names = [" ".join(pair) for pair in combinations(CIFAR10.class_names, 2)]
    file = pairs.FILE
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(dict.fromkeys(names[1:], 0.75)))
    small = ("--data.batch_size", "5", "--data.val_size", "5", "--trainer.max_epochs", "2")
    picture = pairs.draw(tmp_path, str(cifar10_dir), small)
    assert picture.read_bytes().startswith(PNG)
    measured = json.loads(file.read_text())
    assert len(measured) == 45
    assert measured[names[0]] > 0.7  # the tiny images' colours tell classes apart
    assert measured[names[1]] == 0.75
    assert len(list(MEASUREMENTS.glob("events.*"))) == 1  # the picture in TensorBoard


def test_curves_of_the_best_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second learning rate is too low, and ends after its first seed. Mean and band are of the first one's runs."""
    figures: list[Figure] = []
    tests: list[Mapping[str, float]] = []
    test = FitProcesses.test
    words, _ = curves.OPTIMIZERS["SGD"]
    one = curves.Comparison("mlp.yaml", "mlp", 3, {"SGD": (words, (0.1, 0.001))})
    monkeypatch.setitem(curves.COMPARISONS, "one", one)
    monkeypatch.setattr(curves, "SEEDS", (4, 5))
    monkeypatch.setattr(curves, "save", lambda figure, *given: figures.append(figure) or drawing.save(figure, *given))
    monkeypatch.setattr(FitProcesses, "test", lambda *given: tests.append(test(*given)) or tests[-1])
    digits = ("--config", str(CONFIGS / "data/digits.yaml"))
    assert curves.draw("one", tmp_path, fit_options=digits).read_bytes().startswith(PNG)

    runs = [Path(f"lightning_logs/one-sgd/version_{n}") for n in range(4)]
    assert [run.exists() for run in runs] == [True, True, True, False]
    first, _, low = (json.loads((run / "results.json").read_text())["val/accuracy"] for run in runs[:3])
    assert low < first
    accuracies = [100 * figures["test/accuracy"] for figures in tests]
    mean, deviation = np.mean(accuracies), np.std(accuracies, ddof=1)
    line = f"SGD: learning rate 0.1, test accuracy {mean:.2f} +- {deviation:.2f} % over 2 seeds"
    assert line in capsys.readouterr().out
    for axis, metric, factor in zip(figures[0].axes, ("train/loss", "val/accuracy"), (1, 100), strict=True):
        values = factor * np.array([column(run / "metrics.csv", metric) for run in runs[:2]])
        mean, deviation = values.mean(0), values.std(0, ddof=1)
        np.testing.assert_allclose(axis.lines[0].get_ydata(), mean)
        edges = axis.collections[0].get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose(edges[1:4], mean - deviation)
        np.testing.assert_allclose(edges[7:4:-1], mean + deviation)


def column(file: Path, name: str) -> list[float]:
    """A figure of three epochs."""
    with file.open() as table:
        values = [float(row[name]) for row in csv.DictReader(table) if row[name]]
    assert len(values) == 3
    return values


def test_a_mistake_is_told_and_nothing_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(REPOSITORY / "scripts/figures.py"))
    Path("taken").write_text("a file")
    for name in ("pairs", "optimizers_mlp", "backpropagation"):
        with pytest.raises(SystemExit) as stopped:
            script["main"]([name, "--data.data_dir", "taken/data"])
        assert stopped.value.code == 2
        assert "error: --data.data_dir taken/data: cannot be written" in capsys.readouterr().err
    assert not list(MEASUREMENTS.glob("*.json"))
