"""What main([...]) returns, and reading of finished runs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch import Trainer

from project.cli.main import main
from project.runs.results import Result, read_metrics, read_results, read_settings
from tests.conftest import REPOSITORY

RUN = Path("lightning_logs/mlp/version_0")


def test_main_returns_the_result(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    fit = main(["fit", *digits()])
    assert fit.directory == RUN
    assert fit.figures == json.loads((RUN / "results.json").read_text()) == read_results(RUN)
    assert fit.metrics() == [{name: float(value) for name, value in row.items() if value} for row in read_metrics(RUN)]
    assert [row["val/accuracy"] for row in fit.metrics() if "val/accuracy" in row] == [fit.figures["val/accuracy"]]
    for command, name in (("test", "test"), ("validate", "val")):
        measured = main([command, *digits(), "--ckpt_path", "best"])
        assert measured.directory is None
        assert measured.figures.keys() == {
            f"{name}/{kind}" for kind in ("accuracy", "balanced_accuracy", "f1_macro", "loss")
        }
        assert measured.figures[f"{name}/accuracy"] == fit.figures[f"{name}/accuracy"]
    predicted = main(["predict", *digits(), "--ckpt_path", "best"])
    assert predicted == Result(predictions=RUN / "checkpoints/best.predictions.csv")
    assert main(["fit", *digits(), "--trainer.fast_dev_run", "true"]) == Result()


def test_a_run_that_has_not_finished(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "test", lambda *args, **options: sys.exit(1))
    with pytest.raises(SystemExit, match="1"):
        main(["fit", *digits()])
    assert read_results(RUN) is None
    assert read_settings(RUN)["data"]["class_path"] == "project.data.Digits"
    assert read_metrics(RUN)[-1]["epoch"] == "1"


def test_finished_runs_are_read_without_torch() -> None:
    code = "import sys, project.runs.results, project.runs.directories; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout == "False\n"
