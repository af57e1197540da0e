"""An experiment on one GPU: by the rule of the published records, by the other clocks, and what the GPU waits for.

By that rule, the time of training and of the initialisation that uses the data counts. The time of compiling does not.
"""

import gc
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_new_process, fit_in_this_process
from project.benchmarks.report import report, summary
from project.benchmarks.seeds import accuracy_names

STEPS = 10  # of the last epoch that are timed, and then as many that are profiled; an epoch of speed.yaml has 32


class Profile(Callback):
    """Times steps of the last epoch, which have the full image size, and profiles the next ones.

    No step among them should log or check the loss. The figures are those of the last run.
    """

    figures: Mapping[str, float] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch + 1 != trainer.max_epochs:
            return
        if batch_idx == 1:
            _synchronise()
            self.started = time.perf_counter()
        if batch_idx == 1 + STEPS:
            _synchronise()
            self.seconds = (time.perf_counter() - self.started) / STEPS
            self.profile = torch.profiler.profile()
            self.profile.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 2 * STEPS and trainer.current_epoch + 1 == trainer.max_epochs:
            self.profile.stop()
            type(self).figures = _figures(self.profile.key_averages(), self.seconds)


def _figures(rows: Any, seconds: float) -> dict[str, float]:
    """Figures of a step from the profile of STEPS of them, and the `seconds` of a step without the profiler."""
    on_gpu = [row for row in rows if row.device_type.name != "CPU" and not row.is_user_annotation]
    kernels = float(sum(row.self_device_time_total for row in on_gpu)) / 1e6 / STEPS

    def count(name: str) -> float:
        return float(sum(row.count for row in rows if row.key.startswith(name))) / STEPS

    return {
        "milliseconds_a_step": 1e3 * seconds,
        "milliseconds_of_kernels_a_step": 1e3 * kernels,
        "busy_share_of_the_gpu": kernels / seconds,
        "waits_a_step": count("cudaStreamSynchronize"),
        "copies_from_the_host_a_step": count("Memcpy HtoD"),
    }


def measure(
    data_dir: str,
    runs: int,
    configs: Sequence[str] | None = None,
    fit_options: Sequence[str] = (),
    accelerator: str = "gpu",
) -> None:
    """Report `runs` fits in one process, each with another seed. The first fit only warms up and does not count.

    Then it reports the steps of a profiled fit, and a fit in a process of its own, with all that belongs to it.
    """
    files: Sequence[str | Path] = configs or [CONFIGS / "speed.yaml", CONFIGS / "trainer/gpu.yaml"]
    hardware = ["--trainer.accelerator", accelerator, "--trainer.devices", "1"]
    arguments = fit_arguments(files, ["--data.data_dir", data_dir, *hardware, *fit_options])
    measured = []
    for seed in range(runs + 1):
        measured.append({"seed": seed, **_run([*arguments, "--seed_everything", str(seed)])})
        print(f"run {seed} of {runs}: {measured[-1]}", flush=True)
    rows = [*measured[1:], *summary(measured[1:], list(measured[0])[1:])]
    _run([*arguments, "--trainer.log_every_n_steps", "1000000", f"--trainer.callbacks+={__name__}.Profile"])
    alone = fit_in_new_process(arguments, {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"})  # compiles as on a new machine
    process = {"process_seconds": alone["process_seconds"]}
    process["seconds_outside_the_fit"] = alone["process_seconds"] - alone["fit_seconds"]
    report("gpu", rows, runs=runs, **Profile.figures, **process, command=[*map(str, configs or ()), *fit_options])


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _run(arguments: list[str]) -> dict[str, float]:
    if torch.cuda.is_available():
        gc.collect()  # the last trainer, its parts and its data refer to each other
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    results, _ = fit_in_this_process(arguments)
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    names = [name for name in accuracy_names(results) if name.startswith("test/")]
    names += [name for name in ("train_seconds", "compile_seconds", "fit_seconds") if name in results]
    return {**{name: results[name] for name in names}, "with test": seconds, "peak_gib": peak}
