"""What the pictures show is computed, and each is drawn."""

import json
import runpy
from itertools import combinations
from pathlib import Path

import pytest
import torch

from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.data import CIFAR10
from project.figures import approximation, backpropagation, curves, descent, pairs
from project.figures.measurements import DIRECTORY, Measurements
from tests.conftest import REPOSITORY

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
    file = DIRECTORY / "pairs.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(dict.fromkeys(names[1:], 0.75)))
    small = ("--data.batch_size", "5", "--data.val_size", "5", "--trainer.max_epochs", "2")
    picture = pairs.draw(tmp_path, str(cifar10_dir), small)
    assert picture.read_bytes().startswith(PNG)
    measured = json.loads(file.read_text())
    assert len(measured) == 45
    assert measured[names[0]] > 0.7  # the tiny images' colours tell classes apart
    assert measured[names[1]] == 0.75
    assert len(list(DIRECTORY.glob("events.*"))) == 1  # the picture in TensorBoard


def test_curves_at_the_best_learning_rate(tmp_path: Path, cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SGD's search begins where nothing is learned in three steps, and goes up until the loss is not finite."""
    words, _ = curves.OPTIMIZERS["SGD"]
    two = {"SGD": (words, 0.001), "Adadelta": curves.OPTIMIZERS["Adadelta"]}
    monkeypatch.setitem(curves.COMPARISONS, "two", curves.Comparison("mlp.yaml", "mlp", 3, 2, two))
    small = ("--data.batch_size", "20", "--data.val_size", "20", "--data.flip", "none")
    assert curves.draw("two", tmp_path, str(cifar10_dir), small).read_bytes().startswith(PNG)
    kept = json.loads((DIRECTORY / "two.json").read_text())
    tried = {float(name.split()[-1]): value for name, value in kept.items() if name.startswith("SGD at")}
    best = max(tried, key=lambda rate: tried[rate])
    assert min(tried) < best < max(tried)
    assert tried[0.001] < tried[best]
    for label in two:
        assert len(kept[label]["train/loss"]) == len(kept[label]["val/accuracy"]) == 3
        assert kept[label]["train/loss"][-1] < kept[label]["train/loss"][0]


def test_a_mistake_is_told_and_nothing_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(REPOSITORY / "scripts/figures.py"))
    Path("taken").write_text("a file")
    for name in ("pairs", "optimizers_mlp", "backpropagation"):
        with pytest.raises(SystemExit) as stopped:
            script["main"]([name, "--data.data_dir", "taken/data"])
        assert stopped.value.code == 2
        assert "error: --data.data_dir taken/data: cannot be written" in capsys.readouterr().err
    assert not list(DIRECTORY.glob("*.json"))


def test_the_search_stays_on_the_ladder() -> None:
    kept = Measurements("ends")
    kept.values = {f"SGD at {rate:g}": 1 - place / 100 for place, rate in enumerate(curves.LEARNING_RATES)}
    assert curves.best_learning_rate(kept, "SGD", (), 1, curves.LEARNING_RATES[1]) == curves.LEARNING_RATES[0]
    kept.values = {f"SGD at {rate:g}": place / 100 for place, rate in enumerate(curves.LEARNING_RATES)}
    assert curves.best_learning_rate(kept, "SGD", (), 1, curves.LEARNING_RATES[-2]) == curves.LEARNING_RATES[-1]


def test_a_rate_that_diverges_is_no_good(cifar10_dir: Path) -> None:
    options = [*curves.OPTIMIZERS["SGD"][0], "--data.data_dir", str(cifar10_dir), "--data.batch_size", "20"]
    arguments = fit_arguments([CONFIGS / "mlp.yaml"], [*options, "--data.val_size", "20"])
    assert curves.best_learning_rate(Measurements("diverges"), "SGD", arguments, 2, 100.0) < 100
