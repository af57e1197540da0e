"""speed.yaml on one GPU by the records' rule: what is made of the data and the training count, compiling does not."""

import contextlib
import gc
import io
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from project.benchmarks.report import report, summary
from project.benchmarks.runs import CONFIGS, accuracies
from project.cli.main import main


class WarmUp(Callback):
    """Takes a step with each image size before the clock starts, which compiles it, and undoes what it changed."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = {name: value.clone() for name, value in pl_module.state_dict().items()}
        module: Any = pl_module
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        labels = data.train.labels[: data.batch_size].to(pl_module.device)
        whole = data.sample(len(labels))
        for progress in (*(end - 1e-9 for end in data.augmentation.curriculum.values()), 1.0):
            images = data.augmentation.shrink(whole, progress)
            with trainer.precision_plugin.forward_context():
                module.loss(module(images), labels).backward()
        pl_module.zero_grad()
        pl_module.load_state_dict(before)


def gpu(data_dir: str, runs: int, further: Sequence[str] = (), accelerator: str = "gpu") -> None:
    """`runs` fits in one process, each with a seed of its own; the first, which warms up, is not counted."""
    words = ["fit", "--config", str(CONFIGS / "speed.yaml"), "--data.data_dir", data_dir, *further]
    words += ["--trainer.accelerator", accelerator, "--trainer.devices", "1"]
    words += [f"--trainer.callbacks+={__name__}.WarmUp"]
    measured = []
    for seed in range(runs + 1):
        measured.append({"seed": seed, **_run([*words, "--seed_everything", str(seed)])})
        print(f"run {seed} of {runs}: {measured[-1]}", flush=True)
    rows = [*measured[1:], *summary(measured[1:], list(measured[0])[1:])]
    report("gpu", rows, runs=runs, command=list(further))


def _run(words: list[str]) -> dict[str, float]:
    if torch.cuda.is_available():
        gc.collect()  # a trainer and its parts hold each other, and the last run's data
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        main([*words, "--trainer.default_root_dir", folder])
        (file,) = Path(folder).rglob("results.json")
        results = json.loads(file.read_text())
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    tests = {name: results[name] for name in accuracies(results) if name.startswith("test/")}
    clocks = {"train_seconds": results["train_seconds"], "fit_seconds": results["fit_seconds"]}
    return {**tests, **clocks, "with test": time.perf_counter() - started, "peak_gib": peak}
