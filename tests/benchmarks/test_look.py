"""The benchmark look, with runs in place of which stands what they would leave."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from project.benchmarks.look import compare, inspect
from project.cli.main import main
from tests.benchmarks.test_benchmarks import written
from tests.compare.runs import write_run


def test_look(benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def fit(arguments: list[str]) -> dict[str, Any]:
        """A run of three images, two of them right; the second has another accuracy than its logits."""
        commands.append(arguments)
        seed = sum(command[-2] == "--seed_everything" for command in commands)
        run = Path(f"run{seed}")
        run.mkdir(exist_ok=True)
        np.savez(run / "test.npz", label=np.array([0, 1, 1]), logits=np.array([[3, 1], [1, 2], [2, 1]], np.float32))
        scores = {"test/nll": 0.5, "test/brier": 0.3, "test/ece": 0.1}
        after = {f"{name}_calibrated": 0.4 * seed * value for name, value in scores.items()}
        accuracy = 2 / 3 if seed == 1 else 1.0
        seconds = 10.0 if "false" in arguments else 10.5
        common = {"run": str(run), "temperature": 0.5, "process_seconds": seconds}
        return {**scores, **after, "test/accuracy": accuracy, **common}

    monkeypatch.setattr("project.benchmarks.seeds.fit_in_new_process", fit)
    monkeypatch.setattr("project.benchmarks.look.pictures.fit_in_new_process", fit)
    benchmark_script.main(
        ["look", "--parts", "calibration,pictures", "--seeds", "2", "--turns", "3", "--trainer.max_steps", "5"]
    )
    rows = {row["figure"]: (row["measured"], row["goal"]) for row in written("look-calibration-pictures")["rows"]}
    assert rows["convnet.yaml, test/ece_calibrated, mean of 2 seeds"] == (pytest.approx(0.06), "at most 0.01")
    assert 0 < rows["test/ece of labels that are drawn from the calibrated probabilities"][0] < 0.5
    assert rows["largest test/ece_calibrated"] == (pytest.approx(0.08), "")
    assert rows["convnet.yaml, test/nll_calibrated, mean of 2 seeds"] == (pytest.approx(0.3), "")
    assert rows["seeds with a lower test/nll_calibrated than test/nll"] == (2, "2 of 2")
    assert rows["seeds with the same accuracy after the temperature"] == (1, "2 of 2")
    assert rows["percent that pictures add to it"] == (pytest.approx(5), "under 2")
    assert rows["seconds that pictures add to it"] == (pytest.approx(0.5), "under 2")
    assert all("--trainer.max_steps" in command for command in commands)
    assert [command[-1] for command in commands[2:8]] == ["false", "true", "true", "false", "false", "true"]


def test_comparing_runs(benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run("run", figures={"test/accuracy": 0.5})
    monkeypatch.setattr(compare, "fit_in_new_process", lambda arguments: {"run": str(run)})
    monkeypatch.setattr(compare, "RUNS", 6)
    monkeypatch.setattr(compare, "IMAGES", 20)
    benchmark_script.main(["look", "--parts", "compare", "--turns", "1"])
    rows = {row["figure"]: row["measured"] for row in written("look-compare")["rows"]}
    assert rows["imports of torch in it"] == 0
    assert rows["seconds of main.py compare of 6 runs of the digits"] > 0
    assert rows["seconds of it with the logits of 20 test images in each run"] > 0


def test_what_inspect_finds(
    benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch, cifar10_dir: Path, tmp_path: Path
) -> None:
    """In tiny CIFAR-10, with the real commands in this process."""

    def run(arguments: list[str]) -> dict[str, Any]:
        result = main(arguments)
        return {**result.figures, "run": str(result.directory), "process_seconds": 1.0, "peak_gib": 0.5}

    monkeypatch.setattr(inspect, "fit_in_new_process", run)
    monkeypatch.setattr(inspect, "COPIES", 5)
    monkeypatch.setattr(inspect, "SWAPPED", 6)
    tiny = ["--data.batch_size", "20", "--data.val_size", "20"]
    monkeypatch.setattr(inspect, "DATA_OPTIONS", tiny)
    words = ["--data.data_dir", str(cifar10_dir), "--trainer.max_steps", "1", "--pictures", "false"]
    benchmark_script.main(["look", "--parts", "inspect", "--turns", "1", *words])
    rows = {row["figure"]: row["measured"] for row in written("look-inspect")["rows"]}
    assert rows["planted near duplicates found, of 5"] == 5
    assert 0 <= rows["swapped labels found among the first 6 suspects of validation"] <= 6
    assert rows["seconds of main.py inspect of CIFAR-10"] == 1


def test_parts(benchmark_script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark_script.main(["look", "--parts", "pictures,nothing"])
    assert "nothing is no part; give some of calibration,pictures,compare,inspect" in capsys.readouterr().err
