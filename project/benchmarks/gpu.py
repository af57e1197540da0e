"""speed.yaml on one GPU, by the rule of the published records.

The time of training and of the initialisation that uses the data counts. The time of compiling does not.
"""

import gc
import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_this_process
from project.benchmarks.report import report, summary
from project.benchmarks.seeds import accuracy_names


class WarmUp(Callback):
    """Take a step with each image size before the clock starts, so that it is compiled. Then restore all weights."""

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


def measure(data_dir: str, runs: int, fit_options: Sequence[str] = (), accelerator: str = "gpu") -> None:
    """Report `runs` fits in one process, each with another seed. The first fit only warms up and does not count."""
    arguments = fit_arguments([CONFIGS / "speed.yaml"], ["--data.data_dir", data_dir, *fit_options])
    arguments += ["--trainer.accelerator", accelerator, "--trainer.devices", "1"]
    arguments += [f"--trainer.callbacks+={__name__}.WarmUp"]
    measured = []
    for seed in range(runs + 1):
        measured.append({"seed": seed, **_run([*arguments, "--seed_everything", str(seed)])})
        print(f"run {seed} of {runs}: {measured[-1]}", flush=True)
    rows = [*measured[1:], *summary(measured[1:], list(measured[0])[1:])]
    report("gpu", rows, runs=runs, command=list(fit_options))


def _run(arguments: list[str]) -> dict[str, float]:
    if torch.cuda.is_available():
        gc.collect()  # the last trainer, its parts and its data refer to each other
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    results, _ = fit_in_this_process(arguments)
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    names = [name for name in accuracy_names(results) if name.startswith("test/")] + ["train_seconds", "fit_seconds"]
    return {**{name: results[name] for name in names}, "with test": seconds, "peak_gib": peak}
