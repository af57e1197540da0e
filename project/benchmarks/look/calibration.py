"""Whether probabilities match accuracies on the test images of convnet.yaml, before and after the temperature."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.benchmarks.look.part import Options, Row
from project.benchmarks.report import save
from project.benchmarks.seeds import runs_with_seeds
from project.runs.results import TEST
from project.training.calibration import scores

DRAWS = 10  # of a label for each test image
NAME = "look-calibration-runs"


def rows(options: Options) -> list[Row]:
    """Figures over all seeds. Runs that ended are not repeated if the benchmark was stopped."""
    configs, words = [CONFIGS / "convnet.yaml"], ["--data.data_dir", options.data_dir, *options.fit_options]
    runs = runs_with_seeds(NAME, [str(config) for config in configs], options.seeds, words)
    save(NAME, {"finished": True, "command": fit_arguments(configs, words), "runs": runs})
    lower = sum(run["test/nll_calibrated"] < run["test/nll"] for run in runs)
    same = sum(_has_equal_accuracy(run) for run in runs)
    of_all = f"{len(runs)} of {len(runs)}"
    return [
        *(_mean(runs, name, goal) for name, goal in (("test/accuracy", ""), ("temperature", ""))),
        *(_mean(runs, f"test/{name}{ending}", "") for name in ("nll", "brier") for ending in ("", "_calibrated")),
        _mean(runs, "test/ece", ""),
        _mean(runs, "test/ece_calibrated", "at most 0.01"),
        ("test/ece of labels that are drawn from the calibrated probabilities", statistics.mean(map(_least, runs)), ""),
        ("largest test/ece_calibrated", max(run["test/ece_calibrated"] for run in runs), ""),
        ("seeds with a lower test/nll_calibrated than test/nll", lower, of_all),
        ("seeds with the same accuracy after the temperature", same, of_all),
    ]


def _mean(runs: list[dict[str, Any]], name: str, goal: str) -> Row:
    return f"convnet.yaml, {name}, mean of {len(runs)} seeds", statistics.mean(run[name] for run in runs), goal


def _least(run: Mapping[str, Any]) -> float:
    """The expected calibration error that chance alone gives to probabilities that are right, over ten draws."""
    with np.load(Path(run["run"]) / TEST) as test:
        logits = torch.from_numpy(test["logits"]).double() / run["temperature"]
    generator = torch.Generator().manual_seed(0)
    draws = torch.multinomial(logits.softmax(1), DRAWS, replacement=True, generator=generator)
    return statistics.mean(scores(logits, labels)["ece"] for labels in draws.T)


def _has_equal_accuracy(run: Mapping[str, Any]) -> bool:
    """Whether each test image of a run has the same answer after the temperature, and results.json their accuracy."""
    with np.load(Path(run["run"]) / TEST) as test:
        logits, labels = test["logits"].astype(np.float64), test["label"]
    scaled = np.exp((logits - logits.max(1, keepdims=True)) / run["temperature"])
    answers = (scaled / scaled.sum(1, keepdims=True)).argmax(1)
    accuracy = float((answers == labels).mean())
    return bool((answers == logits.argmax(1)).all()) and abs(accuracy - run["test/accuracy"]) < 0.5 / len(labels)
